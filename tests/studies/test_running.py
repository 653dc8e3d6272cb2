"""Running a study: done once, resumed after any end, and honest about what it could not do."""

import shutil

import pandas as pd
import pytest

from probekit import records, studies
from probekit.errors import ProbeError
from probekit.keys import KeyIndex, file_digest
from probekit.manifest import Manifest, validate
from probekit.studies.running import DONE, FAILED, KEPT, LEFT_OUT
from tests.studies.test_protocols import SMALL, write

STEPS = """
[[step]]
name = "features"
title = "Features."
run = "extract --model {models}"

[[step]]
name = "first"
title = "First."
run = "probe --model srm"
after = ["features"]

[[step]]
name = "second"
title = "Second, of the first."
run = "saliency --probe run:first"
after = ["first"]
"""
TEXT = SMALL[: SMALL.index("[[step]]")] + STEPS


class Commands:
    """Runs commands that leave a record, as those of the command line do, and remembers them."""

    def __init__(self, failing=(), rows=4):
        self.typed, self.failing, self.rows = [], failing, rows

    def __call__(self, words):
        self.typed.append(list(words))
        runs = words[words.index("--runs") + 1]
        from pathlib import Path

        with records.start(words[0], list(words), runs=Path(runs)) as run:
            if words[0] in self.failing:
                raise self.failing[words[0]]
            if words[0] == "extract":
                model = {"address": "f" * 64, "done": self.rows, "taps": ["blocks"]}
                run.note(result={"models": [model]})
        return 0

    @property
    def verbs(self):
        return [words[0] for words in self.typed]


@pytest.fixture
def plan(tmp_path):
    def make(text=TEXT, given=None, labels=(0, 1), engine=()):
        rows = [(f"{n}.png", label, "lama" if label else "real", f"g{n}") for n, label in enumerate(labels)]
        table = validate(pd.DataFrame(rows, columns=["path", "label", "generator", "group"]), tmp_path / "m.csv")
        table["split"] = "train"
        manifest = Manifest("mine", None, tmp_path, table)
        place = studies.Place("mine", tmp_path / "cache", tmp_path / "runs", {}, engine=engine)
        return studies.plan(studies.read(write(tmp_path, text)), given or {}, manifest, place)

    return make


def run(plan, commands):
    said = []
    found = studies.run_steps(plan, commands, lambda number, step, why: said.append((step.step.name, why)))
    return {one.name: one for one in found}, said


def test_each_step_runs_once_and_the_next_time_only_the_store_is_asked_again(plan):
    commands = Commands()
    first, _ = run(plan(), commands)
    again, said = run(plan(), commands)
    assert commands.verbs == ["extract", "probe", "saliency", "extract"]
    assert [one.state for one in again.values()] == [DONE, KEPT, KEPT]
    assert [one.run for one in again.values()][1:] == [one.run for one in first.values()][1:]
    assert ("first", KEPT) in said


def test_on_a_cluster_run_the_commands_that_can_and_what_was_done_here_stays_done(plan):
    commands, engine = Commands(), ("--engine", "ray", "--address", "auto")
    there, _ = run(plan(engine=engine), commands)
    assert [words[-4:] == engine for words in map(tuple, commands.typed)] == [True, True, False]
    assert there["first"].planned.command.endswith(" --engine ray --address auto")
    here, _ = run(plan(), commands)
    assert commands.verbs == ["extract", "probe", "saliency", "extract"]
    assert here["first"].run == there["first"].run


def test_a_step_is_given_the_run_folder_of_the_step_that_it_names(plan):
    commands = Commands()
    found, _ = run(plan(), commands)
    assert commands.typed[2][:3] == ["saliency", "--probe", str(found["first"].run)]


@pytest.mark.parametrize("change", ["manifest", "store", "record", "state", "images"])
def test_what_an_answer_rests_on_makes_it_asked_again(plan, change):
    commands = Commands()
    first, _ = run(plan(), commands)
    if change == "store":
        commands.rows = 5
    if change == "images":
        index = KeyIndex.open(plan().place.cache)
        path = plan().manifest.root / "0.png"
        path.write_bytes(b"other bytes under the same name")
        index.add(str(path), path.stat(), file_digest(path.read_bytes()))
        index.flush()
    if change == "record":
        shutil.rmtree(first["first"].run)
    if change == "state":
        (plan().place.runs / "state.json").write_text("no JSON")
    again, _ = run(plan(labels=(0, 1, 1)) if change == "manifest" else plan(), commands)
    assert again["first"].state == DONE
    assert (again["first"].run / "run.json").exists()


def test_a_step_that_fails_stops_only_what_builds_on_it_and_is_tried_again(plan):
    commands = Commands(failing={"probe": ProbeError("no fakes: add some.")})
    found, _ = run(plan(), commands)
    assert [one.state for one in found.values()] == [DONE, FAILED, LEFT_OUT]
    assert found["first"].reasons == ("no fakes: add some.",)
    assert "step first" in found["second"].reasons[0]
    commands.failing = {}
    again, _ = run(plan(), commands)
    assert [one.state for one in again.values()] == [DONE, DONE, DONE]


def test_what_was_done_before_an_interruption_is_kept(plan):
    commands = Commands(failing={"saliency": KeyboardInterrupt()})
    with pytest.raises(KeyboardInterrupt):
        run(plan(), commands)
    commands.failing = {}
    again, _ = run(plan(), commands)
    assert [one.state for one in again.values()] == [DONE, KEPT, DONE]


def test_what_the_data_lack_is_said_of_each_step_before_anything_runs(plan):
    needy = TEXT.replace('run = "probe --model srm"', 'run = "probe --model srm"\nneeds = { generators = "ldm,lama" }')
    made = plan(needy)
    ((line, steps),) = ((line, steps) for line, steps in made.missing.items() if "generator ldm" in line)
    assert steps == ["first"]
    commands = Commands()
    found, said = run(made, commands)
    assert commands.verbs == ["extract"]
    assert found["second"].state == LEFT_OUT
    assert ("first", line) in said


def test_a_model_whose_weights_are_nowhere_is_missing_in_one_line(plan):
    made = plan(given={"models": "timm:resnet18,nonsense"})
    assert any("nonsense" in line for line in made.missing)
    assert all("\n" not in line for line in made.missing)


def test_the_commands_are_those_that_a_person_would_type(plan):
    first = plan().steps[0]
    assert first.command.startswith("probekit extract --model srm,npr --manifest mine --runs ")


def test_searches_run_on_a_cluster_too(plan):
    text = TEXT.replace("probe --model", "retrieve --model")
    steps = plan(text, engine=("--engine", "ray")).steps
    assert [step.engine for step in steps if step.words[0] == "retrieve"] == [("--engine", "ray")]
