"""`probekit saliency` as a person types it: a planted signal is found, and nothing that was learned from is shown."""

import json
import shutil
import zipfile

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probekit import reports
from tests.cli.salient import GROUPS, SIDE, write_salient


@pytest.fixture(scope="module")
def salient(tmp_path_factory):
    """Working folder with the extracted pictures."""
    folder = tmp_path_factory.mktemp("salient")
    write_salient(folder)
    return folder


@pytest.fixture
def look(type_, salient, monkeypatch):
    """Types `probekit saliency` in that folder; runs go to the working folder of the test."""

    def look_at(options, runs):
        monkeypatch.chdir(salient)
        return type_(f"probekit saliency {options} --manifest salient --runs {runs}")

    return look_at


def answer(done):
    assert done.code == 0, done.err
    return json.loads(done.out)


def run_of(runs):
    (folder,) = runs.glob("*-saliency-*")
    return folder


@pytest.mark.parametrize(
    ("model", "methods"),
    [
        ("hf:vit#mean@0", "decomposition,grad-cam"),
        ("hf:convnext#mean", "decomposition,grad-cam"),
        ("hf:vit#cls", "grad-cam"),
    ],
)
def test_a_planted_square_is_found_better_than_by_the_centre_prior(model, methods, look, tmp_path):
    found = answer(
        look(f"--train red --test red --model {model} --method {methods} --limit 0 --folds 3 --json", tmp_path)
    )
    (part,) = found["runs"]
    assert [row["method"] for row in part["localisation"]] == methods.split(",")
    for row in part["localisation"]:
        assert row["n"] == row["n_groups"] == GROUPS
        assert abs(row["ap_random"] - 1 / 16) < 0.01
        assert row["ap_gain_ci"][0] > 0
        assert row["verdict"] == "better than the centre prior"
        if "cls" not in model:
            assert row["pointing"] > 0.8 > row["pointing_centre"]


def test_every_pair_gets_a_sheet_and_every_image_a_row_of_which_none_was_trained_on(look, tmp_path):
    done = look("--train red --test all --model hf:vit#mean --limit 3 --overlays 1 --json", tmp_path)
    (part,) = answer(done)["runs"]
    run = run_of(tmp_path)
    assert {row["test"] for row in part["localisation"]} == {"red", "green"}
    names = sorted(file.name.split("-hf")[0] for file in (run / "figures").glob("*.png"))
    assert names == ["overlay-grad-cam-red-green-1", "overlay-grad-cam-red-red-1", "sheet-grad-cam-red-green",
                     "sheet-grad-cam-red-red"]  # fmt: skip
    table = pd.read_parquet(run / "tables" / "saliency.parquet")
    assert table.groupby("generator").size().to_dict() == {"real": 3, "red": 3, "green": 3}
    assert table["seen"].eq(1).all()
    assert table.loc[table["label"] == 1, "ap"].notna().all()
    assert table.loc[table["label"] == 0, "ap"].isna().all()


def test_scores_are_those_of_the_probe_on_stored_features(look, type_, salient, tmp_path, monkeypatch):
    look("--train red --test red --model hf:vit#mean --C 0.1 --method decomposition --limit 0", tmp_path)
    table = pd.read_parquet(run_of(tmp_path) / "tables" / "saliency.parquet").set_index("path")
    monkeypatch.chdir(salient)
    type_(f"probekit probe --train red --test red --model hf:vit#mean --C 0.1 --manifest salient --runs {tmp_path}/p")
    (run,) = (tmp_path / "p").iterdir()
    scores = pd.read_parquet(run / "tables" / "scores.parquet").set_index("path").loc[table.index]
    assert np.abs(scores["score"] - table["score"]).max() < 0.05


