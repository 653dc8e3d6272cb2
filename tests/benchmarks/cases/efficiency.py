"""`forward-efficiency`: how much of the machine's arithmetic a forward pass uses.

    share = (FLOP of an image · images / T(forward)) / rate of matrix products

The rate is measured here and now, between the forward passes: two products of ViT-L/14's own shapes (8,224 × 1024 ×
4096 and back, a batch of 32 times 257 tokens) in the same precision on the same threads, the fastest repetition. The
operations of an image are PyTorch's count of matrix products, convolutions and attention: 162 GFLOP at 224².
"""

from collections.abc import Mapping

import numpy as np

from tests.benchmarks import engine, material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.engine import Subject
from tests.benchmarks.timing import in_turn


@add(
    "forward-efficiency",
    stands_for="CLIP ViT-L/14 at 224², batch 32, on the CPU in the default precision",
    targets={"share of the matrix rate": Target(at_least=0.75, unit="%")},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """The forward pass's rate over that of bare matrix products."""
    import torch

    batch_size = setting.size(32, 2)
    subject = Subject("clip", material.clip_checkpoint(setting.shared), batch_size=batch_size)
    flop = engine.flop_per_image(material.clip_tower, side=224)
    noise = np.random.default_rng(0).integers(0, 256, (batch_size, 3, 224, 224), dtype=np.uint8)
    batches = subject.batches(list(torch.from_numpy(noise)))
    rates: list[float] = []

    def multiply() -> None:
        rows, repetitions = batch_size * 257, setting.size(5, 2)
        rates.append(engine.multiply_rate("cpu", subject.precision, rows, repetitions))

    times = in_turn({"multiply": multiply, "forward": lambda: subject.forward(batches)}, setting.size(5, 2))
    rate, reached = max(rates), batch_size * flop / times["forward"].best
    return {
        "share of the matrix rate": Figure(
            reached / rate,
            f"{reached / 1e9:,.0f} of {rate / 1e9:,.0f} GFLOP/s in {subject.precision}",
            raw={"flop_per_image": flop, "multiply_rates": rates, "seconds": times["forward"].seconds},
        )
    }
