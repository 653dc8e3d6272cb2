"""Small data sets as their authors lay them out: crops of a photograph, all different, under true names."""

import io
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image
from skimage import data

SIDE = 16


@cache
def photograph() -> np.ndarray:
    return np.asarray(data.astronaut())


def crop(name: str) -> Image.Image:
    """A part of the photograph, of its own for each name."""
    row, column = divmod(zlib.crc32(name.encode()), 512 - SIDE)
    top, left = row % (512 - SIDE), column
    return Image.fromarray(photograph()[top : top + SIDE, left : left + SIDE])


def plant(root: Path, *names: str) -> Path:
    """Images under names of images, texts under all others."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".png": "PNG"}.get(path.suffix.lower())
        if kind is None:
            path.write_text("text")
            continue
        buffer = io.BytesIO()
        crop(name).save(buffer, kind)
        path.write_bytes(buffer.getvalue())
    return root


def by_path(table: pd.DataFrame, *columns: str) -> dict[str, object]:
    """What stands in the columns for each path."""
    if len(columns) == 1:
        return dict(zip(table["path"], table[columns[0]], strict=True))
    return {path: tuple(row) for path, *row in table[["path", *columns]].itertuples(index=False, name=None)}


def counts(expected: pd.DataFrame) -> dict[tuple[str, str], tuple[int, int]]:
    """Expected and found of each class and split."""
    return {(row["class"], row["split"]): (row["expected"], row["found"]) for _, row in expected.iterrows()}
