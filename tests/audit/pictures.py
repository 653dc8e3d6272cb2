"""Real files for audits: smooth pictures that differ, written as the test says."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from probekit.audit import read_files
from probekit.manifest import Manifest, validate


def drawn(seed: int, size: tuple[int, int] = (64, 64)) -> Image.Image:
    """A smooth picture with some noise, different for every seed; the size is width and height."""
    rng = np.random.default_rng(seed)
    smooth = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    noisy = np.asarray(smooth, np.int16) + rng.integers(-8, 9, (size[1], size[0], 3))
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def jpeg(picture: Image.Image, quality: int = 90, **how) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=quality, **how)
    return buffer.getvalue()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def data_set(
    root: Path, photos: int = 30, generators: tuple[str, ...] = ("lama",), quality=None, size=None
) -> pd.DataFrame:
    """A manifest's table: so many groups, each of one picture of every class, the classes different pictures.

    Args:
        root: where the files go.
        photos: groups; of ten, six are in train, two in val and two in test.
        generators: beside real.
        quality: class → quality of its JPEG files.
        size: class → width and height.
    """
    rows = []
    for number, name in enumerate(("real", *generators)):
        for photo in range(photos):
            picture = drawn(1000 * number + photo, (size or {}).get(name, (64, 64)))
            write(root / name / f"{photo:03d}.jpg", jpeg(picture, (quality or {}).get(name, 90)))
            split = ("train",) * 6 + ("val",) * 2 + ("test",) * 2
            rows.append((f"{name}/{photo:03d}.jpg", int(name != "real"), name, split[photo % 10], f"g{photo:03d}"))
    return pd.DataFrame(rows, columns=["path", "label", "generator", "split", "group"])


def manifest_of(root: Path, table: pd.DataFrame, folds: int = 0) -> Manifest:
    return Manifest("test", None, root, validate(table, "test"), folds)


def files_of(root: Path, table: pd.DataFrame, cache: Path):
    return read_files(manifest_of(root, table), cache, workers=1)
