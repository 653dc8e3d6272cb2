"""`probekit report` on runs as the commands leave them."""

import json
from pathlib import Path

import pytest

from probekit import records
from tests.reports.page_checks import check


def record(folder):
    return json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))


def test_the_page_holds_the_hash_of_the_weights_that_made_the_features(type_, ask, clips):
    asked = json.loads(ask("--model hf:vit --taps cls@0 --train lama --bootstrap 0 --json").out)["run"]
    (store,) = record(asked)["stores"]
    (extracted,) = [
        store
        for run in clips.glob("runs/*extract*")
        for store in record(run)["stores"]
        if store["model"].startswith("hf:")
    ]
    assert len(store["weights_sha256"]) == 64
    assert store["weights_sha256"] == extracted["weights_sha256"]
    assert type_(f"probekit report --out page.html {asked}").code == 0
    page = check(Path("page.html").read_text(encoding="utf-8"))
    assert store["weights_sha256"] in page.text
    assert "SHA-256 of the weights" in page.text


def test_models_without_weights_have_no_hash(type_, faces):
    asked = json.loads(type_("probekit probe --bootstrap 0 --json").out)["run"]
    assert [store["weights_sha256"] for store in record(asked)["stores"]] == [None]


def test_runs_that_did_not_end_well_are_named_and_left_out(type_, tmp_path):
    with records.start("probe", {"C": 1}, runs=tmp_path / "runs"):
        pass
    with pytest.raises(ValueError, match="no luck"), records.start("map", {}, runs=tmp_path / "runs"):
        raise ValueError("no luck")
    answer = type_("probekit report --out page.html")
    assert answer.code == 0, answer.err
    assert "1 run in one page" in answer.err
    assert "is recorded as failed (ValueError: no luck)" in " ".join(answer.err.split())
    named = type_(f"probekit report --out page.html {next(tmp_path.glob('runs/*probe*'))}")
    assert (named.code, "left out" in named.err) == (0, False)
