"""A lane: one target's way from loaded images to committed rows."""

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Float
from probekit.extract.target import Target
from probekit.models.compute import Launched
from probekit.store import Rows
from probekit.store.store import FOLD_PARTS

if TYPE_CHECKING:
    from torch import Tensor

COMMIT_SECONDS = 60.0  # a kill loses no more work than this
COMMIT_BYTES = 128 << 20  # of features that wait: patch tokens of every block take 24 MiB an image


@dataclass(frozen=True)
class ImageCrops:
    """What a model sees of one image, or why it sees nothing."""

    key: bytes
    path: str
    unit: str
    """Name of the claim under which it is computed."""
    share: float
    """What it counts for in the progress: images that several targets lack count for a part in each."""
    crops: "Sequence[Tensor]" = ()
    """uint8 (3, H, W) each."""
    reason: str | None = None


@dataclass(frozen=True)
class _Row:
    """One row to be: the crop of an image. Pixels are kept apart, because they are done with much earlier."""

    key: bytes
    crop: int
    path: str
    unit: str
    share: float
    """Not zero for the last crop of an image alone."""
    reason: str | None = None


class Lane:
    """Crops queue up to full batches, batches run, rows are committed by the writer while further ones run.

    Batches reach across units and images, so that a device always gets whole ones.
    """

    def __init__(
        self,
        target: Target,
        writer: Executor,
        commit_size: int,
        *,
        on_image: Callable[[float], None],
        on_committed: Callable[[str], None],
    ) -> None:
        self.target = target
        self._writer = writer
        self._commit_size = commit_size
        self._on_image = on_image
        self._on_committed = on_committed
        self._underway: set[bytes] = set()  # keys whose rows cannot be seen in the store yet
        self._queue: deque[tuple[_Row, Tensor]] = deque()
        self._launched: deque[tuple[list[_Row], Launched]] = deque()
        self._rows: list[_Row] = []
        """Computed and not committed, with their features in `_features`."""
        self._features: list[dict[str, Float[np.ndarray, "b ..."]]] = []
        self._failures: list[_Row] = []
        self._oldest = time.monotonic()
        self._writing: deque[tuple[Future[None], list[_Row]]] = deque()

    def reserve(self, key: bytes) -> bool:
        """Whether the image is still to be put in; the same bytes under another path are computed once."""
        fresh = key not in self._underway
        self._underway.add(key)
        return fresh

    def put(self, image: ImageCrops) -> None:
        """Take in a reserved image; its crops run as soon as there are enough for a batch."""
        if image.reason is not None:
            self._failures.append(_Row(image.key, 0, image.path, image.unit, image.share, image.reason))
            self._on_image(image.share)
        last = len(image.crops) - 1
        for number, pixels in enumerate(image.crops):
            share = image.share if number == last else 0.0
            self._queue.append((_Row(image.key, number, image.path, image.unit, share), pixels))
        while len(self._queue) >= self.target.batch_size:
            self._launch()
        self.commit(at_least=self._commit_size)

    def flush(self) -> None:
        """Run and commit whatever is left; all is safe when this returns."""
        self.run_out()
        self.settle(waiting=0)

    def run_out(self) -> list[Future[None]]:
        """Run whatever is left and hand it to the writer; all is safe when what this returns has ended."""
        while self._queue:
            self._launch()
        while self._launched:
            self._collect()
        self.commit(at_least=1)
        return [future for future, _ in self._writing]

    def commit(self, at_least: int) -> None:
        """Hand complete images to the writer, if there are so many or if they have waited for long."""
        self.settle(waiting=1)
        images = sum(1 for row in self._rows if row.share) + len(self._failures)
        if not images or not (images >= at_least or self._is_due()):
            return
        self.settle(waiting=0)
        complete = max((at for at, row in enumerate(self._rows, start=1) if row.share), default=0)
        features = {tap: np.concatenate([batch[tap] for batch in self._features]) for tap in self._taps if complete}
        rows = self._rows[:complete] + self._failures
        done = {tap: values[:complete] for tap, values in features.items()}
        shapes = {tap: self.target.width(tap) for tap in self._taps if self._failures}
        self._writing.append((self._writer.submit(self._write, rows, done, shapes), rows))
        self._rows, self._failures = self._rows[complete:], []
        self._features = [{tap: values[complete:].copy() for tap, values in features.items()}] if self._rows else []
        self._oldest = time.monotonic()

    def settle(self, waiting: int) -> None:
        """Tell what has been committed; wait for the writer until no more than `waiting` commits are under way.

        Raises:
            FeatureOverflowError: a feature that the store's number format cannot hold.
            StoreError: the store cannot be written.
        """
        while self._writing and (len(self._writing) > waiting or self._writing[0][0].done()):
            future, rows = self._writing.popleft()
            future.result()
            self.target.store.update()
            self._underway.difference_update(row.key for row in rows)
            for row in rows:
                if row.share:
                    self._on_committed(row.unit)

    def _is_due(self) -> bool:
        waiting = sum(values.nbytes for batch in self._features for values in batch.values())
        return waiting >= COMMIT_BYTES or time.monotonic() - self._oldest >= COMMIT_SECONDS

    @property
    def _taps(self) -> tuple[str, ...]:
        return self.target.taps

    def _launch(self) -> None:
        """Start the next batch; with half the batch size next time if there is no memory for it."""
        batch = [self._queue[at] for at in range(min(self.target.batch_size, len(self._queue)))]
        try:
            launched = self.target.launch([pixels for _, pixels in batch])
        except MemoryError:
            return  # the caller's loop comes again
        for _ in batch:
            self._queue.popleft()
        self._launched.append(([row for row, _ in batch], launched))
        while len(self._launched) > self.target.ahead:
            self._collect()

    def _collect(self) -> None:
        rows, launched = self._launched.popleft()
        began = time.perf_counter()
        features = launched.collect()
        self.target.seconds += time.perf_counter() - began
        if not self._rows:
            self._oldest = time.monotonic()
        self._rows += rows
        self._features.append({tap: values[: len(rows)] for tap, values in features.items()})
        for row in rows:
            if row.share:
                self.target.computed += 1
                self._on_image(row.share)

    def _write(
        self,
        rows: Sequence[_Row],
        features: dict[str, Float[np.ndarray, "n ..."]],
        shapes: Mapping[str, tuple[int, ...]],
    ) -> None:
        """Commit these rows, the failed ones among them last; then fold if there is enough to fold."""
        store, failed = self.target.store, [row for row in rows if row.reason is not None]
        for tap, shape in shapes.items():  # there are failures
            gaps = np.full((len(failed), *shape), np.nan, np.float32)
            features[tap] = np.concatenate([features[tap], gaps]) if tap in features else gaps
        computed = Rows(
            keys=np.stack([np.frombuffer(row.key, np.uint8) for row in rows]),
            crops=np.array([row.crop for row in rows], np.int16),
            features=features,
            reasons={row.key: row.reason for row in failed if row.reason is not None},
        )
        store.commit(computed, [row.path for row in rows])
        store.fold(at_least=FOLD_PARTS)
