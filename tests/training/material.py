"""Small pictures that a tiny network can tell apart, and the manifest over them."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from probekit.manifest import Manifest, validate

SPLITS = ("train",) * 6 + ("val",) * 3 + ("test",) * 3  # by group
TINTS = {"real": (0, 0, 0), "lama": (70, -40, 0), "ldm": (-40, 0, 70)}


def write_picture(path: Path, generator: str, seed: int, side: int = 40) -> Path:
    """Smooth colours under noise, tinted as its generator does."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 196, (3, 3, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC), np.float64)
    tinted = smooth + rng.normal(0, 6, smooth.shape) + TINTS[generator]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(tinted, 0, 255).astype(np.uint8)).save(path)
    return path


def write_tree(root: Path) -> pd.DataFrame:
    """Twelve groups of a real picture and two fakes below `root`, and their rows."""
    rows = []
    for generator in TINTS:
        for group, split in enumerate(SPLITS):
            name = f"{generator}/{group:02d}.png"
            write_picture(root / name, generator, seed=len(rows))
            label = int(generator != "real")
            rows.append(
                {"path": name, "label": label, "generator": generator, "split": split, "group": f"g{group:02d}"}
            )
    return pd.DataFrame(rows)


def manifest_of(root: Path) -> Manifest:
    """The manifest of the pictures that `write_tree` writes there."""
    return Manifest("tiny", None, root, validate(write_tree(root), "tiny"))
