"""What a plan will take: disk from the widths of the taps, time from a few images or from earlier runs."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from probekit import records
from probekit.errors import ProbekitError
from probekit.extract import ExtractSettings, estimate_size, extract
from probekit.manifest import Manifest
from probekit.studies.plan import Plan, PlannedStep

SAMPLE = 16
"""Images that models are timed on."""


@dataclass(frozen=True)
class Estimate:
    """What one step takes; None where nobody can tell beforehand."""

    step: str
    seconds: float | None
    bytes: int | None
    """Of features, were none there yet."""
    by: str
    """What it is judged by."""


def estimate(plan: Plan, earlier: Path) -> list[Estimate]:
    """What each step of a plan takes that can be done; extractions are timed on a few images.

    Args:
        plan: the steps.
        earlier: folder of runs, whose times of the same commands are taken where there are any.
    """
    times = _times(earlier)
    return [_one(step, plan, times) for step in plan.steps if not step.missing]


def _one(planned: PlannedStep, plan: Plan, times: Mapping[tuple[str, ...], float]) -> Estimate:
    name = planned.step.name
    if planned.verb == "extract":
        return _extraction(planned, plan)
    seconds = times.get(_asked(planned.words))
    return Estimate(name, seconds, None, "an earlier run of it" if seconds is not None else "not run before")


def _extraction(planned: PlannedStep, plan: Plan) -> Estimate:
    """Forward passes of a few images, scaled; images that are decoded more slowly than that take longer."""
    settings = _settings(planned.words)
    size = estimate_size(plan.manifest, settings, cache=plan.place.cache, weights=plan.place.weights)
    needed = size.image_bytes * size.images
    sample = _sample(plan.manifest)
    with tempfile.TemporaryDirectory(prefix="probekit-estimate-") as folder:
        try:
            found = extract(sample, settings, cache=Path(folder), weights=plan.place.weights)
        except ProbekitError as error:
            return Estimate(planned.step.name, None, needed, f"could not be timed: {error}")
    if not found.images:
        return Estimate(planned.step.name, None, needed, "none of the images it was to be timed on could be read")
    each = sum(model.seconds / max(model.computed, 1) for model in found.models)
    return Estimate(planned.step.name, each * len(plan.manifest.table), needed, f"{found.images} images, timed now")


def _sample(manifest: Manifest) -> Manifest:
    """A few rows, evenly spaced over the manifest."""
    step = max(1, len(manifest.table) // SAMPLE)
    return replace(manifest, table=manifest.table.iloc[::step].head(SAMPLE).reset_index(drop=True))


def _settings(words: Sequence[str]) -> ExtractSettings:
    given = {word: after for word, after in pairwise(words) if word.startswith("--")}
    names = tuple(name.strip() for name in given["--model"].split(","))
    taps = tuple(name.strip() for name in given.get("--taps", "").split(",") if name.strip() not in ("", "final"))
    perturb = tuple(given["--perturb"].split(",")) if "--perturb" in given else ()
    return ExtractSettings(models=names, taps=taps, view=given.get("--view"), perturb=perturb)


def _times(runs: Path) -> dict[tuple[str, ...], float]:
    """Command → seconds that its last finished run took."""
    found = {}
    for folder in records.finished(runs)[0]:
        record = records.read(folder)
        began, ended = (datetime.fromisoformat(record[name]) for name in ("started", "ended"))
        found[_asked(record["command"][1:])] = (ended - began).total_seconds()
    return found


def _asked(words: Sequence[str]) -> tuple[str, ...]:
    """A command without where its run is kept."""
    kept = list(words)
    if "--runs" in kept:
        place = kept.index("--runs")
        del kept[place : place + 2]
    return tuple(kept)
