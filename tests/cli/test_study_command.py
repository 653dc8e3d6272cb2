"""`probekit study` from the command line, through the commands that its steps are."""

import json
import re
import shutil
from pathlib import Path

import pytest

from probekit import studies
from probekit.manifest import Manifest

MINI = """
[study]
title = "A small study"
about = "Two generators, one kind of features."

[parameters]
models = { default = "srm", help = "Features." }
first = { default = "lama", help = "A generator." }

[needs]
generators = "{first}"

[[step]]
name = "features"
title = "Features."
run = "extract --model {models}"

[[step]]
name = "matrix"
title = "Real or fake?"
run = "probe --train all --test all --C 1 --model {models}"
after = ["features"]

[[step]]
name = "attribution"
title = "Which one?"
run = "probe --task attribution --C 1 --model {models}"
after = ["features"]

[[step]]
name = "retrieval"
title = "Nearest examples."
run = "retrieve --model {models}"
after = ["features"]

[[step]]
name = "clip"
title = "Features of a model that cannot be had."
run = "extract --model timm:vit_tiny_patch16_224"

[[question]]
name = "found"
asks = "Are fakes found?"
  [[question.compare]]
  claim = "the AUC is above chance"
  left = { step = "matrix", where = { model = "{models}" } }
  right = { value = 0.5 }

[[question]]
name = "clip"
asks = "Does it have a step?"
  [[question.compare]]
  claim = "a step without a result says so"
  left = { step = "clip" }
  right = { value = 0.5 }

[[published]]
title = "Accuracy"
source = "nowhere: numbers for a test"
step = "matrix"
metric = "acc"
rows = ["lama", "ldm"]
columns = ["lama", "ldm"]
values = [[0.5, 0.25], [0.75, 1.0]]
transposable = true

[[published]]
title = "Of a step that could not be done"
source = "nowhere"
step = "clip"
table = "per_class"
across = "class"
metric = "recall"
columns = ["real"]
values = [0.5]
"""


@pytest.fixture
def study(faces, tmp_path) -> Path:
    """The small study among one's own protocols, on twelve groups of three faces."""
    folder = tmp_path / "manifests" / "protocols"
    folder.mkdir(parents=True)
    (folder / "mini.toml").write_text(MINI)
    return folder / "mini.toml"


def test_a_study_is_run_answered_and_reported_and_the_second_time_kept(type_, study, tmp_path):
    first = type_("probekit study run mini --json")
    assert first.code == 1, first.err  # one step could not be done
    found = json.loads(first.out)
    assert [(step["name"], step["state"]) for step in found["steps"]] == [
        ("features", "done"), ("matrix", "done"), ("attribution", "done"), ("retrieval", "done"), ("clip", "left out"),
    ]  # fmt: skip
    assert {one["name"]: one["answer"] for one in found["questions"]}["clip"] == "not testable here"
    assert found["complete"] is False
    page = Path(found["report"]).read_text()
    assert "A small study" in page
    assert "not testable here" in page

    second = type_("probekit study run mini")
    assert second.err.count("done before") == 3
    assert "Are fakes found?" in second.out
    again = json.loads(type_("probekit study run mini --json").out)
    assert again["questions"] == found["questions"]


def test_every_number_of_a_study_is_had_again_by_the_command_beside_it(type_, study):
    found = json.loads(type_("probekit study run mini --json").out)
    step = next(step for step in found["steps"] if step["name"] == "matrix")
    assert step["command"].startswith("probekit probe --train all --test all --C 1 --model srm --manifest faces")
    printed = json.loads(type_(f"{step['command']} --json").out)["runs"][0]["pairs"]
    (ours,) = (one for one in found["published"] if one["title"] == "Accuracy")
    assert [pair["acc"] for pair in printed] == [value for row in ours["ours"] for value in row]


def test_published_numbers_stand_beside_ours_and_what_was_not_run_says_so(type_, study):
    before = json.loads(type_("probekit study check mini --json").out)["studies"]["mini"]
    assert all("probekit study run mini" in one["reason"] for one in before)
    type_("probekit study run mini")
    accuracy, other = json.loads(type_("probekit study check mini --json").out)["studies"]["mini"]
    assert accuracy["reason"] == ""
    rows = zip(accuracy["ours"], [[0.5, 0.25], [0.75, 1.0]], accuracy["difference"], strict=True)
    for ours, published, difference in rows:
        assert difference == [a - b for a, b in zip(ours, published, strict=True)]
    assert accuracy["mean_difference_transposed"] is not None
    assert "vit_tiny" in other["reason"]
    said = type_("probekit study check mini")
    assert "published in: nowhere" in said.err
    assert "difference" in said.out


