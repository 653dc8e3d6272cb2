"""Masks: which pixels of an image were manipulated, whatever black and white mean in the data set.

A manifest names the mask's file as it lies on disk. In most data sets white pixels were manipulated; where white means
untouched, column `mask_white` says `real`, and reading turns the mask round.
"""

from pathlib import Path

import numpy as np

from probekit import images
from probekit.arrays import Bool, UInt8
from probekit.errors import ImageError
from probekit.manifest.files import Manifest
from probekit.remote import is_url, local_path, read

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
    white = _brightest(manifest, file) >= _WHITE
    return ~white if "mask_white" in table and table["mask_white"].iloc[row] == "real" else white


def mask_source(manifest: Manifest, file: str) -> Path | bytes:
    """Where a mask lies, or the bytes of one in a bucket.

    Raises:
        ImageError: there is no such object; the message begins with its URL.
    """
    if not is_url(file):
        return manifest.root / file
    if local_path(file) != file:
        return Path(local_path(file))
    try:
        return read(file)[0]
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error


def _brightest(manifest: Manifest, file: str) -> UInt8[np.ndarray, "h w"]:
    """The brightest channel of each pixel."""
    source = mask_source(manifest, file)
    if isinstance(source, Path):
        return images.load(source).amax(0).numpy()
    try:
        return images.decode(source).amax(0).numpy()
    except ImageError as error:
        raise ImageError(f"{file}: {error}") from error
