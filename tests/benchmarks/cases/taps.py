"""`taps-all-blocks`: what it costs to keep every layer instead of the last.

The class token and the mean patch token of all 24 blocks (48 taps of 1024 numbers) against the final feature alone:

- forward: `compute.forward` on one batch, from crops to float32 arrays on the CPU, in turn, the fastest of each;
- extract: whole extractions into a store, which also write 96 KiB an image more; start-up and the reading of
  weights are taken off by the difference between few images and many.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from probekit.models import compute
from tests.benchmarks import material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.engine import Extraction, Subject
from tests.benchmarks.timing import Times, in_turn

EVERY_BLOCK = tuple(f"{kind}@{block}" for block in range(24) for kind in ("cls", "mean"))


@add(
    "taps-all-blocks",
    stands_for="choosing the best of CLIP ViT-L/14's layers: CLS and mean of all 24 blocks in one pass",
    targets={"forward": Target(at_most=1.08), "extract": Target(at_most=1.08)},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """Time with all taps over the time with the final one."""
    final = Subject("clip", material.clip_checkpoint(setting.shared), batch_size=setting.size(32, 2))
    every = replace(final, taps=EVERY_BLOCK)
    return {"forward": _forward(setting, final, every), "extract": _extract(setting, final, every)}


def _forward(setting: Setting, final: Subject, every: Subject) -> Figure:
    import torch

    noise = np.random.default_rng(0).integers(0, 256, (final.batch_size, 3, 224, 224), dtype=np.uint8)
    crops = list(torch.from_numpy(noise))
    times = in_turn(
        {
            "final": lambda: _drop(compute.forward(final.net, crops, [final.model.card.default_tap], "cpu")),
            "every": lambda: _drop(compute.forward(final.net, crops, every.taps, "cpu")),
        },
        setting.size(5, 2),
    )
    return _ratio(times["every"].best, times["final"].best, final.batch_size, times)


def _extract(setting: Setting, final: Subject, every: Subject) -> Figure:
    few, n = final.batch_size, setting.size(64, 4)
    root = setting.shared / "images"
    manifest = material.manifest_of(root, material.photographs(root, few + n))
    setting.say(f"extracting {n} images, with the final tap and with {len(every.taps)}")
    with_final, with_every = (Extraction(manifest, [subject], setting.folder, few) for subject in (final, every))
    things = {**with_final.things("final"), **with_every.things("every")}
    times = in_turn(things, setting.size(2, 1), warm_up=False)
    return _ratio(with_every.seconds(times, "every"), with_final.seconds(times, "final"), n, times)


def _ratio(every: float, final: float, n: int, times: Mapping[str, Times]) -> Figure:
    because = f"{n} images: {every:.2f} s with {len(EVERY_BLOCK)} taps, {final:.2f} s with one"
    return Figure(every / final, because, raw={"seconds": {name: found.seconds for name, found in times.items()}})


def _drop(_: object) -> None:
    """Nothing: a timed thing that returns something would be taken to have timed itself."""
