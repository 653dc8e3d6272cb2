"""Small real images and manifests over them."""

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from probekit.manifest import Manifest, validate


def write_image(path: Path, seed: int, size: tuple[int, int] = (40, 48)) -> Path:
    """A smooth picture with some noise, different for every seed."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 5, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize(size[::-1], Image.Resampling.BICUBIC), np.int16)
    noisy = np.clip(smooth + rng.integers(-6, 7, smooth.shape), 0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(noisy).save(path)
    return path


def manifest_of(root: Path, paths: Iterable[str], **columns: object) -> Manifest:
    """A manifest over files below a root; every second sample is a fake."""
    names = list(paths)
    table = pd.DataFrame({"path": names, "label": [number % 2 for number in range(len(names))]})
    table["generator"] = ["real" if label == 0 else "gen" for label in table["label"]]
    table["split"] = "train"
    return Manifest("test", None, root, validate(table.assign(**columns), "test"))


@pytest.fixture
def make_manifest(tmp_path: Path) -> Callable[[int], Manifest]:
    def make(n: int) -> Manifest:
        names = [f"{number:04d}.png" for number in range(n)]
        for number, name in enumerate(names):
            if not (tmp_path / "images" / name).exists():
                write_image(tmp_path / "images" / name, number)
        return manifest_of(tmp_path / "images", names)

    return make
