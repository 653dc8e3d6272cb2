"""Loading: threads read, hash, decode and crop ahead of the models."""

import itertools
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from probekit import sources
from probekit.arrays import Mask
from probekit.errors import ImageError
from probekit.extract.plan import Unit
from probekit.extract.target import Target
from probekit.keys import Status
from probekit.parallel import import_now
from probekit.views import LIBRARIES, View

if TYPE_CHECKING:
    from torch import Tensor

AHEAD_BYTES = 512 << 20  # of crops that wait for the models, about
REMOTE_READS = 32  # objects that are read from a bucket at one time, where an answer takes long
CHUNK = 64  # samples handed over together: one look into the stores for all of them


@dataclass(frozen=True)
class Loaded:
    """One sample as a thread left it; without crops when every store has it, or when there is a reason."""

    row: int
    digest: bytes | None = None
    stat: Status | None = None
    """Of its file or object, taken before it was read."""
    key: bytes | None = None
    crops: "Mapping[View, list[Tensor]]" = field(default_factory=dict)
    refused: Mapping[View, str] = field(default_factory=dict)
    """Views that cannot show this image, and why."""
    reason: str | None = None
    """Why no model can see it."""

    def shows(self, view: View) -> bool:
        """Whether it has crops of this view, or a reason why there are none."""
        return self.reason is not None or view in self.crops or view in self.refused

    @property
    def size(self) -> int:
        """Bytes of its crops."""
        return sum(crop.numel() for crops in self.crops.values() for crop in crops)


class Wanted(Protocol):
    """What loading has to know of the samples that units are made of."""

    @property
    def samples(self) -> Sequence[sources.Sample]:
        """All of them; units name them by their numbers."""

    @property
    def known(self) -> Mask:
        """Samples whose key is known, so that it is known too which targets lack them."""

    @property
    def unit_size(self) -> int:
        """Samples in a unit, at most."""

    @property
    def remote(self) -> bool:
        """Whether any of them is in a bucket."""

    @property
    def device(self) -> str:
        """Where they will be computed."""

    def has(self, target: Target, key: bytes) -> bool:
        """Whether a store is known to have an image of which only now the key is known."""


def stream(units: Iterable[Unit], plan: Wanted, workers: int) -> Iterator[tuple[Unit, list[Loaded]]]:
    """Samples of the units in order, some of one unit at a time, while threads load what follows.

    How far they load ahead is bounded: by two units, so that other processes find units to claim, and by
    `AHEAD_BYTES`, because one image of a tiling view may be hundreds of crops.
    """
    each = ((unit, at) for unit in units for at in range(len(unit.rows)))
    if (first := next(each, None)) is None:
        return  # and nobody waits for libraries that are not needed, or has them in memory
    samples = itertools.chain([first], each)
    waiting: deque[tuple[Unit, Future[Loaded]]] = deque()
    room, submitted = _Room(AHEAD_BYTES), 0
    decoding = threading.BoundedSemaphore(workers)
    import_now(LIBRARIES)
    readers = max(workers, REMOTE_READS) if plan.remote else workers
    with ThreadPoolExecutor(readers, thread_name_prefix="load") as pool:
        try:
            while True:
                while len(waiting) < max(readers + 1, 2 * plan.unit_size) and (following := next(samples, None)):
                    unit, at = following
                    waiting.append((unit, pool.submit(_load_in, room, decoding, submitted, unit, at, plan)))
                    submitted += 1
                if not waiting:
                    return
                unit, chunk = _ready(waiting)
                room.hand_over(len(chunk), sum(sample.size for sample in chunk))
                yield unit, chunk
        finally:
            room.close()
            pool.shutdown(cancel_futures=True)


class _Room:
    """Room for crops that wait for the models; while there is none, only the sample that is waited for is loaded."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._first = 0  # number of the sample that is handed over next
        self._closed = False
        self._changed = threading.Condition()

    def enter(self, number: int) -> bool:
        """True once there is room for the crops of this sample; False when nobody wants them any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or number <= self._first or self._bytes < self._limit)
            return not self._closed

    def fill(self, size: int) -> None:
        """Note crops that wait now."""
        with self._changed:
            self._bytes += size

    def hand_over(self, samples: int, size: int) -> None:
        """Note that the first samples are gone, with their crops."""
        with self._changed:
            self._first += samples
            self._bytes -= size
            self._changed.notify_all()

    def close(self) -> None:
        """Let every thread go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _ready(waiting: "deque[tuple[Unit, Future[Loaded]]]") -> tuple[Unit, list[Loaded]]:
    """The first sample, waited for, and those of its unit after it that are ready too."""
    unit, first = waiting.popleft()
    chunk = [first.result()]
    while waiting and len(chunk) < CHUNK and waiting[0][0] is unit and waiting[0][1].done():
        chunk.append(waiting.popleft()[1].result())
    return unit, chunk


def _load_in(
    room: _Room, decoding: threading.BoundedSemaphore, number: int, unit: Unit, at: int, plan: Wanted
) -> Loaded:
    row = int(unit.rows[at])
    if not room.enter(number):
        return Loaded(row)
    try:
        content = sources.read(plan.samples[row])
    except ImageError as error:
        return Loaded(row, reason=str(error))
    with decoding:  # of many threads that wait for a bucket, as many compute as there are processors
        loaded = _load(content, unit, at, plan)
    room.fill(loaded.size)
    return loaded


def _load(content: sources.Content, unit: Unit, at: int, plan: Wanted) -> Loaded:
    row = int(unit.rows[at])
    digest, stat, key = content.digest, content.stat, content.key
    targets = [target for target in unit.targets_of(at) if plan.known[row] or not plan.has(target, key)]
    if not targets:
        return Loaded(row, digest, stat, key)
    views = {target.view for target in targets}
    try:
        pixels = content.decode(plan.device if any(view.decoder for view in views) else None)
    except ImageError as error:
        return Loaded(row, digest, stat, key, reason=str(error))
    crops, refused = _look(pixels, views, key)
    return Loaded(row, digest, stat, key, crops, refused)


def _look(pixels: "Tensor", views: set[View], key: bytes) -> "tuple[dict[View, list[Tensor]], dict[View, str]]":
    """What each view shows of an image, or why it cannot; a perturbation is done once for all views that share it."""
    crops: dict[View, list[Tensor]] = {}
    refused: dict[View, str] = {}
    for perturbation in {view.perturbation for view in views}:
        alike = [view for view in views if view.perturbation == perturbation]
        try:
            perturbed = perturbation.apply(pixels, key)
        except ImageError as error:
            refused |= dict.fromkeys(alike, str(error))
            continue
        for view in alike:
            try:
                crops[view] = view.crops(perturbed)
            except ImageError as error:  # of this view alone: other models may see the image
                refused[view] = str(error)
    return crops, refused
