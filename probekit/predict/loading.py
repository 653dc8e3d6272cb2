"""Images read and cropped ahead by threads."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import TYPE_CHECKING

from probekit import sources
from probekit.errors import ImageError
from probekit.parallel import import_now
from probekit.sources import Sample
from probekit.views import LIBRARIES, View

if TYPE_CHECKING:
    from torch import Tensor

AHEAD_BYTES = 256 << 20  # of crops that wait for the model; those of the images being read come on top


@dataclass(frozen=True)
class Shown:
    """One image as a thread left it: its crops, or why there are none."""

    sample: Sample
    crops: "Sequence[Tensor]" = ()
    reason: str | None = None

    @property
    def size(self) -> int:
        """Bytes of its crops."""
        return sum(crop.numel() for crop in self.crops)


def batches(samples: Sequence[Sample], view: View, size: int, workers: int, gpu: str | None) -> Iterator[list[Shown]]:
    """Images in order, some at a time: at least `size` crops, of at most `size` images, but for the last.

    Meanwhile threads read what follows: two batches of images at most, and no more than fit in `AHEAD_BYTES`.

    Args:
        samples: what to show.
        view: how.
        size: of a batch.
        workers: threads.
        gpu: the device that decodes, where the view has a decoder of its own.
    """
    batch: list[Shown] = []
    crops = 0
    for shown in _stream(samples, view, 2 * size, workers, gpu):
        batch.append(shown)
        crops += len(shown.crops)
        if len(batch) >= size or crops >= size:
            yield batch
            batch, crops = [], 0
    if batch:
        yield batch


def _stream(samples: Sequence[Sample], view: View, most: int, workers: int, gpu: str | None) -> Iterator[Shown]:
    coming = iter(samples)
    waiting: deque[Future[Shown]] = deque()
    import_now(LIBRARIES)
    with ThreadPoolExecutor(workers, thread_name_prefix="load") as pool:
        try:
            while True:
                while _room(waiting, most, workers) and (sample := next(coming, None)):
                    waiting.append(pool.submit(_show, sample, view, gpu))
                if not waiting:
                    return
                if waiting[0].done():
                    yield waiting.popleft().result()
                else:  # whichever is ready makes room for another
                    wait([future for future in waiting if not future.done()], return_when=FIRST_COMPLETED)
        finally:
            pool.shutdown(cancel_futures=True)


def _room(waiting: "deque[Future[Shown]]", most: int, workers: int) -> bool:
    """Whether another image may be read; how large an image becomes is known once it is there."""
    ready = [future.result() for future in waiting if future.done()]
    reading = len(waiting) - len(ready)
    return len(waiting) < most and reading <= workers and sum(shown.size for shown in ready) < AHEAD_BYTES


def _show(sample: Sample, view: View, gpu: str | None) -> Shown:
    try:
        content = sources.read(sample)
        return Shown(sample, view.apply(content.decode(gpu), content.key))
    except ImageError as error:
        return Shown(sample, reason=str(error))
