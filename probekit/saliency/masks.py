"""Masks: what was manipulated in an image, in the image's own pixels."""

from pathlib import Path

import numpy as np

from probekit import images
from probekit.arrays import Bool
from probekit.errors import ImageError

MANIPULATED = 128
"""Grey level from which a pixel counts as manipulated: 255 is, 0 is not, and resaving blurs the rim between them."""


def read_mask(path: Path, size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """True where the image was manipulated.

    A mask of another size but the same shape is stretched without interpolation.

    Args:
        path: of the mask.
        size: height and width of the image.

    Raises:
        ImageError: it cannot be read, or its sides have another ratio than the image's.
    """
    mask = images.load(path).amax(0).numpy() >= MANIPULATED
    if mask.shape == size:
        return mask
    (h, w), (height, width) = mask.shape, size
    if abs(h * width - w * height) > max(h, w, height, width):
        raise ImageError(
            f"{path}: the mask is {w} × {h} pixels, its image {width} × {height}: cut it to the same part."
        )
    rows, columns = np.arange(height) * h // height, np.arange(width) * w // width
    stretched: Bool[np.ndarray, "h w"] = mask[np.ix_(rows, columns)]
    return stretched
