"""Predictions for image files: decoded ahead by threads, scored a batch at a time, in memory that does not grow."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit import models, sources
from probekit.arrays import Features
from probekit.errors import ImageError, UsageError
from probekit.heads import Head
from probekit.layouts.listing import is_image, list_files
from probekit.models import compute
from probekit.predict.predictions import Predictions, PredictSettings, give_verdicts
from probekit.registry import unknown_name
from probekit.sources import ARCHIVES, Sample
from probekit.views import View

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
    """Scores of images and of all images in folders, in the order given, each once.

    Args:
        inputs: files, whatever their names, and folders, where names tell the images.
        head: what scores them.
        settings: threshold and precision.
        weights: name of the head's model → checkpoint, where it does not come from a hub.
        device: `cpu`, `cuda:1` …; the first GPU if there is one, else the CPU.
        batch_size: crops in one forward pass; across sizes scores agree within rounding.
        workers: threads that read and decode; one per processor unless given.
        on_progress: called with (images done, all images) after every batch.

    Raises:
        UsageError: there is no image, or no such device.
        WeightsError: the model's weights cannot be had.
        ProbeError: the head does not fit the model.
    """
    chosen = settings or PredictSettings()
    samples, notes = list_images(inputs)
    where = compute.devices(device)[0]
    model = _find_model(head, weights or {})
    precision = chosen.precision or "float32"
    net = compute.load(model, where, precision)
    scored: list[tuple[str, float]] = []
    failed: list[tuple[str, str]] = []
    if on_progress:
        on_progress(0, len(samples))
    for batch in _shown(samples, head.view, batch_size, workers or os.cpu_count() or 1):
        crops = [crop for shown in batch for crop in shown.crops]
        features = _forward(net, crops, head.taps, where, batch_size)
        at = 0
        for shown in batch:
            own = {tap: rows[at : at + len(shown.crops)] for tap, rows in features.items()}
            at += len(shown.crops)
            if shown.reason is not None:
                failed.append((shown.sample.name, shown.reason))
            elif not all(np.isfinite(rows).all() for rows in own.values()):
                failed.append((shown.sample.name, f"its features of {model.card.name} are not finite"))
            else:  # log-odds of several crops are averaged, as RINE's authors do
                scored.append((shown.sample.name, float(np.mean(head.scores(own)))))
        if on_progress:
            on_progress(len(scored) + len(failed), len(samples))
    source = {
        "model": model.card.name,
        "view": head.view.name,
        "precision": precision,
        "weights_sha256": model.weights.sha256,
    }
    table = give_verdicts(pd.DataFrame(scored, columns=["path", "score"]), head, chosen)
    return Predictions(head, chosen, source, table, pd.DataFrame(failed, columns=["path", "reason"]), notes=notes)


def list_images(inputs: Sequence[Path]) -> tuple[list[Sample], tuple[str, ...]]:
    """Files as given and the images in folders and archives, sorted, each once; and what these hold beside images.

    Raises:
        UsageError: a folder or archive holds no image, or nothing is given.
    """
    found: dict[Sample, None] = {}
    notes = []
    for given in inputs:
        if not os.path.isdir(given) and given.suffix.lower() not in ARCHIVES:  # noqa: PTH112  # Path.is_dir raises for
            found[Sample(str(given))] = None  # a name that is too long
            continue
        listed = list_files(given)
        inside = [Sample(str(listed.root / file.path), file.member) for file in listed.files if is_image(file.place)]
        others = [file.name for file in listed.files if not is_image(file.place)] + [path for path, _ in listed.ignored]
        if not inside:
            raise UsageError(f"{given} holds no image ({len(others)} other files): give images or their folder.")
        if others:
            notes.append(f"{given}: {len(others)} files are no images by their names: left out (first: {others[0]}).")
        found |= dict.fromkeys(inside)
    if not found:
        raise UsageError("there is nothing to predict: give images, folders or a manifest.")
    return list(found), tuple(notes)


@dataclass(frozen=True)
class _Shown:
    """One image as a thread left it: its crops, or why there are none."""

    sample: Sample
    crops: "Sequence[Tensor]" = ()
    reason: str | None = None


def _shown(samples: Sequence[Sample], view: View, size: int, workers: int) -> Iterator[list[_Shown]]:
    """Batches of images; while one is used, the next is read and decoded."""
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        ahead: deque[list[Future[_Shown]]] = deque()
        try:
            for begin in range(0, len(samples), size):
                ahead.append([pool.submit(_show, sample, view) for sample in samples[begin : begin + size]])
                if len(ahead) > 1:
                    yield [future.result() for future in ahead.popleft()]
            while ahead:
                yield [future.result() for future in ahead.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)


def _show(sample: Sample, view: View) -> _Shown:
    try:
        content = sources.read(sample)
        return _Shown(sample, view.apply(content.decode(), content.key))
    except ImageError as error:
        return _Shown(sample, reason=str(error))


def _forward(
    net: models.FrozenModel, crops: "Sequence[Tensor]", taps: Sequence[str], device: str, size: int
) -> dict[str, Features]:
    parts = [compute.forward(net, crops[at : at + size], taps, device) for at in range(0, len(crops), size)]
    return {tap: np.concatenate([part[tap] for part in parts]) for tap in taps} if parts else {}


def _find_model(head: Head, weights: Mapping[str, Path]) -> models.Model:
    """The head's model, under the name that the weights are given for."""
    for name in weights:
        if name not in head.models:
            raise unknown_name(f"model of {head.path}", name, head.models)
    name = next(iter(weights), head.models[0])
    model = models.find(name, weights.get(name))
    head.check_model(model.card)
    return model
