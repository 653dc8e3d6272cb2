"""Many answers are one table that fits the terminal, few are printed one by one."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from probekit import figures
from probekit_cli import tables


def test_the_taps_of_a_model_are_an_overview_and_a_line(ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    answer = ask("--model hf:vit --taps cls@all --probe prototype --bootstrap 0 --no-save")
    assert answer.code == 0, answer.err
    title, heading, *rows = answer.out.strip().splitlines()
    assert title.startswith("AUC, mean over pairs · hf:vit · resize37-crop32 · ")
    assert title.endswith(" · prototype · train → test split")
    assert heading.split("  ")[0] == "tap"
    assert [row.split()[0] for row in rows] == [f"cls@{block}" for block in range(7)]
    (run,) = Path("runs").iterdir()
    pairs = pd.read_parquet(run / "tables" / "pairs.parquet")
    for row in rows:
        tap, seen, unseen, lowest = row.split()
        own = pairs[pairs["tap"] == tap]
        assert float(seen) == pytest.approx(own.loc[own["seen"], "auc"].mean(), abs=6e-4)
        assert float(unseen) == pytest.approx(own.loc[~own["seen"], "auc"].mean(), abs=6e-4)
        assert float(lowest) == pytest.approx(own["auc"].min(), abs=6e-4)
    assert [path.name for path in (run / "figures").iterdir()] == ["layers-AUC-hf-vit-resize37-crop32-prototype.png"]


@pytest.mark.parametrize(
    ("options", "series"),
    [
        (
            "--model hf:vit --taps cls@0-2 --task attribution --across domain",
            [f"attribution, {train} → {test}" for train in ("celeb", "ff") for test in ("celeb", "ff")],
        ),
        (
            f"--model {','.join(f'hf:vit#cls@{block}+npr' for block in range(3))} --fuse --train lama",
            ["lama, features side by side", "lama, late fusion"],
        ),
    ],
)
def test_a_line_over_taps_is_of_one_question(ask, monkeypatch, options, series):
    drawn = []
    monkeypatch.setattr(figures, "layer_curves", lambda points, **named: drawn.append((points, named)) or b"")
    answer = ask(f"{options} --probe prototype --bootstrap 0 --no-save --json")
    assert answer.code == 0, answer.err
    for points, named in drawn:
        assert not points.duplicated(["series", "over", "tap"]).any()
        assert "prototype, train → test split" in named["title"]
    assert sorted(drawn[-1][0]["series"].unique()) == series


def test_answers_of_an_overview_are_named_by_what_tells_them_apart(ask, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    options = "--model npr,hf:vit#cls@3 --probe prototype,lda --task attribution,one-vs-rest --bootstrap 0 --no-save"
    answer = ask(options)
    assert answer.code == 0, answer.err
    _, heading, *rows = answer.out.strip().splitlines()
    assert heading.startswith("model, tap, task, probe ")
    assert [row[: row.index("  ")] for row in rows] == [
        f"{model}, {tap}, {task}, {probe}"
        for model, tap in (("npr", "blocks"), ("hf:vit", "cls@3"))
        for task in ("attribution", "one-vs-rest")
        for probe in ("prototype", "lda")
    ]
    assert "each matrix, and its intervals, stand in the tables" in answer.err


def test_an_overview_of_oracle_choices_is_stamped(ask):
    answer = ask("--model hf:vit --taps cls@all --oracle --C 1 --condition best --train lama --bootstrap 0 --no-save")
    assert answer.code == 0, answer.err
    assert answer.out.startswith("ORACLE · ")
    (record,) = Path("runs").glob("*/run.json")
    assert {caption.startswith("ORACLE · ") for caption in json.loads(record.read_text())["figures"].values()} == {True}


def matrix(rows, columns):
    values = np.arange(len(rows) * len(columns)).reshape(len(rows), -1) / 100
    return pd.DataFrame(values, index=rows, columns=columns)


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_a_matrix_never_leaves_the_terminal_and_loses_no_number(capfd, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", width)
    names = [f"dcgan_like_celeba{number}" for number in range(9)]
    tables.print_matrix(matrix(names, names), "train ↓  test →")
    said = capfd.readouterr().out
    assert max(map(len, said.splitlines())) <= int(width)
    assert [f"{number / 100:.3f}" in said for number in range(81)] == [True] * 81


def test_long_row_names_take_the_room_that_columns_leave(capfd, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    label = "photoshop_composite → stylegan_studio256_x"
    tables.print_matrix(matrix([label], ["1", "5", "all"]), "train → test")
    assert label in capfd.readouterr().out
    tables.print_matrix(matrix([label], list("abcdefghij")), "train → test")
    said = capfd.readouterr().out
    assert label not in said
    assert "0.090" in said
