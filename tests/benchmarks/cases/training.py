"""`train-network`: images a second of a training, against a bare loop of PyTorch over tensors that are decoded already.

The same network from random weights, batches of 32, Adam and cross-entropy, both without a look at a val split. Ours
reads, decodes, crops and flips photographs of 512² meanwhile, keeps the losses and looks at each; the peer has its
uint8 tensors in memory, normalises and learns. Both in turn, the fastest of each counts.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from tests.benchmarks import material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import in_turn

BATCH = 32


@add(
    "train-network",
    stands_for="one epoch of a baseline on a CPU: ResNet-50 at 224 × 224 from scratch",
    targets={"images/s against a bare loop": Target(at_least=0.90, unit="%")},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """Rate of ours over that of the bare loop."""
    import torch

    from probekit import images
    from probekit.pairs import PairSettings, Question
    from probekit.training import Lesson, TrainSettings, train
    from probekit.training.network import Design, Trainee

    n, arch, side = setting.size(320, 32), "resnet50" if not setting.quick else "test_resnet", setting.size(224, 64)
    names = material.photographs(setting.shared / "photographs", n)
    manifest = material.manifest_of(setting.shared / "photographs", names)
    manifest = replace(manifest, table=manifest.table.assign(split="train"))
    pool = "+".join(sorted(set(manifest.table["generator"]) - {"real"}))
    (asked,) = Question.of(
        manifest.table.assign(split=["train"] * (n - 10) + ["test"] * 10), PairSettings(train=pool, test=pool)
    ).training_sets()
    lesson = Lesson.of(manifest.table, asked, ("real", "fake"))
    settings = TrainSettings(arch, scratch=True, size=side, batch_size=BATCH)
    view = Design.of(settings, 2, None).view
    pixels = torch.stack([view.crops(images.load(manifest.root / name))[0] for name in names])

    def ours() -> float:
        done = train(manifest, lesson, "binary", settings, place=setting.folder / "network", force=True)
        return n / float(done.network.training["images_per_second"])

    def bare() -> float:
        trainee = Trainee(Design.of(settings, 2, None), "cpu")
        trainee.module.train()
        optimiser = torch.optim.Adam(trainee.parameters, lr=settings.learning_rate)
        assert view.normalize is not None
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (view.normalize.mean, view.normalize.std))
        began = time.perf_counter()
        for rows in np.array_split(np.random.default_rng(0).permutation(n), n // BATCH):
            logits = trainee.network((pixels[rows].float() / 255 - mean) / std)
            loss = torch.nn.functional.cross_entropy(logits, torch.from_numpy(lesson.numbers[rows]))
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        return time.perf_counter() - began

    times = in_turn({"ours": ours, "bare": bare}, setting.size(3, 2), warm_up=False)
    rates = {name: n / found.best for name, found in times.items()}
    return {
        "images/s against a bare loop": Figure(
            rates["ours"] / rates["bare"],
            f"{rates['ours']:.1f} images/s against {rates['bare']:.1f}, {arch} at {side}²",
            raw={"seconds": {name: found.seconds for name, found in times.items()}},
        )
    }
