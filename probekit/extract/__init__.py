"""Extraction: every image of a manifest through every model, once, into the store.

    plan.py      which samples there are, what each model lacks, the units that processes claim
    loading.py   threads that read, hash, decode and crop ahead
    target.py    one model: batches through it, rows into its store

An image is decoded once however many models look at it, and what is committed is never computed again.
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from probekit.errors import ManifestError
from probekit.extract.loading import Loaded, stream
from probekit.extract.plan import Plan, Unit
from probekit.extract.target import ImageCrops, Target, open_target
from probekit.fingerprint import plain
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.models.compute import check_device
from probekit.samples import Samples
from probekit.store import DONE, FAILED
from probekit.store.store import FOLD_PARTS

__all__ = [
    "ExtractResult",
    "ExtractSettings",
    "ModelExtraction",
    "Progress",
    "extract",
]

INDEX_PART = 4096  # files whose keys are remembered together; a kill costs reading so many again, not computing
POLL_SECONDS = 1.0  # how often to look whether another process has finished its unit


@dataclass(frozen=True)
class ExtractSettings:
    """What decides the features, besides the manifest."""

    models: tuple[str, ...]
    taps: tuple[str, ...] = ()
    """Names of taps, for every model; none (or `final`) means each model's default tap."""
    view: str | None = None
    """A policy of `views.POLICIES` in place of each model's own."""
    precision: Literal["float32", "bfloat16"] | None = None
    """None: bfloat16 where the hardware computes it fast, else float32."""
    dtype: Literal["float16", "float32"] = "float16"
    """Number format in the store."""


@dataclass(frozen=True)
class Progress:
    """How far an extraction is, in distinct samples of the manifest."""

    done: int
    total: int
    failed: int
    computed: int
    """Samples finished in this run."""


@dataclass(frozen=True)
class ModelExtraction:
    """What an extraction did for one model."""

    model: str
    taps: tuple[str, ...]
    view: str
    precision: str
    batch_size: int
    device: str
    address: str
    name: str
    """Of the store's folder."""
    rows: int
    """Distinct samples of the manifest."""
    done: int
    failed: int
    computed: int
    """Images that went through the model in this run."""
    seconds: float
    """Time in its forward passes."""


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction did."""

    models: tuple[ModelExtraction, ...]
    failed: pd.DataFrame
    """path, model and reason of every sample without features."""
    seconds: float
    images_per_second: float | None
    """Samples finished in this run over its time; None when no model had to look at any."""

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json` and `run.json`."""
        return {
            "models": [plain(model) for model in self.models],
            "failed": self.failed.to_dict(orient="records"),
            "seconds": round(self.seconds, 3),
            "images_per_second": self.images_per_second and round(self.images_per_second, 2),
        }