def test_maps_are_written_as_plain_arrays_of_the_size_of_their_images_and_sum_to_the_score(look, tmp_path):
    maps = tmp_path / "maps"
    look(f"--train red --test red --model hf:vit#mean@0 --method decomposition --limit 4 --maps {maps} --no-sheets",
         tmp_path / "runs")  # fmt: skip
    table = pd.read_parquet(run_of(tmp_path / "runs") / "tables" / "saliency.parquet")
    assert len(table) == 8
    for row in table.itertuples():
        values = np.load(row.map, allow_pickle=False)
        assert values.shape == (SIDE, SIDE)
        assert values.dtype == np.float32
        assert abs(values.astype(np.float64).sum() / 64 + row.bias - row.score) < 1e-3  # 8 × 8 pixels a patch
    assert not (run_of(tmp_path / "runs") / "figures").exists()


def test_attribution_explains_the_class_that_is_named(look, tmp_path):
    named = answer(look("--task attribution --of green --model hf:vit#mean --limit 2 --json", tmp_path / "a"))
    assert named["runs"][0]["task"] == "attribution"
    table = pd.read_parquet(run_of(tmp_path / "a") / "tables" / "saliency.parquet")
    assert table["explained"].eq("green").all()
    look("--task attribution --model hf:vit#mean --limit 2", tmp_path / "b")
    table = pd.read_parquet(run_of(tmp_path / "b") / "tables" / "saliency.parquet")
    assert table["explained"].eq(table["called"]).all()
    unknown = look("--task attribution --of blue --model hf:vit#mean", tmp_path / "c")
    assert unknown.code == 2
    assert "unknown class 'blue'" in unknown.err


def test_a_saved_probe_looks_only_at_what_it_did_not_learn_from(look, type_, salient, tmp_path, monkeypatch):
    monkeypatch.chdir(salient)
    options = f"--train red --test red --model hf:vit#mean --manifest salient --runs {tmp_path}/p"
    type_(f"probekit probe {options} --folds 0")
    (run,) = (tmp_path / "p").iterdir()
    found = answer(look(f"--probe {run} --test red --limit 0 --json", tmp_path / "s"))
    table = pd.read_parquet(run_of(tmp_path / "s") / "tables" / "saliency.parquet")
    splits = pd.read_csv(salient / "manifests" / "salient.csv").set_index("path")["split"]
    assert {splits.get(path, "test") for path in table["path"]} == {"test"}
    assert found["runs"][0]["evaluation"].startswith("a saved probe")
    for option in ("--train red", "--C 1", "--condition l2"):
        refused = look(f"--probe {run} {option}", tmp_path / "t")
        assert refused.code == 2
        assert f"{option.split()[0]}: the probe is trained already" in refused.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("--model hf:vit#cls --method decomposition", "hf:vit#cls is none: use --method grad-cam"),
        ("--model hf:convnext --taps mean --method rollout", "has no such blocks"),
        ("--model hf:vit#mean --method gradcam", "Did you mean 'grad-cam'"),
        ("--model hf:vit#mean --probe knn", "probe knn is not linear"),
        ("--model hf:vit#mean --of red", "ask --task attribution"),
        ("--model hf:vit#mean+hf:vit#cls", "name one part"),
        ("--probe nothing.safetensors", "there is no such probe file"),
    ],
)
def test_what_cannot_be_done_ends_with_one_line(options, says, look, tmp_path):
    done = look(f"{options} --train red" if "--probe nothing" not in options else options, tmp_path)
    assert done.code == 2
    assert says in done.err
    assert done.err.count("\n") == 1


def test_images_and_masks_that_are_gone_or_odd_are_counted_and_listed(look, salient, tmp_path):
    masks = salient / "images" / "masks"
    kept = {file: file.read_bytes() for file in masks.iterdir()}
    empty, full, other, gone = sorted(masks.iterdir())[:4]
    try:
        Image.fromarray(np.zeros((SIDE, SIDE), np.uint8)).save(empty)
        Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8)).save(full)
        Image.fromarray(np.zeros((SIDE, SIDE * 2), np.uint8)).save(other)
        gone.unlink()
        done = look("--train red --test red --model hf:vit#mean --limit 0 --folds 3 --json", tmp_path)
    finally:
        for file, content in kept.items():
            file.write_bytes(content)
    assert done.code == 1
    (part,) = json.loads(done.out)["runs"]
    (row,) = part["localisation"]
    assert (row["n"], row["n_without"]) == (GROUPS - 4, 2)
    assert part["n_failed"] == 2
    assert "the mask is 128 × 64 pixels, its image 64 × 64" in done.err
    assert any("2 of 22 masks leave nothing to find" in note for note in part["notes"])


