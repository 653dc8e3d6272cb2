"""`probekit map`: what it draws, places and exports, and what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest

MAP = "probekit map --model srm"


def written(ending):
    return sorted(Path("runs").glob(f"*-map-*/figures/*{ending}"))


def test_a_map_is_coloured_by_what_probes_make_of_unseen_images_and_says_how_many(type_, faces):
    answer = type_(f"{MAP} --manifest faces --colour outcome --accuracy --folds 3 --format png,svg --json")
    assert answer.code == 0, answer.err
    (run,) = json.loads(answer.out)["runs"]
    assert {"trustworthiness", "purity_map", "purity_features", "purity_chance", "perplexity"} <= run.keys()
    assert "out of fold by group" in run["outcome"]["evaluation"]
    assert sum(run["outcome"]["counts"].values()) == 36
    recalls = {row["class"]: (row["n"], row["recall"]) for row in run["accuracy"]["per_class"]}
    assert {name: n for name, (n, _) in recalls.items()} == {"real": 12, "lama": 12, "ldm": 12}
    assert run["accuracy"]["balanced_acc"] == pytest.approx(sum(share for _, share in recalls.values()) / 3)
    assert [path.name for path in written(".png")] == ["map-by-outcome-srm-blocks.png"]
    assert [path.name for path in written(".svg")] == ["map-by-outcome-srm-blocks.svg"]
    (page,) = written(".html")
    assert "attribution probe" in page.read_text(encoding="utf-8")
    table = pd.read_parquet(next(Path("runs").glob("*-map-*/tables/map.parquet")))
    right = table["attribution"] == "right"
    for name, (n, share) in recalls.items():
        assert right[table["generator"] == name].mean() == pytest.approx(share), n


def with_split(faces, groups):
    """The faces with a split by hand, and groups that may leak."""
    table = pd.read_csv("manifests/faces.csv")
    number = table["path"].str.extract(r"(\d+)\.png")[0].astype(int)
    split = number.map(lambda place: "train" if place < 6 else "val" if place < 8 else "test")
    table = table.assign(path=[str(faces / path) for path in table["path"]], split=split, group=groups(number))
    table.to_csv("manifests/by-hand.csv", index=False)


def test_without_folds_the_outcomes_are_of_the_test_split_alone(type_, faces):
    with_split(faces, lambda number: "g" + number.astype(str))
    answer = type_(f"{MAP} --manifest by-hand --colour outcome --accuracy --json")
    assert answer.code == 0, answer.err
    (run,) = json.loads(answer.out)["runs"]
    assert "test split" in run["outcome"]["evaluation"]
    assert run["outcome"]["counts"]["not tested"] == 24
    table = pd.read_parquet(next(Path("runs").glob("*-map-*/tables/map.parquet")))
    tested = table["split"] == "test"
    assert tested.sum() == 12
    for column in ("outcome", "attribution"):
        assert ((table[column] != "not tested") == tested).all()
    assert "outcome probe" not in answer.err


def test_groups_that_the_outcome_probe_learned_from_are_remarked_on(type_, faces):
    with_split(faces, lambda number: "g" + (number % 6).astype(str))
    answer = type_(f"{MAP} --manifest by-hand --colour outcome")
    assert answer.code == 0, answer.err
    (note,) = [line for line in answer.err.splitlines() if "note: outcome probe: lama+ldm → ldm: " in line]
    assert "4 groups of the test samples trained on too: a leak" in note


def test_the_same_seed_gives_the_same_bytes_of_every_file(type_, faces):
    for number in (1, 2):
        assert type_(f"{MAP} --format png,svg --seed 3 --export points-{number}.parquet").code == 0
    for ending in (".png", ".svg", ".html"):
        first, second = written(ending)
        assert first.read_bytes() == second.read_bytes()
    assert Path("points-1.parquet").read_bytes() == Path("points-2.parquet").read_bytes()
    points = pd.read_parquet("points-1.parquet")
    assert {"x", "y", "path", "generator", "label", "neighbors"} <= set(points.columns)
    assert len(points["neighbors"][0]["ids"]) == 10
    assert all(Path(path).is_file() for path in points["path"])


def test_samples_of_another_manifest_are_placed_on_an_earlier_map(type_, faces):
    table = pd.read_csv("manifests/faces.csv")
    table.iloc[::4].assign(path=[str(faces / path) for path in table["path"].iloc[::4]]).to_csv("manifests/new.csv")
    assert type_(f"{MAP} --manifest faces").code == 0
    (old,) = Path("runs").glob("*-map-*")
    answer = type_(f"probekit map --manifest new --onto {old} --export placed.parquet --json")
    assert answer.code == 0, answer.err
    (run,) = json.loads(answer.out)["runs"]
    assert (run["n_old"], run["n_placed"], run["onto"]) == (36, 9, str(old))
    before, after = pd.read_parquet(old / "tables" / "map.parquet"), pd.read_parquet("placed.parquet")
    assert (after[["x", "y"]][:36] == before[["x", "y"]]).all(axis=None)
    assert after["placed"].sum() == 9
    own = after[:36].set_index("path").loc[after["path"][36:], ["x", "y"]].to_numpy()
    away = abs(after[["x", "y"]][36:].to_numpy() - own).max()
    assert away < (before[["x", "y"]].max() - before[["x", "y"]].min()).max() / 2
    assert "--size is of a new map" in type_(f"probekit map --manifest new --onto {old} --size 9").err
    assert "--colour outcome is about" in type_(f"probekit map --manifest new --onto {old} --colour outcome").err
    placed_run = max(Path("runs").glob("*-map-*"), key=lambda path: path.stat().st_mtime_ns)
    assert "were placed themselves" in type_(f"probekit map --manifest new --onto {placed_run}").err
    table[:30].to_csv("manifests/faces.csv", index=False)
    assert "has changed since" in type_(f"probekit map --manifest new --onto {old}").err


def test_features_that_the_earlier_map_was_not_made_of_are_refused(type_, faces):
    assert type_(MAP).code == 0
    assert type_("probekit extract --model npr").code == 0
    (old,) = Path("runs").glob("*-map-*")
    answer = type_(f"probekit map --model npr --onto {old}")
    assert answer.code == 2
    assert len(answer.err.strip().splitlines()) == 1
    assert "has no map of npr#blocks" in answer.err
    assert "srm#blocks" in answer.err


def test_what_cannot_be_mapped_is_refused_in_one_line(type_, faces):
    refusals = {
        "--perplexity thirty": "--perplexity thirty: give a finite number",
        "--perplexity multiscale": "no more than 30 for 36 samples",
        "--perplexity 5 --method umap": "UMAP has none",
        "--method usne": "Did you mean",
        "--colour generators": "Did you mean 'generator'",
        "--format gif": "--format",
        "--folds 3": "--folds is for probes",
        "--export points.csv": "name it FILE.parquet",
        "--export nowhere/points.parquet": "no such folder",
        "--onto runs/none": "no run.json",
        "--colour outcome --onto runs/none": "no run.json",
    }
    for words, message in refusals.items():
        answer = type_(f"{MAP} {words}")
        assert answer.code == 2, words
        assert message in answer.err, answer.err
        assert len(answer.err.strip().splitlines()) == 1
        assert not answer.out


def test_a_part_of_the_samples_and_any_column_can_be_asked_for(type_, faces):
    table = pd.read_csv("manifests/faces.csv").assign(quality=range(36), x="left")
    table["path"] = [str(faces / path) for path in table["path"]]
    table.to_csv("manifests/more.csv", index=False)
    for colour in ("quality", "x", "domain", "split", "label"):
        answer = type_(f"{MAP} --manifest more --size 30 --colour {colour} --perplexity 3,8")
        assert answer.code == 0, answer.err
        assert "perplexities 3 and 8 · 30 of 36 images" in answer.out
    assert len(written(".png")) == 5
