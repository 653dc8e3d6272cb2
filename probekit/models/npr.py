"""NPR: neighbouring pixel relationships, Tan et al. 2024 (CVPR), arXiv:2312.10461.

    NPR(x) = (x - up(down(x, ½), nearest)) · ⅔

Down-sampling by "nearest" keeps the first pixel of each 2 × 2 cell, so NPR holds, cell by cell, what the
other three pixels differ by from it. The paper trains a network on that map; here its order statistics over
blocks are the feature.
"""

from pathlib import Path

import numpy as np

from probekit import models
from probekit.arrays import Float, Int
from probekit.models.residuals import (
    BLOCK,
    QUANTILES,
    STRIDE,
    VIEW,
    Pixels,
    block_levels,
    green,
    order_statistics,
    weight_free,
)

SCALE = 2 / 3
RESIDUALS = ("right", "below", "diagonal", "mixed")
RATIOS = (("mixed", "right"), ("mixed", "below"), ("mixed", "diagonal"))

CARD = models.ModelCard(
    name="npr",
    source="none",
    license="Apache-2.0",
    view=VIEW,
    taps={"blocks": ((len(RESIDUALS) + len(RATIOS)) * len(QUANTILES),)},
    default_tap="blocks",
    per_image=True,
    settings={"version": 1},
)


@models.add("npr")
def find(name: str, weights: Path | None) -> models.Model:
    """Order statistics, over blocks, of the NPR map of the green channel."""
    return weight_free(CARD, weights, {"blocks": blocks})


def blocks(pixels: Pixels) -> Float[np.ndarray, " d"]:
    """Quantiles over blocks of the log energy of each relationship, then of each pair in `RATIOS`; 0 if flat.

    An image of 1 pixel along a side has no whole cell and gives zeros.
    """
    levels = {
        name: block_levels(cells, SCALE, BLOCK // 2, STRIDE // 2)
        for name, cells in relationships(green(pixels)).items()
    }
    return order_statistics(levels, RATIOS)


def relationships(plane: Int[np.ndarray, "h w"]) -> dict[str, Int[np.ndarray, "h/2 w/2"]]:
    """What the pixels of each 2 × 2 cell differ by from its first: NPR without its factor ⅔.

    An odd last row or column is dropped. `mixed` is right + below - diagonal, the cell's mixed second
    difference: zero where the picture is a plane.
    """
    height, width = (side // 2 * 2 for side in plane.shape)
    first = plane[:height:2, :width:2]
    right = plane[:height:2, 1:width:2] - first
    below = plane[1:height:2, :width:2] - first
    diagonal = plane[1:height:2, 1:width:2] - first
    return dict(zip(RESIDUALS, (right, below, diagonal, right + below - diagonal), strict=True))