def extract(
    manifest: Manifest,
    settings: ExtractSettings,
    *,
    cache: Path,
    weights: Mapping[str, Path] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    unit_size: int | None = None,
    retry_failed: bool = False,
    rehash: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractResult:
    """The store filled with the features of every image of the manifest; what is there already is kept.

    Args:
        manifest: the images.
        settings: models, taps, view and number formats.
        cache: folder of the stores.
        weights: model name → checkpoint, for weights that do not come from a hub.
        device: `cpu`, `cuda` …; the first GPU if there is one, else the CPU.
        batch_size: images in one forward pass of a new store. Features are bit-identical for one size and agree
            within rounding across sizes, so a store keeps its own unless another is given.
        workers: threads that read and decode; one per processor unless given.
        unit_size: samples that a process claims and commits together; the smallest of the models' own unless given.
        retry_failed: try images again that could not be read before.
        rehash: read every file again instead of trusting its size and time.
        on_progress: called after every batch.

    Raises:
        UsageError: an unknown model, tap or view.
        WeightsError: a model's weights cannot be had.
        FeatureOverflowError: a feature that the store's number format cannot hold; earlier work is kept.
        StoreError: the cache cannot be written; earlier work is kept.
    """
    began = time.monotonic()
    found_device = check_device(device)
    _require_images(manifest)
    samples = Samples.distinct(manifest)
    targets = [
        open_target(
            name,
            taps=settings.taps,
            view=settings.view,
            precision=settings.precision,
            dtype=settings.dtype,
            cache=cache,
            weights=(weights or {}).get(name),
            device=found_device,
            batch_size=batch_size,
        )
        for name in dict.fromkeys(settings.models)
    ]
    index = KeyIndex.open(cache)
    plan = Plan(samples, targets, index, unit_size=unit_size, retry_failed=retry_failed, rehash=rehash)
    finished_before = _finished(plan)
    with contextlib.closing(_Work(plan, index, workers or os.cpu_count() or 1, on_progress)) as work:
        work.until_complete()
    for target in targets:
        target.store.fold()
    seconds = time.monotonic() - began
    return ExtractResult(
        models=tuple(_summary(target, plan) for target in targets),
        failed=_failures(plan),
        seconds=seconds,
        images_per_second=(_finished(plan) - finished_before) / seconds
        if any(target.computed for target in targets)
        else None,
    )


class _Work:
    """The loop over units, with what must be given back when it ends, however it ends."""

    def __init__(
        self, plan: Plan, index: KeyIndex, workers: int, on_progress: Callable[[Progress], None] | None
    ) -> None:
        self._plan = plan
        self._index = index
        self._workers = workers
        self._on_progress = on_progress
        self._claimed: dict[str, Unit] = {}
        self._before = self._done = _finished(plan)

    def until_complete(self) -> None:
        """Compute all that is lacking; wait for units of other processes and take over those of dead ones."""
        self._report()
        while True:
            for unit, loaded in stream(self._claim(), self._plan, self._workers):
                self._compute(unit, loaded)
                self._release(unit)
                self._report()
            if not self._plan.unfinished():
                return
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """Give back what is claimed and remember the keys that were learnt."""
        for unit in list(self._claimed.values()):
            self._release(unit)
        self._index.flush()

    def _claim(self) -> Iterator[Unit]:
        for unit in self._plan.claim_units():
            self._claimed[unit.name] = unit
            yield unit

    def _release(self, unit: Unit) -> None:
        for target in unit.targets:
            target.store.claims.release(unit.name)
        del self._claimed[unit.name]

    def _compute(self, unit: Unit, loaded: Sequence[Loaded]) -> None:
        for sample in loaded:
            if sample.key is None:
                self._plan.unreadable[sample.row] = sample.reason or "cannot be read"
            else:
                self._plan.learn(sample.row, sample.key)
                if sample.digest and sample.status:
                    self._index.add(self._plan.samples.paths[sample.row], sample.status, sample.digest)
        self._index.flush(at_least=INDEX_PART)
        rows = np.array([sample.row for sample in loaded])
        for number, target in enumerate(unit.targets):
            lacking = self._plan.lacking(target, rows)
            distinct: dict[bytes, ImageCrops] = {}
            for sample in (sample for sample, lacks in zip(loaded, lacking, strict=True) if lacks):
                assert sample.key is not None  # samples without a key are unreadable, not lacking
                path = self._plan.samples.paths[sample.row]
                crop = sample.crops.get(target.view)
                reason = sample.reason or sample.refused.get(target.view)
                distinct.setdefault(sample.key, ImageCrops(sample.key, path, crop, reason))
            if distinct:
                part = partial(self._report_part, len(loaded), number, len(unit.targets))
                target.compute(list(distinct.values()), unit.name, on_batch=part)
                target.store.fold(at_least=FOLD_PARTS)
        self._plan.attempted[rows] = True
        self._done += len(loaded)

    def _report_part(self, samples: int, finished_targets: int, targets: int, of_target: float) -> None:
        """Count a share of the unit's samples as done, so that a slow model's bar moves with every batch."""
        self._report(int(samples * (finished_targets + of_target) / targets))

    def _report(self, underway: int = 0) -> None:
        if self._on_progress:
            done = self._done + underway
            self._on_progress(Progress(done, len(self._plan.samples), len(self._plan.unreadable), done - self._before))


def _require_images(manifest: Manifest) -> None:
    """Nothing, unless the whole folder of images is gone: then a list of a million missing files helps nobody."""
    if not manifest.root.is_dir() and any(not Path(path).is_absolute() for path in manifest.table["path"]):
        raise ManifestError(
            f"{manifest.root} is gone, where the images of {manifest.name} were: import them from their new place with "
            "--force. Features that were extracted are kept and found again by content."
        )


def _finished(plan: Plan) -> int:
    """Samples that are done or failed in every target."""
    statuses = [plan.status(target) for target in plan.targets]
    return int(np.count_nonzero(np.all([status != 0 for status in statuses], axis=0)))


def _summary(target: Target, plan: Plan) -> ModelExtraction:
    status = plan.status(target)
    return ModelExtraction(
        model=target.model.card.name,
        taps=target.taps,
        view=target.view.name,
        precision=target.precision,
        batch_size=target.batch_size,
        device=target.device,
        address=target.store.settings.address,
        name=target.store.path.name,
        rows=len(plan.samples),
        done=int(np.count_nonzero(status == DONE)),
        failed=int(np.count_nonzero(status == FAILED)),
        computed=target.computed,
        seconds=round(target.seconds, 3),
    )


def _failures(plan: Plan) -> pd.DataFrame:
    failures = []
    for target in plan.targets:
        reasons = target.store.reasons()
        for row in np.flatnonzero(plan.status(target) == FAILED):
            reason = plan.unreadable.get(int(row)) or reasons.get(plan.keys[row].tobytes(), "cannot be read")
            failures.append((plan.samples.name(int(row)), target.model.card.name, reason))
    return pd.DataFrame(failures, columns=["path", "model", "reason"])
