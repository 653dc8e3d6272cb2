"""Masks: which pixels of an image were manipulated, whatever black and white mean in the data set.

A manifest names the mask's file as it lies on disk. In most data sets white pixels were manipulated; where white means
untouched, column `mask_white` says `real`, and reading turns the mask round.
"""

import numpy as np

from probekit import images
from probekit.arrays import Bool
from probekit.manifest.files import Manifest

_WHITE = 128
"""Of 255: from here on, a pixel is white."""


def read_mask(manifest: Manifest, row: int) -> Bool[np.ndarray, "h w"] | None:
    """Which pixels of a row's image were manipulated, in the mask's own size; None for a row without a mask.

    A pixel is white if any of its channels is at least 128.

    Raises:
        ImageError: the mask cannot be read.
    """
    table = manifest.table
    file = str(table["mask"].iloc[row]) if "mask" in table else ""
    if not file:
        return None
    white: Bool[np.ndarray, "h w"] = images.load(manifest.root / file).amax(0).numpy() >= _WHITE
    return ~white if "mask_white" in table and table["mask_white"].iloc[row] == "real" else white
