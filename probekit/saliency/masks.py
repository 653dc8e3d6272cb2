"""Masks: what was manipulated in an image, in the image's own pixels."""

from dataclasses import replace

import numpy as np
import pandas as pd

from probekit.arrays import Bool
from probekit.errors import ImageError
from probekit.manifest import Manifest, read_mask


def mask_of(
    manifest: Manifest, samples: pd.DataFrame, row: int, size: tuple[int, int]
) -> Bool[np.ndarray, "h w"] | None:
    """True where the image of a row was manipulated; None for a row without a mask.

    A mask of another size but the same shape is stretched without interpolation.

    Args:
        manifest: where paths start.
        samples: the rows.
        row: which of them.
        size: height and width of the image.

    Raises:
        ImageError: it cannot be read, or its sides have another ratio than the image's.
    """
    mask = read_mask(replace(manifest, table=samples), row)
    if mask is None or mask.shape == size:
        return mask
    (h, w), (height, width) = mask.shape, size
    if abs(h * width - w * height) > max(h, w, height, width):
        raise ImageError(
            f"{samples['mask'].iloc[row]}: the mask is {w} × {h} pixels, its image {width} × {height}: cut it to the "
            "same part."
        )
    rows, columns = np.arange(height) * h // height, np.arange(width) * w // width
    stretched: Bool[np.ndarray, "h w"] = mask[np.ix_(rows, columns)]
    return stretched
