"""probekit's own steps: apart (decoding, forward passes) and together (an extraction)."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from probekit import images, models
from probekit.extract import ExtractSettings, Progress, extract
from probekit.manifest import Manifest
from probekit.models import Batch, FrozenModel, compute
from probekit.views import View
from tests.benchmarks.benchmark import NotMeasured
from tests.benchmarks.machine import cores
from tests.benchmarks.timing import Times

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module


@dataclass(frozen=True, eq=False)
class Subject:
    """A model as the benchmarks run it, apart from the engine."""

    name: str
    weights: Path | None = None
    taps: tuple[str, ...] = ()
    """The default tap where none is named."""
    device: str = "cpu"
    batch_size: int = 32

    @cached_property
    def model(self) -> models.Model:
        """The model, found."""
        return models.find(self.name, self.weights)

    @cached_property
    def net(self) -> FrozenModel:
        """The model, loaded."""
        return compute.load(self.model, self.device, self.precision)

    @property
    def precision(self) -> str:
        """What the engine computes it in unless told otherwise."""
        return "float32" if self.model.card.per_image else compute.default_precision(self.device)

    @property
    def view(self) -> View:
        """The model's own."""
        return self.model.card.view

    def batches(self, crops: "Sequence[Tensor]") -> list[Batch]:
        """Ready batches on the device, the last one as long as it comes."""
        import torch

        parts = [crops[begin : begin + self.batch_size] for begin in range(0, len(crops), self.batch_size)]
        return [
            Batch(torch.stack(list(part)).to(self.device), torch.tensor([crop.shape[1:] for crop in part]))
            for part in parts
        ]

    def forward(self, batches: Sequence[Batch]) -> None:
        """The network alone, on ready batches; its features stay where they are."""
        import torch

        for batch in batches:
            self.net(batch, self.taps or (self.model.card.default_tap,))
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


@dataclass(frozen=True)
class Extraction:
    """Extractions of many images, and of the few first of them, whose difference is free of all that happens once.

    What happens once is reading the weights, starting up and opening the store.
    """

    manifest: Manifest
    subjects: Sequence[Subject]
    folder: Path
    few: int

    def things(self, label: str = "extract") -> dict[str, Callable[[], float]]:
        """What to time."""
        return {
            f"{label} few": lambda: self._run(self.few),
            f"{label} all": lambda: self._run(len(self.manifest.table)),
        }

    def seconds(self, times: Mapping[str, Times], label: str = "extract") -> float:
        """Time for the images after the few.

        Raises:
            NotMeasured: the machine was so busy that many took no longer than few.
        """
        seconds = times[f"{label} all"].best - times[f"{label} few"].best
        if seconds <= 0:
            raise NotMeasured("many images took no longer than few: the machine is too busy to measure on")
        return seconds

    def _run(self, images: int) -> float:
        chosen = replace(self.manifest, table=self.manifest.table.iloc[:images].reset_index(drop=True))
        weights = {subject.name: subject.weights for subject in self.subjects}
        first = self.subjects[0]
        taps = first.taps if len(self.subjects) == 1 else ()
        return extract_anew(chosen, weights, self.folder, first.batch_size, taps=taps, device=first.device)


def extract_anew(
    manifest: Manifest,
    weights: Mapping[str, Path | None],
    folder: Path,
    batch_size: int,
    *,
    taps: tuple[str, ...] = (),
    device: str = "cpu",
    on_progress: Callable[[Progress], None] | None = None,
) -> float:
    """Seconds of `extract` into a new cache, from the call to its return: from files to committed and folded rows."""
    cache = Path(tempfile.mkdtemp(prefix="cache-", dir=folder))
    try:
        began = time.perf_counter()
        result = extract(
            manifest,
            ExtractSettings(models=tuple(weights), taps=taps),
            cache=cache,
            weights={name: file for name, file in weights.items() if file},
            device=device,
            batch_size=batch_size,
            on_progress=on_progress,
        )
        seconds = time.perf_counter() - began
    finally:
        shutil.rmtree(cache)
    if len(result.failed):
        raise RuntimeError(f"{len(result.failed)} images failed: {result.failed['reason'].iloc[0]}")
    return seconds


def decode_seconds(manifest: Manifest, views: Sequence[View]) -> float:
    """Reading, decoding and cropping every image once for all these views, by one thread, over the cores.

    The best that any engine could do with this decoder: all cores busy, nothing else to do.
    """
    with one_thread():
        began = time.perf_counter()
        for path in manifest.absolute_paths():
            pixels = images.decode(images.read_bytes(path))
            for view in views:
                view.apply(pixels, b"")
        return (time.perf_counter() - began) / cores()


def crops_of(manifest: Manifest, view: View) -> "list[Tensor]":
    """What a model sees of every image."""
    return [view.apply(images.load(path), b"")[0] for path in manifest.absolute_paths()]


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, PyTorch's operations use the calling thread alone."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def flop_per_image(build: "Callable[[], Module]", side: int) -> float:
    """Floating-point operations (a multiplication and an addition are two) of one image through a network.

    Counted by PyTorch on the meta device; matrix products, convolutions and attention, nothing else.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"), torch.inference_mode(), FlopCounterMode(display=False) as counter:
        build()(torch.zeros(1, 3, side, side))
    return float(counter.get_total_flops())


def multiply_rate(device: str, precision: str, rows: int, repetitions: int) -> float:
    """The machine's own rate in FLOP/s: the fastest of several pairs of matrix products of a ViT-L's shapes.

    `rows` × 1024 × 4096 and `rows` × 4096 × 1024, the two products of an MLP block, with the weights as a linear
    layer has them, on the threads that PyTorch uses anyway.
    """
    import torch

    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    narrow = torch.randn(rows, 1024, device=device).to(dtype)
    widen, back = (torch.randn(*shape, device=device).to(dtype) for shape in ((4096, 1024), (1024, 4096)))
    best = float("inf")
    with torch.inference_mode():
        for _ in range(repetitions + 1):  # the first warms up
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            began = time.perf_counter()
            torch.nn.functional.linear(torch.nn.functional.linear(narrow, widen), back)
            if device.startswith("cuda"):
                torch.cuda.synchronize()
            best = min(best, time.perf_counter() - began)
    return 2 * 2 * rows * 1024 * 4096 / best
