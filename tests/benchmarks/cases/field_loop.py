"""`extract-vitl14`: images per second against the loop that most papers' code extracts CLIP features with.

The peer is what one finds there: PIL decodes, torchvision's transforms resize, crop and normalise, a DataLoader with
one worker a core collates, open_clip's tower runs in float32 without gradients, and the features stay in memory.
probekit does all of its own work: hashing, its default precision for this machine, rows committed to the store.

Both are timed from the end of their first batch to the end of their last, with JPEG files of 512² in the page cache,
so neither the start of workers nor the reading of weights counts. They run in turn and the fastest of each counts.
"""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit.extract import Progress
from probekit.manifest import Manifest
from probekit.models import compute
from probekit.views import OPENAI_CLIP
from tests.benchmarks import engine, material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.machine import cores, has_amx
from tests.benchmarks.timing import in_turn

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

MODEL = "clip"


@add(
    "extract-vitl14",
    stands_for="CLIP ViT-L/14 over a data set, against PIL + transforms + DataLoader + float32 open_clip",
    targets={"images/s": Target(at_least=3.0)},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """How many times as many images a second."""
    n, batch_size = setting.size(80, 6), setting.size(16, 2)
    root, weights = setting.shared / "images", material.clip_checkpoint(setting.shared)
    manifest = material.manifest_of(root, material.photographs(root, n))
    tower = _tower(weights)
    setting.say(f"{n} images, batches of {batch_size}")
    times = in_turn(
        {
            "field": lambda: _field(tower, manifest.absolute_paths(), batch_size),
            "probekit": lambda: _probekit(manifest, weights, setting.folder, batch_size),
        },
        repetitions=setting.size(2, 1),
        warm_up=False,
    )
    field, ours = (1 / times[name].best for name in ("field", "probekit"))
    return {
        "images/s": Figure(
            ours / field,
            f"{ours:.2f} images/s in {compute.default_precision('cpu')} against {field:.2f} in float32",
            raw={"seconds_per_image": {name: found.seconds for name, found in times.items()}},
            exempt="" if has_amx() else "the target is for processors with AMX",
        )
    }


def _tower(weights: Path) -> "Module":
    from safetensors.torch import load_file

    tower = material.clip_tower()
    tower.load_state_dict({name.removeprefix("visual."): values for name, values in load_file(weights).items()})
    return tower


def _field(tower: "Module", paths: list[Path], batch_size: int) -> float:
    """Seconds an image, from the first batch's features to the last's."""
    import torch
    from torch.utils.data import DataLoader
    from torchvision import transforms
    from torchvision.transforms import InterpolationMode

    look = transforms.Compose(
        [
            transforms.Resize(224, interpolation=InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(OPENAI_CLIP.mean, OPENAI_CLIP.std),
        ]
    )
    features, ends = [], []
    with torch.no_grad():
        for batch in DataLoader(_Images(paths, look), batch_size=batch_size, num_workers=cores()):
            features.append(tower(batch).cpu().numpy())
            ends.append(time.perf_counter())
    return (ends[-1] - ends[0]) / (len(paths) - batch_size)


class _Images:
    """The field's data set: one file an item."""

    def __init__(self, paths: list[Path], look: Any) -> None:  # noqa: ANN401  # of a library without types
        self.paths, self.look = paths, look

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: int) -> "Tensor":
        from PIL import Image

        return self.look(Image.open(self.paths[item]).convert("RGB"))


def _probekit(manifest: Manifest, weights: Path, folder: Path, batch_size: int) -> float:
    """Seconds an image, from the first batch's features to the last's, which are then committed."""
    ends: list[tuple[int, float]] = []

    def note(progress: Progress) -> None:
        if progress.done > (ends[-1][0] if ends else 0):
            ends.append((progress.done, time.perf_counter()))

    engine.extract_anew(manifest, {MODEL: weights}, folder, batch_size, on_progress=note)
    (first_done, first_end), (last_done, last_end) = ends[0], ends[-1]
    return (last_end - first_end) / (last_done - first_done)
