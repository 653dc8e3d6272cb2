"""Training data: which rows of a manifest are learned from, in which order, and threads that load them ahead."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Int, Labels
from probekit.errors import ImageError, ProbeError
from probekit.parallel import import_now
from probekit.protocols import partitions, turns
from probekit.samples import Samples
from probekit.training.augmentation import augmented
from probekit.training.draws import generator_for
from probekit.training.settings import TrainSettings
from probekit.trials import TrainingSet
from probekit.views import LIBRARIES, View

if TYPE_CHECKING:
    from torch import Tensor

Rows = Int[np.ndarray, " r"]
"""Numbers of rows of the manifest."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a network learns to tell apart, and from which images."""

    name: str
    """Of the training set: `lama+ldm`."""
    classes: tuple[str, ...]
    """`real` first."""
    numbers: Labels
    """Class of every row of the manifest; of rows that are not meant it says nothing."""
    makers: Labels
    """Number of the generator of every row, 0 for real ones."""
    train: Rows
    val: Rows
    """Of other groups than the training rows; none where a class is missing there."""

    @classmethod
    def of(cls, samples: pd.DataFrame, asked: TrainingSet, classes: Sequence[str]) -> "Lesson":
        """The rows of the manifest's own train and val splits, whatever its folds: networks are trained once.

        Raises:
            ProbeError: a class has no training images.
        """
        none = np.zeros(len(samples), dtype=bool)
        divided = partitions(samples, folds=0, seed=0)
        (turn,) = turns(samples, asked.classes, asked.rows, divided, scored=none, selection="val", seed=0)
        numbers, there = np.arange(len(classes)), set(asked.classes[turn.train].tolist())
        if lacking := [name for number, name in enumerate(classes) if number not in there]:
            raise ProbeError(
                f"{asked.name}: the train split has no images of {', '.join(lacking)}, and a network needs every class "
                "to learn from: add some, or name other generators."
            )
        whole = bool(np.isin(numbers, asked.classes[turn.val]).all())
        makers = samples["generator"].where(samples["label"] == 1, "").astype("str")
        found = np.unique(makers.to_numpy(dtype=str), return_inverse=True)[1]
        val = np.flatnonzero(turn.val) if whole else np.zeros(0, dtype=np.int64)
        return cls(asked.name, tuple(classes), asked.classes, found, np.flatnonzero(turn.train), val)

    def counts(self, rows: Rows) -> dict[str, int]:
        """Images of each class among these rows."""
        found = np.bincount(self.numbers[rows], minlength=len(self.classes))
        return {name: int(count) for name, count in zip(self.classes, found, strict=True)}

    def order(self, settings: TrainSettings, epoch: int) -> Rows:
        """The training rows in the order of an epoch: a function of seed and epoch alone."""
        generator, rows = generator_for("order", settings.seed, epoch), self.train
        if settings.balanced:
            own = [rows[self.numbers[rows] == number] for number in range(len(self.classes))]
            fewest = min(map(len, own))
            rows = np.concatenate([generator.permutation(members)[:fewest] for members in own])
        shuffled: Rows = generator.permutation(rows)
        return shuffled


def batches(rows: Rows, size: int) -> list[Rows]:
    """The rows in their order, `size` at a time; a single one left over joins those before it."""
    found = [rows[start : start + size] for start in range(0, len(rows), size)]
    if len(found) > 1 and len(found[-1]) == 1:
        found[-2:] = [np.concatenate(found[-2:])]
    return found


@dataclass(frozen=True)
class Crop:
    """One image as a thread left it."""

    row: int
    pixels: "Tensor | None"
    """uint8 (3, h, w); None of an image that cannot be read."""
    reason: str = ""


def training_crop(samples: Samples, view: View, settings: TrainSettings, epoch: int, row: int) -> Crop:
    """The augmented crop of a row in an epoch."""

    def look(pixels: "Tensor", key: bytes) -> "Tensor":
        return augmented(pixels, view, settings.augment, generator_for("augment", settings.seed, epoch, key))

    return _crop(samples, row, look)


def plain_crop(samples: Samples, view: View, row: int) -> Crop:
    """The crop that extraction shows to the network."""
    return _crop(samples, row, lambda pixels, _: view.crops(pixels)[0])


def _crop(samples: Samples, row: int, look: "Callable[[Tensor, bytes], Tensor]") -> Crop:
    try:
        content = sources.read(samples[row])
        return Crop(row, look(content.decode(), content.key))
    except ImageError as error:
        return Crop(row, None, str(error))


def stream(wanted: Iterable[Rows], load: Callable[[int], Crop], workers: int) -> Iterator[list[Crop]]:
    """The crops of each batch in turn, while threads load those that follow: the next batch, and one more.

    Args:
        wanted: rows of each batch.
        load: gives the crop of a row; several threads call it at once.
        workers: so many.
    """
    import_now(LIBRARIES)
    waiting: deque[list[Future[Crop]]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        try:
            for rows in wanted:
                waiting.append([pool.submit(load, int(row)) for row in rows])
                if len(waiting) > 2:
                    yield [crop.result() for crop in waiting.popleft()]
            while waiting:
                yield [crop.result() for crop in waiting.popleft()]
        finally:
            pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class Minibatch:
    """What one step learns from."""

    crops: list[Crop]
    """Two or more, all with pixels."""
    batches: int
    """So many batches of the epoch's order it takes the place of."""


def minibatches(loaded: Iterable[list[Crop]]) -> Iterator[Minibatch]:
    """The readable crops of batches, a step at a time: one alone joins those after it, and the last those before it.

    One image has no batch statistics and nothing to be contrasted with. Whatever comes after a step depends on the
    batches after it alone, so that an interrupted epoch goes on at any of them.
    """
    ready, crops, spanned = None, list[Crop](), 0
    for batch in loaded:
        crops, spanned = crops + [crop for crop in batch if crop.pixels is not None], spanned + 1
        if len(crops) >= 2:
            if ready:
                yield ready
            ready, crops, spanned = Minibatch(crops, spanned), [], 0
    if ready:
        yield Minibatch(ready.crops + crops, ready.batches + spanned)