def test_a_dry_run_says_what_is_missing_and_what_it_takes_and_does_nothing(type_, study, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    found = type_("probekit study run mini --dry-run --json")
    plan = json.loads(found.out)
    assert found.code == 1  # one step would be left out
    steps = {step["name"]: step for step in plan["steps"]}
    assert (steps["features"]["seconds"], steps["features"]["bytes"]) == (0, 0)  # srm is there
    assert "no features are missing" in steps["features"]["estimated_by"]
    assert steps["clip"]["missing"]
    assert len(plan["missing"]) == 1
    assert sorted(tmp_path.rglob("*")) == before
    shown = type_("probekit study run mini --dry-run")
    assert shown.code == 1
    assert "left out" in shown.out
    assert re.search(r"features +Features\. +done\s*$", shown.out, re.MULTILINE)
    assert "features: by what is there: no features are missing" in shown.err
    assert "missing (clip)" in shown.err
    commands = [line for line in shown.err.splitlines() if "probekit extract" in line]
    assert [line.split("probekit")[0] for line in commands] == ["$ ", "# left out: "]


def test_a_dry_run_ends_well_only_where_every_step_can_be_done(type_, study):
    study.write_text(MINI.replace("timm:vit_tiny_patch16_224", "srm"))
    assert type_("probekit study run mini --dry-run").code == 0
    none = type_("probekit study run mini --dry-run --set first=lma")
    assert none.code == 1
    assert "no step can be done; nothing was done" in none.err
    assert "$ probekit" not in none.err


def test_features_that_are_there_are_not_estimated(type_, study, tmp_path):
    row = 135 * 2  # bytes
    (part,) = json.loads(type_("probekit extract --model srm --cache part --shard 1/3 --json").out)["models"]
    left = 36 - part["done"]
    assert 0 < left < 36

    def judged(cache, engine=()):
        place = studies.Place("faces", tmp_path / cache, tmp_path / "runs", {}, engine=engine)
        return studies.estimate(studies.plan(studies.find("mini"), {}, Manifest.read("faces"), place), place.runs)[0]

    assert judged("none").bytes == 36 * row
    assert judged("none").seconds > 0
    assert not (tmp_path / "none").exists()
    assert (judged("part").bytes, judged("part").by.partition("; ")[2]) == (
        left * row,
        f"features are missing of {left}",
    )
    for engine in ((), ("--engine", "ray")):
        assert judged("cache", engine) == studies.Estimate("features", 0, 0, "what is there: no features are missing")


def test_each_step_is_named_before_it_is_timed(study, tmp_path):
    place = studies.Place("faces", tmp_path / "cache", tmp_path / "runs", {})
    plan = studies.plan(studies.find("mini"), {}, Manifest.read("faces"), place)
    said: list[tuple[int, int, str]] = []
    found = studies.estimate(plan, tmp_path / "runs", lambda *how_far: said.append(how_far))
    names = ["features", "matrix", "attribution", "retrieval"]  # clip cannot be done
    assert said == [*((number, 4, name) for number, name in enumerate(names)), (4, 4, "")]
    assert [one.step for one in found] == names


def test_a_generator_that_the_data_lack_stops_every_step_in_one_line(type_, study):
    found = type_("probekit study run mini --set first=lma")
    assert found.code == 2
    assert "faces has no generator lma. Did you mean 'lama' or 'ldm'?" in found.err
    assert found.err.strip().splitlines()[-1].startswith("probekit: study mini: none of its 5 steps can be done")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("study run nini", "unknown study 'nini'"),
        ("study run mini --set model=srm", "unknown parameter of study mini 'model'"),
        ("study run mini --set models", "write NAME=VALUE"),
        ("study run mini --weights srm=nowhere.pt", "no such file"),
        ("study run nowhere.toml", "no such file"),
        ("study check nini", "unknown study 'nini'"),
    ],
)
def test_a_wrong_word_ends_in_one_line(type_, study, command, said):
    found = type_(f"probekit {command}")
    assert found.code == 2
    assert said in found.err
    assert "Traceback" not in found.err


def test_studies_are_listed_with_ones_own_among_them(type_, study):
    names = [one["name"] for one in json.loads(type_("probekit study ls --json").out)["studies"]]
    assert "mini" in names
    assert "celebahq-local" in names
    assert "A small study" in type_("probekit study ls").out


@pytest.mark.parametrize("width", [60, 100])
def test_names_of_studies_can_be_copied_from_a_narrow_terminal(type_, study, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    names = [one["name"] for one in json.loads(type_("probekit study ls --json").out)["studies"]]
    said = type_("probekit study ls").out
    assert {line.split()[0] for line in said.splitlines() if not line.startswith(" ")} >= set(names)
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width


def test_a_study_goes_on_where_its_store_was_lost(type_, study):
    type_("probekit study run mini")
    shutil.rmtree("cache")
    found = json.loads(type_("probekit study run mini --json").out)
    assert [step["state"] for step in found["steps"]][:2] == ["done", "done before"]
