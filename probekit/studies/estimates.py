"""What a plan will take: disk from the widths of the taps, time from a few images or from earlier runs."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import numpy as np

from probekit import records
from probekit.errors import ProbekitError
from probekit.extract import ExtractSettings, estimate_size, extract
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.samples import Samples, known_keys
from probekit.store import ABSENT, Store, StoreSettings, find_stores
from probekit.studies.plan import Plan, PlannedStep

SAMPLE = 16
"""Images that models are timed on."""

OnStep = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Estimate:
    """What one step takes; None where nobody can tell beforehand."""

    step: str
    seconds: float | None
    bytes: int | None
    """Of features that are not there yet."""
    by: str
    """What it is judged by."""

    @property
    def nothing_to_do(self) -> bool:
        """Whether all its features are there."""
        return self.bytes == 0


def estimate(plan: Plan, earlier: Path, on_step: OnStep | None = None) -> list[Estimate]:
    """What each step of a plan takes that can be done; extractions are timed on a few images.

    Args:
        plan: the steps.
        earlier: folder of runs, whose times of the same commands are taken where there are any.
        on_step: called with (steps judged, of how many, the next one) before each, and once all are.
    """
    times = _times(earlier)
    steps = [step for step in plan.steps if not step.missing]
    found: list[Estimate] = []
    for step in steps:
        if on_step:
            on_step(len(found), len(steps), step.step.name)
        found.append(_one(step, plan, times))
    if on_step and steps:
        on_step(len(steps), len(steps), "")
    return found


def _one(planned: PlannedStep, plan: Plan, times: Mapping[tuple[str, ...], float]) -> Estimate:
    name = planned.step.name
    if planned.verb == "extract":
        return _extraction(planned, plan)
    seconds = times.get(_asked(planned.words))
    return Estimate(name, seconds, None, "an earlier run of it" if seconds is not None else "not run before")


def _extraction(planned: PlannedStep, plan: Plan) -> Estimate:
    """Forward passes of a few images, scaled to those that lack features; slower decoding takes longer."""
    settings, name = _settings(planned.words), planned.step.name
    size = estimate_size(plan.manifest, settings, cache=plan.place.cache, weights=plan.place.weights)
    all_of_it = size.image_bytes * size.images
    sample = _sample(plan.manifest)
    with tempfile.TemporaryDirectory(prefix="probekit-estimate-") as folder:
        try:
            found = extract(sample, settings, cache=Path(folder), weights=plan.place.weights)
        except ProbekitError as error:
            return Estimate(name, None, all_of_it, f"could not be timed: {error}")
        meant = [Store.open(Path(folder) / model.name).settings for model in found.models]
    if not found.images:
        return Estimate(name, None, all_of_it, "none of the images it was to be timed on could be read")
    stock = _Stock(plan, any_precision=bool(planned.engine))
    lacking = [stock.lacking(store, model.taps) for store, model in zip(meant, found.models, strict=True)]
    if not any(lacking):
        return Estimate(name, 0.0, 0, "what is there: no features are missing")
    each = [model.seconds / max(model.computed, 1) for model in found.models]
    row_bytes = {model.model: sum(model.row_bytes.values()) for model in size.models}
    crops = size.rows_per_image * len(size.models) // len(meant)  # of one perturbation
    needed = sum(n * crops * row_bytes[model.model] for n, model in zip(lacking, found.models, strict=True))
    some = f"; features are missing of {max(lacking):,}" if sum(lacking) < size.images * len(lacking) else ""
    seconds = sum(n * time for n, time in zip(lacking, each, strict=True))
    return Estimate(name, seconds, needed, f"{found.images} images, timed now{some}")


class _Stock:
    """What the cache of a plan has of its images."""

    def __init__(self, plan: Plan, *, any_precision: bool) -> None:
        """What is there now.

        Args:
            plan: its manifest and its cache.
            any_precision: of nodes whose hardware may compute in another than this machine's.
        """
        known = known_keys(Samples.of_rows(plan.manifest), KeyIndex.open(plan.place.cache))
        self._keys = known.keys[known.known]
        self._images = len(plan.manifest.table)
        self._stores = find_stores(plan.place.cache)[0]
        self._any_precision = any_precision

    def lacking(self, meant: StoreSettings, taps: Sequence[str]) -> int:
        """Images that extraction would have to compute for these taps; those that failed before are not tried again."""
        there = 0
        for store in self._stores:
            precision = meant.precision if self._any_precision else store.settings.precision
            if replace(store.settings, precision=precision) == meant:
                status = store.look_up(self._keys, np.zeros(len(self._keys), np.int16), taps)
                there = max(there, int((status != ABSENT).all(axis=1).sum()))
        return self._images - there


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
