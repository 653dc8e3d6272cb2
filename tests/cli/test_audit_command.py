"""`probekit audit` and `probekit manifest normalise`, typed as a person would."""

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from probekit import images
from tests.audit.pictures import data_set

QUICK = "probekit audit --bootstrap 100"


@pytest.fixture
def small(type_, tmp_path):
    """Thirty groups of a real and an edited picture; the edited ones are smaller. As manifests/small.csv."""
    table = data_set(tmp_path / "images", size={"lama": (48, 48)})
    table["path"] = "../images/" + table["path"]
    (tmp_path / "manifests").mkdir()
    table.to_csv(tmp_path / "manifests" / "small.csv", index=False)
    return tmp_path / "manifests" / "small.csv"


def test_an_audit_needs_no_features_and_says_first_what_is_wrong(small, type_):
    said = type_(QUICK)
    assert said.code == 0, said.err
    assert said.out.startswith("Audit of small, 60 images: Do not believe this data set’s numbers yet.")
    first = said.out.splitlines()[1]
    assert "bad" in first
    assert "File properties alone tell lama from real: AUC 1.000" in said.out
    assert "asked without features" in said.err


def test_every_table_and_picture_is_kept(small, type_):
    said = type_(f"{QUICK} --json")
    answer = json.loads(said.out)
    run, (part,) = Path(answer["run"]), answer["runs"]
    assert part["verdict"] == "bad"
    assert {"severity", "topic", "sentence", "numbers"} == part["findings"][0].keys()
    tables = {path.stem for path in (run / "tables").glob("*.parquet")}
    assert {"findings", "properties", "pairs", "classes", "shortcuts_pairs", "shortcuts_alone"} <= tables
    pictures = {path.stem for path in (run / "figures").glob("*.png")}
    assert {"shortcuts", "properties", "histogram-width", "histogram-quality"} <= pictures
    properties = pd.read_parquet(run / "tables" / "properties.parquet")
    assert properties["width"].value_counts().to_dict() == {64: 30, 48: 30}
    assert properties["phash"].str.len().eq(16).all()


def test_strict_ends_with_1_where_a_finding_is_bad(small, type_):
    assert type_(f"{QUICK} --strict").code == 1


def test_features_stand_beside_and_pairs_are_shown(small, type_, tmp_path):
    shutil.copy(tmp_path / "images/real/000.jpg", tmp_path / "images/real/copy.jpg")
    with small.open("a") as file:
        file.write("../images/real/copy.jpg,0,real,test,copy\n")
    assert type_("probekit extract --model spectrum").code == 0
    said = type_(f"{QUICK} --json")
    assert said.code == 0, said.err
    answer = json.loads(said.out)
    (part,) = answer["runs"]
    assert {pair["by"] for pair in part["shortcuts"]["pairs"]} == {"file properties", "spectrum#blocks"}
    assert part["pairs_across"]["identical bytes"] == 1
    assert len(part["label_noise"]) == 1
    assert (Path(answer["run"]) / "figures" / "pairs-identical-bytes.png").exists()


def test_unreadable_files_are_listed_and_end_with_1(small, type_, tmp_path):
    (tmp_path / "images/lama/003.jpg").write_bytes(b"nothing")
    said = type_(QUICK)
    assert said.code == 1
    assert "1 sample that could not be read or have no features left out" in said.err
    assert "lama/003.jpg: the file is no image" in said.err
    assert "1 of 60 samples cannot be read" in said.out


def test_numbers_that_mean_nothing_are_refused(small, type_):
    assert type_("probekit audit --alike 2").code == 2
    assert type_("probekit audit --probe nonsense").code == 2


def test_a_normalised_copy_has_no_dimensions_and_header_left_to_tell(small, type_, tmp_path):
    said = type_("probekit manifest normalise small --name even --to even --size 40 --quality 90 --crop")
    assert said.code == 0, said.err
    assert "60 copies written to even → manifests/even.csv" in said.err
    assert {images.inspect(path).width for path in (tmp_path / "even").rglob("*.jpg")} == {40}
    said = type_(f"{QUICK} --manifest even --json")
    (part,) = json.loads(said.out)["runs"]
    alone = {row["properties"]: row["value"] for row in part["shortcuts"]["alone"] if row["question"] == "lama"}
    assert alone["dimensions and header"] == 0.5
    assert "bytes" in alone


def test_copies_that_are_left_out_end_with_1_and_are_listed(small, type_):
    said = type_("probekit manifest normalise small --name even --to even --size 50 --json")
    assert said.code == 1
    answer = json.loads(said.out)
    assert (answer["samples"], answer["too_small"]) == (30, 30)
    assert "smaller than 50 × 50" in answer["failed"][0]["reason"]
    again = type_("probekit manifest normalise small --name even --to even --size 50")
    assert "30 samples left out, 30 of them too small" in again.err
    assert "… and 25 more" in again.err
