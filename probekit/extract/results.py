"""What an extraction did, of one process or of several together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from probekit.fingerprint import plain


@dataclass(frozen=True)
class ModelExtraction:
    """What an extraction did for one model."""

    model: str
    taps: tuple[str, ...]
    view: str
    perturb: str
    """The chain of perturbations in its canonical spelling; `none` for the clean view."""
    precision: str
    batch_size: int
    device: str
    address: str
    name: str
    """Of the store's folder."""
    weights_sha256: str | None
    """None of a model without weights."""
    rows: int
    """Distinct samples of the manifest."""
    done: int
    failed: int
    computed: int
    """Images that went through the model in this run."""
    seconds: float
    """Time in its forward passes, of all devices together."""


@dataclass(frozen=True)
class WorkerRecord:
    """What one worker of a cluster was and did."""

    name: str
    """HOST:PROCESS."""
    device: str
    hardware: str
    threads: int
    precision: Mapping[str, str]
    """Model → the number format that it computed in."""
    versions: Mapping[str, str]
    units: int
    images: int
    """Samples that it brought through models."""


@dataclass(frozen=True)
class ExtractResult:
    """What an extraction did."""

    models: tuple[ModelExtraction, ...]
    failed: pd.DataFrame
    """path, model, view and reason of every sample without features."""
    seconds: float
    images: int
    """Samples that went through models in this run."""
    notes: tuple[str, ...] = ()
    """What a user should know beside it."""

    workers: tuple[WorkerRecord, ...] = ()
    """Of a cluster; those that died, too."""

    @property
    def images_per_second(self) -> float | None:
        """Samples that went through models over the time it took; None when none had to."""
        return self.images / self.seconds if self.images else None

    def to_json(self) -> dict[str, Any]:
        """Plain values for `--json` and `run.json`."""
        return {
            "models": [plain(model) for model in self.models],
            "failed": self.failed.to_dict(orient="records"),
            "seconds": round(self.seconds, 3),
            "images_per_second": self.images_per_second and round(self.images_per_second, 2),
            "notes": list(self.notes),
        } | ({"workers": [plain(worker) for worker in self.workers]} if self.workers else {})


def merged(results: Sequence[ExtractResult], notes: Sequence[str], seconds: float) -> ExtractResult:
    """The result of processes that shared one job; each has seen the end of it."""
    models = tuple(
        replace(
            alike[-1],
            device=",".join(model.device for model in alike),
            computed=sum(model.computed for model in alike),
            seconds=round(sum(model.seconds for model in alike), 3),
            batch_size=min(model.batch_size for model in alike),
        )
        for alike in zip(*(result.models for result in results), strict=True)
    )
    every_note = dict.fromkeys([*notes, *(note for result in results for note in result.notes)])
    return ExtractResult(models, results[-1].failed, seconds, sum(r.images for r in results), tuple(every_note))
