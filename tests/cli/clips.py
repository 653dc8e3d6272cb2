"""Two domains of short clips: real, and by two generators that leave traces of their own."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

DOMAINS, GENERATORS, GROUPS, FRAMES = ("ff", "celeb"), ("real", "lama", "ldm"), 10, 2
SPLITS = ("train",) * 5 + ("val",) * 2 + ("test",) * 3  # by group


def write_clips(folder: Path) -> Path:
    """The manifest of the clips, whose frames stand in `folder`."""
    rows = []
    for domain in DOMAINS:
        for number in range(GROUPS):
            for generator in GENERATORS:
                for frame in range(FRAMES):
                    name = f"{domain}-{number}-{generator}-{frame}.png"
                    _write_frame(folder / name, generator, seed=len(rows))
                    rows.append(
                        {
                            "path": str(folder / name),
                            "label": int(generator != "real"),
                            "generator": generator,
                            "domain": domain,
                            "split": SPLITS[number],
                            "group": f"{domain}-{number}",
                            "clip": f"{domain}-{number}-{generator}",
                        }
                    )
    file = folder / "manifests" / "clips.csv"
    file.parent.mkdir()
    pd.DataFrame(rows).to_csv(file, index=False)
    return file


def _write_frame(path: Path, generator: str, seed: int) -> None:
    """Smooth colours under noise; lama's noise is weaker, and every second line of ldm's noise repeats."""
    random = np.random.default_rng(seed)
    coarse = random.integers(40, 216, (4, 4, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((48, 48), Image.Resampling.BICUBIC), np.float64)
    noise = random.normal(0, random.uniform(3, 7), smooth.shape)
    if generator == "lama":
        noise *= 0.7
    if generator == "ldm":
        noise[1::2, ::2] = noise[::2, ::2]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(smooth + noise, 0, 255).astype(np.uint8)).save(path)
