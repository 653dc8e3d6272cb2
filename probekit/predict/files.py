"""Predictions for image files: decoded ahead by threads, scored a batch at a time, in memory that does not grow."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit import models
from probekit.arrays import Features, Float
from probekit.errors import ProbeError, UsageError
from probekit.heads import Head, Outputs
from probekit.layouts.given import list_images
from probekit.models import compute
from probekit.parallel import processors
from probekit.predict.loading import Shown, batches
from probekit.predict.predictions import Predictions, PredictSettings, give_verdicts
from probekit.registry import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = 16


def predict_images(
    inputs: Sequence[Path],
    head: Head,
    settings: PredictSettings | None = None,
    *,
    weights: Mapping[str, Path] | None = None,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    workers: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Predictions:
    """Scores of images, of all images in folders and archives and of frames of videos, in the order given, each once.

    Args:
        inputs: files, whatever their names, and folders, where names tell the images.
        head: what scores them.
        settings: threshold, precision, and frames of a video.
        weights: name of the head's model → checkpoint, where it does not come from a hub.
        device: `cpu`, `cuda:1` …; the first GPU if there is one, else the CPU.
        batch_size: crops in one forward pass; across sizes scores agree within rounding.
        workers: threads that read and decode; one per processor unless given.
        on_progress: called with (images done, all images) after every batch.

    Raises:
        UsageError: there is no image, or no such device, or none that the view needs.
        WeightsError: the model's weights cannot be had.
        ProbeError: the head does not fit the model.
    """
    chosen = settings or PredictSettings()
    chosen.log_odds(head)  # which refuses a threshold that the head has no use for
    samples, notes = list_images(inputs, chosen.frames)
    where = compute.devices(device)[0]
    model = _find_model(head, weights or {})
    assert head.view is not None  # or there were no model
    decoder = _decoder(head, where)
    precision = chosen.precision or head.precision
    net = compute.load(model, where, precision, head.compiled)
    scored: list[str] = []
    outputs: list[Float[np.ndarray, "..."]] = []
    failed: list[tuple[str, str]] = []
    if on_progress:
        on_progress(0, len(samples))
    for batch in batches(samples, head.view, batch_size, workers or processors(), decoder):
        crops = [crop for shown in batch for crop in shown.crops]
        features = _forward(net, crops, head.taps, where, batch_size)
        usable = _usable(head, model.card.name, batch, features, failed)
        scored += [name for name, _ in usable]
        outputs += _outputs(head, [own for _, own in usable])
        if on_progress:
            on_progress(len(scored) + len(failed), len(samples))
    source = {
        "model": model.card.name,
        "view": head.view_name,
        "precision": precision,
        "weights_sha256": model.weights.sha256,
    }
    stacked = np.stack(outputs) if outputs else head.outputs({tap: np.zeros((0, w)) for tap, w in head.widths.items()})
    table = give_verdicts(pd.DataFrame({"path": scored}), stacked, head, chosen)
    if precision != head.precision:
        notes += (f"computed in {precision}, but {head.path} is for features computed in {head.precision}.",)
    failures = pd.DataFrame(failed, columns=["path", "reason"])
    return Predictions(head, chosen, source, table, failures, notes=(*notes, *head.notes))


def _usable(
    head: Head, model: str, batch: Sequence[Shown], features: Mapping[str, Features], failed: list[tuple[str, str]]
) -> list[tuple[str, Mapping[str, Features]]]:
    """Name and features of every image of a batch that has finite ones; the others are added to `failed`."""
    usable, at = [], 0
    for shown in batch:
        rows = slice(at, at + len(shown.crops))
        at = rows.stop
        if shown.reason is not None:
            failed.append((shown.sample.name, shown.reason))
            continue
        own = head.as_stored({tap: values[rows] for tap, values in features.items()})
        if all(np.isfinite(values).all() for values in own.values()):
            usable.append((shown.sample.name, own))
        else:
            failed.append((shown.sample.name, f"its features of {model} are not finite"))
    return usable


def _outputs(head: Head, images: Sequence[Mapping[str, Features]]) -> list[Float[np.ndarray, "..."]]:
    """One output an image; those of several crops are averaged, as RINE's authors do."""
    if not images:
        return []
    outputs: Outputs = head.outputs({tap: np.concatenate([own[tap] for own in images]) for tap in head.taps})
    ends = np.cumsum([len(own[head.taps[0]]) for own in images])[:-1]
    return [rows.mean(axis=0) for rows in np.split(outputs, ends)]


def _forward(
    net: models.FrozenModel, crops: "Sequence[Tensor]", taps: Sequence[str], device: str, size: int
) -> dict[str, Features]:
    parts = [compute.forward(net, crops[at : at + size], taps, device) for at in range(0, len(crops), size)]
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in taps} if parts else {}


def _find_model(head: Head, weights: Mapping[str, Path]) -> models.Model:
    """The head's model, under the name that the weights are given for."""
    if head.view is None:
        raise ProbeError(
            f"{head.path}: learned from imported features of {head.models[0]} in view {head.view_name}, which cannot "
            "be computed here: score a manifest whose features are imported, not images."
        )
    for name in weights:
        if name not in head.models:
            raise unknown_name(f"model of {head.path}", name, head.models)
    name = next(iter(weights), head.models[0])
    model = models.find(name, weights.get(name))
    head.check_model(model.card, model.weights.sha256)
    return model


def _decoder(head: Head, device: str) -> str | None:
    """The GPU that decodes, where the head's view wants its decoder."""
    if head.view is None or not head.view.decoder:
        return None
    if not device.startswith("cuda"):
        raise UsageError(
            f"{head.path}: learned from images that {head.view.decoder} decoded, which needs a GPU: choose one with "
            "--device, or train on features that were extracted without --decoder."
        )
    return device
