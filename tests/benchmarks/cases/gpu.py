"""`gpu-vitl14`, `gpu-dinov2`, `gpu-sam`: the same questions on a GPU, where there is one.

- forward: FLOP/s of the forward pass on ready batches, over the rate of bf16 matrix products of a ViT-L's shapes,
  measured on the same GPU between the passes. SAM's encoder spends much of its time in attention over 4,096 positions
  with relative positions added, which is no matrix product of that kind: its share is reported without a target.
- end to end: images per second of a whole extraction from JPEG files of 512² (in the page cache), over those of the
  forward pass alone. Start-up and the reading of weights are taken off by the difference between few images and many.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from tests.benchmarks import engine, material
from tests.benchmarks.benchmark import Figure, NotMeasured, Setting, Target, add
from tests.benchmarks.engine import Extraction, Subject
from tests.benchmarks.timing import in_turn

if TYPE_CHECKING:
    from torch.nn import Module

DEVICE = "cuda"
FORWARD, END_TO_END = "forward, share of the matrix rate", "end to end, share of forward"
OF_VITS = {FORWARD: Target(at_least=0.60, unit="%"), END_TO_END: Target(at_least=0.90, unit="%")}
OF_SAM = {FORWARD: Target(unit="%"), END_TO_END: Target(at_least=0.90, unit="%")}


@dataclass(frozen=True)
class _Load:
    """One model and how much of it is run."""

    name: str
    checkpoint: Callable[[Path], Path]
    network: "Callable[[], Module]"
    side: int
    batch_size: int
    images: int


@add("gpu-vitl14", stands_for="CLIP ViT-L/14 at 224² on a GPU", targets=OF_VITS)
def measure_clip(setting: Setting) -> Mapping[str, Figure]:
    """CLIP's image tower, 162 GFLOP an image."""
    return _measure(setting, _Load("clip", material.clip_checkpoint, material.clip_tower, 224, 128, 8192))


@add("gpu-dinov2", stands_for="DINOv2 ViT-L/14 at 224² on a GPU", targets=OF_VITS)
def measure_dinov2(setting: Setting) -> Mapping[str, Figure]:
    """DINOv2 of transformers, 162 GFLOP an image."""
    return _measure(setting, _Load("dinov2", material.dinov2_checkpoint, material.dinov2_network, 224, 128, 8192))


@add("gpu-sam", stands_for="SAM ViT-B at 1024² on a GPU", targets=OF_SAM)
def measure_sam(setting: Setting) -> Mapping[str, Figure]:
    """SAM's image encoder, 972 GFLOP an image."""
    return _measure(setting, _Load("sam", material.sam_checkpoint, material.sam_encoder, 1024, 16, 1024))


def _measure(setting: Setting, load: _Load) -> Mapping[str, Figure]:
    import torch

    if not torch.cuda.is_available():
        raise NotMeasured("no GPU")
    batch_size = setting.size(load.batch_size, 2)
    subject = Subject(load.name, load.checkpoint(setting.shared), device=DEVICE, batch_size=batch_size)
    forward, rate = _forward(setting, load, subject)
    return {FORWARD: forward, END_TO_END: _end_to_end(setting, load, subject, rate)}


def _forward(setting: Setting, load: _Load, subject: Subject) -> tuple[Figure, float]:
    """Its share of the matrix rate, and its images per second."""
    import torch

    flop = engine.flop_per_image(load.network, load.side)
    shape = (subject.batch_size, 3, load.side, load.side)
    noise = torch.from_numpy(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    batches = subject.batches(list(noise)) * setting.size(16, 2)
    rates: list[float] = []

    def multiply() -> None:
        rows, repetitions = setting.size(256 * 257, 257), setting.size(50, 2)
        rates.append(engine.multiply_rate(DEVICE, subject.precision, rows, repetitions))

    times = in_turn({"multiply": multiply, "forward": lambda: subject.forward(batches)}, setting.size(5, 2))
    images_per_second = subject.batch_size * len(batches) / times["forward"].best
    reached, rate = images_per_second * flop, max(rates)
    because = (
        f"{images_per_second:,.0f} images/s, {reached / 1e12:,.0f} of {rate / 1e12:,.0f} TFLOP/s in "
        f"{subject.precision}; {flop / 1e9:,.0f} GFLOP an image"
    )
    raw = {"flop_per_image": flop, "multiply_rates": rates, "seconds": times["forward"].seconds}
    return Figure(reached / rate, because, raw), images_per_second


def _end_to_end(setting: Setting, load: _Load, subject: Subject, forward_rate: float) -> Figure:
    few, n = subject.batch_size, setting.size(load.images, 2 * subject.batch_size)
    root = setting.shared / "images"
    setting.say(f"making {n + few:,} images")
    manifest = material.manifest_of(root, material.photographs(root, few + n))
    setting.say(f"extracting {n:,} images")
    extraction = Extraction(manifest, [subject], setting.folder, few)
    times = in_turn(extraction.things(), setting.size(3, 1), warm_up=False)
    rate = n / extraction.seconds(times)
    because = f"{n:,} images: {rate:,.0f} images/s against {forward_rate:,.0f} of the network alone"
    return Figure(rate / forward_rate, because, raw={"seconds": {name: found.seconds for name, found in times.items()}})
