"""Sheets: which images of a pair are shown, and what a picture needs of each."""

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Bool, Float, Int, UInt8
from probekit.errors import ImageError
from probekit.manifest import Manifest
from probekit.protocols import Pool, members
from probekit.saliency.masks import mask_of
from probekit.saliency.result import ImageMap, SaliencyResult
from probekit.samples import Samples

if TYPE_CHECKING:
    from torch import Tensor

FAKES, REALS = 4, 2


@dataclass(frozen=True, eq=False)
class Picture:
    """An image with its map and mask, all of one size, and what was said of it."""

    pixels: UInt8[np.ndarray, "h w 3"]
    saliency: Float[np.ndarray, "h w"]
    mask: Bool[np.ndarray, "h w"] | None
    path: str
    """With the member, frame or box that is meant."""
    generator: str
    explained: str
    score: float
    called: str
    ap: float
    ap_centre: float


def sheet_rows(
    result: SaliencyResult, method: str, train: str, test: Pool, fakes: int = FAKES, reals: int = REALS
) -> Int[np.ndarray, " k"]:
    """Numbers of the images (of that method and training set) that a sheet of the pair shows, fakes first.

    The first in the order of a hash of the full name, of every group one before any second: nothing is picked by hand.
    """
    own = _images(result, method, train)
    rows = members(own, test, np.ones(len(own), dtype=bool))
    own = own[rows].assign(number=np.flatnonzero(rows))
    own["digest"] = [hashlib.sha256(f"{result.settings.seed}:{name}".encode()).digest() for name in own["path"]]
    own = own.sort_values("digest")
    own["turn"] = own.groupby(["label", "group"]).cumcount()
    own = own.sort_values(["turn", "digest"])
    found = [own.loc[own["label"] == label, "number"].to_numpy()[:most] for label, most in ((1, fakes), (0, reals))]
    return np.concatenate(found)


def picture(result: SaliencyResult, manifest: Manifest, method: str, train: str, number: int, side: int) -> Picture:
    """One image and its map, at most `side` pixels wide and high.

    Raises:
        ImageError: the image or its mask is gone.
    """
    own, kept = _images(result, method, train).iloc[number], result.maps[method, train][number]
    image = sources.read(Samples.of_rows(replace(manifest, table=result.samples))[kept.row]).decode()
    if tuple(image.shape[1:]) != kept.size:
        raise ImageError(f"{own['path']}: the image has changed since it was looked at.")
    mask = mask_of(manifest, result.samples, kept.row, kept.size)
    ys, xs = _sampled(kept, side)
    return Picture(
        _small(image, len(ys), len(xs)),
        kept.to_image()[np.ix_(ys, xs)],
        None if mask is None else mask[np.ix_(ys, xs)],
        str(own["path"]),
        str(own["generator"]),
        str(own["explained"]),
        float(own["score"]),
        str(own["called"]),
        float(own["ap"]),
        float(own["ap_centre"]),
    )


def _images(result: SaliencyResult, method: str, train: str) -> pd.DataFrame:
    images = result.images
    return images[(images["method"] == method) & (images["train"] == train)].reset_index(drop=True)


def _sampled(kept: ImageMap, side: int) -> tuple[Int[np.ndarray, " h"], Int[np.ndarray, " w"]]:
    """Rows and columns that are left when the longer side shrinks to at most `side`."""
    scale = min(1.0, side / max(kept.size))
    shapes = [max(1, round(length * scale)) for length in kept.size]
    ys, xs = (((np.arange(n) + 0.5) * length / n).astype(np.int64) for n, length in zip(shapes, kept.size, strict=True))
    return ys, xs


def _small(image: "Tensor", height: int, width: int) -> UInt8[np.ndarray, "h w 3"]:
    from PIL import Image

    whole = Image.fromarray(image.permute(1, 2, 0).numpy())
    return np.asarray(whole if whole.size == (width, height) else whole.resize((width, height)))
