"""Running a plan: step after step, and again only what is not there yet.

    runs/study-NAME-MANIFEST/
        state.json              step → what it was (a key), which run answers it
        clip-matrix/<run>/      the run folders of a step, as any command leaves them
        study/run.json          the study's own record: steps, questions, what could not be done

A step is done when the state names a finished run of the same command on the same manifest, the same bytes of its
images, the same weights, and what the steps before it left in stores and networks. Steps that fill a store or train a
network always run: what is there they find there.
"""

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import probekit
from probekit import records
from probekit.errors import ProbekitError, RunError
from probekit.fingerprint import fingerprint, hash_bytes
from probekit.keys import KeyIndex
from probekit.models import weights
from probekit.samples import Samples, known_keys
from probekit.studies.plan import Plan, PlannedStep

Execute = Callable[[Sequence[str]], int]
"""Runs one command line of probekit, given without the program's name; returns its exit code."""

STATE = "state.json"
FILLING = ("extract", "finetune")
DONE, KEPT, FAILED, LEFT_OUT = "done", "done before", "failed", "left out"


@dataclass(frozen=True)
class StepOutcome:
    """What became of one step."""

    planned: PlannedStep
    state: str
    """`done`, `done before`, `failed` or `left out`."""
    run: Path | None
    """The run folder that answers it."""
    reasons: tuple[str, ...] = ()
    """Why it failed or was left out."""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """The step's name."""
        return self.planned.step.name


def run_steps(plan: Plan, execute: Execute, announce: Callable[[int, PlannedStep, str], None]) -> list[StepOutcome]:
    """What became of each step, in their order; one that fails stops only those that build on it.

    Args:
        plan: the steps.
        execute: runs a command; a `ProbekitError` that it raises is the step's failure.
        announce: called before each step with its number, the step, and `""` or why it is not run.

    Raises:
        RunError: the study's folder cannot be written.
    """
    state = _State(plan.place.runs)
    rests_on, images = [plan.manifest.sha256, *_weights(plan)], _images(plan)
    outcomes: list[StepOutcome] = []
    for number, draft in enumerate(plan.steps):
        lost = {one.name for one in outcomes if one.run is None}
        broken = [f"step {name}, which it builds on, has no result." for name in draft.step.after if name in lost]
        reasons = draft.missing or tuple(broken)
        planned = draft.with_runs({one.name: one.run for one in outcomes if one.run is not None})
        key = fingerprint([planned.words, rests_on, images, probekit.__version__])
        kept = None if reasons or planned.verb in FILLING else state.kept(planned, key)
        if reasons:
            announce(number, planned, reasons[0])
            outcomes.append(StepOutcome(planned, LEFT_OUT, None, reasons))
        elif kept is not None:
            announce(number, planned, KEPT)
            outcomes.append(StepOutcome(planned, KEPT, kept))
        else:
            announce(number, planned, "")
            outcomes.append(_run(planned, execute))
            state.keep(planned, key, outcomes[-1])
        if planned.verb in FILLING and outcomes[-1].run:
            rests_on, images = [*rests_on, *_left(outcomes[-1].run)], _images(plan)
    return outcomes


def _run(planned: PlannedStep, execute: Execute) -> StepOutcome:
    """One command; exit code 1 means that some samples had failed, which its record tells."""
    before, began = set(_finished(planned.folder)), time.monotonic()
    try:
        code = execute([*planned.words, *planned.engine])
    except ProbekitError as error:
        return StepOutcome(planned, FAILED, None, (str(error),), time.monotonic() - began)
    new = [path for path in _finished(planned.folder) if path not in before]
    seconds = time.monotonic() - began
    if code > 1 or not new:
        why = f"it ended with exit code {code}" + ("" if new else " and left no finished run")
        return StepOutcome(planned, FAILED, None, (f"{why}: try {planned.command}",), seconds)
    return StepOutcome(planned, DONE, new[-1], (), seconds)


def _finished(folder: Path) -> list[Path]:
    return records.finished(folder)[0]


def _images(plan: Plan) -> str:
    """Digest of the bytes of the manifest's images, as far as the cache remembers them."""
    found = known_keys(Samples.of_rows(plan.manifest), KeyIndex.open(plan.place.cache))
    return hash_bytes(found.keys.tobytes() + found.remembered.tobytes())


def _weights(plan: Plan) -> list[str]:
    """Hashes of the local checkpoints."""
    return [str(weights.measure(path).sha256) for _, path in sorted(plan.place.weights.items())]


def _left(run: Path) -> list[str]:
    """Stores that an extraction filled, with how many rows, and networks that a training left."""
    result = records.read(run).get("result", {})
    stores = [f"{model['address']} {model['done']} {model['taps']}" for model in result.get("models", [])]
    networks = [f"{network['network']} {network['weights_sha256']}" for network in result.get("networks", [])]
    return [*stores, *networks]


class _State:
    """Which run answers which step, kept in a file that is replaced whole."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / STATE
        self._steps: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):  # without a readable state every step runs again
            found = json.loads(self.path.read_text(encoding="utf-8"))
            self._steps = found if isinstance(found, dict) else {}

    def kept(self, planned: PlannedStep, key: str) -> Path | None:
        """The finished run that answers this very step, if it is still there."""
        known = self._steps.get(planned.step.name)
        if not isinstance(known, dict) or known.get("key") != key:
            return None
        run = planned.folder / str(known.get("run"))
        try:
            return run if records.read(run)["status"] == "done" else None
        except RunError:
            return None

    def keep(self, planned: PlannedStep, key: str, outcome: StepOutcome) -> None:
        """Remember a step that is done.

        Raises:
            RunError: the file cannot be written.
        """
        if outcome.run is None:
            return
        self._steps[planned.step.name] = {"key": key, "run": outcome.run.relative_to(planned.folder).as_posix()}
        draft = self.path.with_suffix(f".{os.getpid()}")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(self._steps, indent=2) + "\n", encoding="utf-8")
            draft.replace(self.path)
        except OSError as error:
            raise RunError(f"{self.path} cannot be written ({error.strerror}): make room, or use --runs.") from error