def test_a_manifest_without_masks_gives_pictures_and_says_why_there_are_no_scores(
    type_, salient, tmp_path, monkeypatch
):
    monkeypatch.chdir(salient)
    table = pd.read_csv(salient / "manifests" / "salient.csv").drop(columns="mask")
    table.to_csv(salient / "manifests" / "bare.csv", index=False)
    shutil.copy(salient / "manifests" / "salient.json", salient / "manifests" / "bare.json")
    try:
        done = type_(
            f"probekit saliency --train red --test red --model hf:vit#mean --limit 2 --manifest bare --runs {tmp_path}"
        )
    finally:
        for end in ("csv", "json"):
            (salient / "manifests" / f"bare.{end}").unlink()
    assert done.code == 0
    assert "no image that was looked at has a mask" in done.err


def test_images_in_an_archive_are_counted_each(type_, salient, tmp_path, monkeypatch):
    monkeypatch.chdir(salient)
    table = pd.read_csv(salient / "manifests" / "salient.csv").drop(columns="mask")
    table = table[table["generator"] != "green"]
    with zipfile.ZipFile(salient / "images" / "all.zip", "w") as archive:
        for path in table["path"]:
            archive.write(salient / "images" / path, path)
    table = table.assign(member=table["path"], path="all.zip")
    table.to_csv(salient / "manifests" / "packed.csv", index=False)
    shutil.copy(salient / "manifests" / "salient.json", salient / "manifests" / "packed.json")
    options = "--model hf:vit --view squash --manifest packed --dtype float32"
    try:
        done = type_(f"probekit extract {options} --taps mean")
        assert done.code == 0, done.err
        options = "--train red --test red --model hf:vit#mean --limit 0 --folds 3 --manifest packed --no-sheets"
        found = answer(type_(f"probekit saliency {options} --runs {tmp_path} --json"))
        said = type_(f"probekit saliency {options} --runs {tmp_path / 'said'}")
    finally:
        for file in ("manifests/packed.csv", "manifests/packed.json", "images/all.zip"):
            (salient / file).unlink()
    assert found["runs"][0]["n_images"] == 2 * GROUPS
    rows = pd.read_parquet(run_of(tmp_path) / "tables" / "saliency.parquet")
    assert set(rows["path"]) == {f"all.zip member={member}" for member in table["member"]}
    counts = dict(line.split() for line in said.out.splitlines() if line.startswith(("red ", "real ")))
    assert counts == {"red": str(GROUPS), "real": str(GROUPS)}


def test_trained_probes_without_folds_look_only_at_the_test_split(look, salient, tmp_path):
    table = pd.read_csv(salient / "manifests" / "salient.csv")
    expected = set(table.loc[(table["split"] == "test") & table["generator"].isin(["real", "red"]), "path"])
    assert 0 < len(expected) < 2 * GROUPS
    found = answer(look("--train red --test red --model hf:vit#mean --limit 0 --folds 0 --json --no-sheets", tmp_path))
    assert found["runs"][0]["evaluation"] == "train → test split"
    rows = pd.read_parquet(run_of(tmp_path) / "tables" / "saliency.parquet")
    assert set(rows["path"]) == expected


def test_the_report_shows_the_gallery_and_the_verdicts(look, tmp_path):
    look("--train red --test red,green --model hf:vit#mean --limit 0 --folds 3", tmp_path)
    page = reports.build([run_of(tmp_path)], "T")
    assert "Where do the probes look" in page
    assert page.count("better than the centre prior") >= 2
    assert "Gain over it" in page
    assert page.count("data:image/png;base64") == 2
    assert "output of block 1" in page
