"""SRM: high-pass filters of the Spatial Rich Model, Fridrich and Kodovský 2012, IEEE TIFS 7(3):868–882.

Eight of its linear residuals (first, second and third order along rows and columns, and the two squares),
divided by their quantisation step and truncated at 2 as there. In place of co-occurrences over the whole
picture stand order statistics over blocks (`residuals`).
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

REACH = 2  # pixels from the centre to the rim of the largest filter

_FIRST, _SECOND, _THIRD = [[-1, 1]], [[1, -2, 1]], [[1, -3, 3, -1]]
_SQUARE3 = [[-1, 2, -1], [2, -4, 2], [-1, 2, -1]]
_SQUARE5 = [[-1, 2, -2, 2, -1], [2, -6, 8, -6, 2], [-2, 8, -12, 8, -2], [2, -6, 8, -6, 2], [-1, 2, -2, 2, -1]]

FILTERS: dict[str, tuple[Int[np.ndarray, "u v"], int]] = {
    "first-h": (np.array(_FIRST, np.int16), 1),
    "first-v": (np.array(_FIRST, np.int16).T, 1),
    "second-h": (np.array(_SECOND, np.int16), 2),
    "second-v": (np.array(_SECOND, np.int16).T, 2),
    "third-h": (np.array(_THIRD, np.int16), 3),
    "third-v": (np.array(_THIRD, np.int16).T, 3),
    "square3": (np.array(_SQUARE3, np.int16), 4),
    "square5": (np.array(_SQUARE5, np.int16), 12),
}
"""Name to (kernel, quantisation step): the residual is correlation with the kernel, divided by the step."""

RATIOS = (
    ("second-h", "first-h"),
    ("second-v", "first-v"),
    ("third-h", "second-h"),
    ("third-v", "second-v"),
    ("square3", "first-h"),
    ("square3", "first-v"),
    ("square5", "square3"),
)

CARD = models.ModelCard(
    name="srm",
    source="none",
    license="Apache-2.0",
    view=VIEW,
    taps={"blocks": ((len(FILTERS) + len(RATIOS)) * len(QUANTILES),)},
    default_tap="blocks",
    per_image=True,
    settings={"version": 1},
)


@models.add("srm")
def find(name: str, weights: Path | None) -> models.Model:
    """Order statistics, over blocks, of eight SRM residuals of the green channel."""
    return weight_free(CARD, weights, {"blocks": blocks})


def blocks(pixels: Pixels) -> Float[np.ndarray, " d"]:
    """Quantiles over blocks of the log energy of each filter, then of each pair in `RATIOS`; 0 if flat.

    An image of fewer than 5 pixels along a side has no residual and gives zeros.
    """
    plane = green(pixels)
    levels = {
        filter_: block_levels(residual(plane, kernel), 1 / step, BLOCK, STRIDE)
        for filter_, (kernel, step) in FILTERS.items()
    }
    return order_statistics(levels, RATIOS)


def residual(plane: Int[np.ndarray, "h w"], kernel: Int[np.ndarray, "u v"]) -> Int[np.ndarray, "h-4 w-4"]:
    """Correlation with a kernel at the pixels where the largest filter fits: one raster for all filters."""
    height, width = (max(side - 2 * REACH, 0) for side in plane.shape)
    top, left = (REACH - (side - 1) // 2 for side in kernel.shape)
    total = np.zeros((height, width), np.int16)  # at most 44 · 255
    for (u, v), weight in np.ndenumerate(kernel):
        total += weight * plane[top + u : top + u + height, left + v : left + v + width]
    return total
