"""`probekit retrieve`: every option answers, tables and pictures are kept, and what cannot be asked says why."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest

QUICK = "probekit retrieve --bootstrap 0 --gallery train --query test"


def asked(type_, options=""):
    """The answer of one run as JSON, with its folder."""
    found = type_(f"{QUICK} {options} --json")
    assert found.code == 0, found.err
    answer = json.loads(found.out)
    return answer["runs"][0], Path(answer["run"])


@pytest.fixture
def split(faces, tmp_path):
    """The faces manifest with a split by group and two domains."""
    (path,) = (tmp_path / "manifests").glob("*.csv")
    table = pd.read_csv(path, comment="#", keep_default_na=False)
    number = table["path"].str.extract(r"(\d+)\.png")[0].astype(int)
    table["group"] = "g" + number.astype(str)
    table["split"] = number.map(lambda n: ["train", "train", "val", "test"][n % 4])
    table["domain"] = number.map(lambda n: "even" if n // 4 % 2 else "odd")
    table.to_csv(path, index=False)
    return path


def test_an_answer_keeps_its_tables_and_pictures(split, type_):
    answer, run = asked(type_, "--unknown ldm")
    assert {"rank", "class_rank", "map", "map_at_r", "r_precision", "knn_accuracy"} <= answer["closed_set"].keys()
    assert answer["projection"] is None
    assert [pool["pool"] for pool in answer["open_set"]] == ["unregistered", "real"]
    tables = {path.stem for path in (run / "tables").glob("*.parquet")}
    assert tables == {"per_class", "queries", "rank_curve", "open_set_scores"}
    pictures = {path.name.split("-")[0] for path in (run / "figures").glob("*.png")}
    assert pictures == {"neighbours", "ranks", "det", "pools", "sheet"}


@pytest.mark.parametrize("vote", ["soft", "sum", "majority", "prototype"])
@pytest.mark.parametrize("class_rank", ["max", "top3", "centroid"])
def test_votes_and_class_ranks_are_named_above_their_numbers(split, type_, vote, class_rank):
    found = type_(f"{QUICK} --vote {vote} --class-rank {class_rank} --no-sheets")
    assert found.code == 0, found.err
    assert f"class rank-1 ({class_rank})" in found.out
    assert f"· {vote} vote" in found.out
    assert " attribution" in found.out


@pytest.mark.parametrize("kind", ["whiten", "lda", "supcon", "triplet"])
def test_a_projection_is_shown_beside_the_raw_features(split, type_, kind):
    answer, run = asked(type_, f"--unknown ldm --project {kind} --dimension 2 --no-sheets")
    assert answer["closed_set"] == asked(type_, "--unknown ldm --no-sheets")[0]["closed_set"]
    (record,) = answer["projected"]["projection"]
    assert (record["kind"], record["classes"]) == (kind, ["lama", "real"])
    assert record["dimension"] <= 2
    assert {row["measure"] for row in answer["gains"]} == {
        *("Rank-1", "AUROC against unregistered", "AUROC against real")
    }
    assert pd.read_parquet(run / "tables" / "gains.parquet")["projection"].unique() == [kind]
    raw, projected = (pd.read_parquet(run / "tables" / f"{name}.parquet") for name in ("queries", "queries_projected"))
    assert raw["path"].tolist() == projected["path"].tolist()
    assert raw["rank1"].mean() == pytest.approx(answer["closed_set"]["rank"]["1"])
    assert projected["rank1"].mean() == pytest.approx(answer["projected"]["closed_set"]["rank"]["1"])


def test_tables_keep_their_numbers_whole_at_80_columns(split, type_, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    said = type_(f"{QUICK} --unknown each --project lda --no-sheets")
    assert said.code == 0, said.err
    lines = said.out.splitlines()
    titles = ("Retrieval ·", "Open set ·", "Projected by", "Each generator", "Gain of the", "Means over")
    assert max(len(line) for line in lines if not line.startswith(titles)) <= 80
    means = next(place for place, line in enumerate(lines) if line.startswith("Means over"))
    gains = next(place for place, line in enumerate(lines) if line.startswith("Gain of the projection"))
    assert lines[gains + 1].startswith("unknown")
    assert lines[means + 1].startswith("against")
    numbers = lines[next(i for i, line in enumerate(lines) if line.startswith("rank-1")) + 1].split()
    assert len(numbers) == 9  # Rank-1, 5 and 10, class rank-1, three precisions, R-precision, attribution
    assert all(re.fullmatch(r"[01]\.\d{3}", number) for number in numbers)


def test_each_generator_is_left_out_in_turn(split, type_):
    answer, run = asked(type_, "--unknown each --project lda --no-sheets")
    rows = answer["leave_one_out"]["rows"]
    assert {(row["unknown"], row["features"]) for row in rows} == {
        (name, kind) for name in ("lama", "ldm") for kind in ("raw", "projected")
    }
    assert (run / "tables" / "leave_one_out.csv").exists()
    said = type_(f"{QUICK} --unknown each --no-sheets")
    assert "left out" in said.out
    assert said.out.rindex("Means over the generators left out") > said.out.rindex("DIR at FPIR (as measured)")
    assert "unregistered  raw" in said.out[said.out.rindex("Means over") :]
    assert "mean" in said.out
    assert "unresolvable" in said.out


def test_shots_have_a_table_and_curves(split, type_):
    answer, run = asked(type_, "--unknown ldm --shots 1,2,all --seeds 2 --no-sheets")
    assert [row["shots"] for row in answer["shots"] if row["measure"] == "Rank-1"] == ["1", "2", "all"]
    assert list((run / "figures").glob("shots-*.png"))
    assert len(pd.read_parquet(run / "tables" / "shot_draws.parquet")) == 5 * 7


def test_domains_and_generators_choose_what_is_registered_and_searched(split, type_):
    answer, run = asked(type_, "--gallery-domain odd --query-domain even --query-generators lama --no-sheets")
    table = pd.read_csv(split)
    registered = (table["split"] == "train") & (table["domain"] == "odd")
    assert answer["closed_set"]["n_gallery"] == registered.sum()
    queries = pd.read_parquet(run / "tables" / "queries.parquet")
    assert set(queries["generator"]) == {"lama", "real"}
    assert set(queries["path"]) == set(
        table["path"][(table["split"] == "test") & (table["domain"] == "even") & (table["generator"] != "ldm")]
    )


def test_another_manifests_images_are_searched_and_shown(split, type_, faces):
    table = pd.read_csv(split)
    other = table[table["split"] == "val"].assign(group=lambda rows: "other-" + rows["group"])
    other["path"] = [str(faces / Path(path).parent.name / Path(path).name) for path in other["path"]]
    other.to_csv(split.with_name("other.csv"), index=False)
    found = type_(
        "probekit retrieve --manifest faces --query-manifest other --gallery train --bootstrap 0 --unknown ldm --json"
    )
    assert found.code == 0, found.err
    answer = json.loads(found.out)["runs"][0]
    assert answer["closed_set"]["n_queries"] == len(other)
    assert answer["settings"]["query"] == "all"
    assert answer["notes"][0].startswith("3 groups are in both manifests")  # by their images: the names differ


def test_an_image_that_is_gone_is_grey_on_the_sheet_and_costs_nothing_else(split, type_, faces):
    for path in sorted(faces.glob("*/*.png"))[::2]:
        path.unlink()
    _, run = asked(type_, "--allow-missing")
    assert list((run / "figures").glob("sheet-*.png"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--vote loud", ["unknown vote 'loud'", "prototype"]),
        ("--class-rank best", ["max, centroid, or topM"]),
        ("--project pca", ["unknown projection 'pca'", "whiten"]),
        ("--dimension 3", ["name one with --project"]),
        ("--shots 1 --project lda", ["two questions"]),
        ("--shots 1 --unknown each", ["two questions"]),
        ("--shots many", ["write numbers of examples"]),
        ("--gallery-domain mars", ["--gallery-domain 'mars'", "even, odd"]),
        ("--gallery-generators lamma", ["Did you mean 'lama'"]),
        ("--query-manifest nosuch", ["nosuch"]),
        ("--shots 500", ["500 shots"]),
    ],
)
def test_what_cannot_be_asked_is_one_line_that_says_why(split, type_, options, words):
    found = type_(f"{QUICK} {options}")
    assert found.code == 2
    assert found.err.strip().count("\n") == 0, found.err
    for word in words:
        assert word in found.err
