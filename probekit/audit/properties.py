"""File properties: what a file says of itself before one pixel of it is decompressed.

None of them shows what made the picture, but any of them may tell the classes of a data set apart, where these were
collected in different ways.
"""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit import images
from probekit.arrays import Float
from probekit.audit.quantisation import mean_step, quality_factor
from probekit.sources import Content

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile

STANDARD, NON_STANDARD = "standard", "non-standard"

CATEGORIES = ("format", "tables", "subsampling")
FLAGS = ("progressive", "exif", "icc")
NUMBERS = ("quality", "quantiser", "width", "height", "bytes", "bits_per_pixel")
PROPERTIES = (*CATEGORIES, *FLAGS, *NUMBERS)
"""The columns of a table of properties."""

DIMENSIONS = ("width", "height")
HEADER = ("format", "tables", "subsampling", "progressive", "exif", "icc", "quality", "quantiser")
SIZE = ("bytes", "bits_per_pixel")
ALL, BESIDES_BYTES = "all", "dimensions and header"
SETS = {
    ALL: PROPERTIES,
    BESIDES_BYTES: (*DIMENSIONS, *HEADER),
    "dimensions": DIMENSIONS,
    "header": HEADER,
    "size of the file": SIZE,
}
"""Properties that are asked about together, under names that no property has; each is asked about by itself besides."""

_SUBSAMPLINGS = {
    ((1, 1), (1, 1)): "4:4:4",
    ((2, 1), (1, 1)): "4:2:2",
    ((2, 2), (1, 1)): "4:2:0",
    ((1, 2), (1, 1)): "4:4:0",
    ((4, 1), (1, 1)): "4:1:1",
    ((4, 2), (1, 1)): "4:1:0",
}


@dataclass(frozen=True, slots=True)
class FileProperties:
    """What one file says of itself; width and height are those of the sample: of the frame, or of the box."""

    format: str
    """JPEG, PNG, WEBP, GIF, TIFF, BMP or AVIF; of a video the ending of its name."""
    tables: str
    """Of a JPEG: whether its quantisation tables are libjpeg's (`standard`) or others (`non-standard`); else empty."""
    quality: float
    """The quality factor, 1 … 100, of standard tables; else NaN."""
    quantiser: float
    """Mean entry of the luminance table of a JPEG; else NaN."""
    subsampling: str
    """Of the chroma of a JPEG, `4:2:0`; `grey` without colour; else empty."""
    progressive: bool
    """A JPEG of several scans, or an interlaced PNG."""
    exif: bool
    icc: bool
    """There is a colour profile."""
    width: int
    """As stored: EXIF rotation is not applied."""
    height: int
    bytes: int

    @property
    def bits_per_pixel(self) -> float:
        """Bits of the file for each of its pixels."""
        return 8 * self.bytes / (self.width * self.height)


def properties_of(content: Content) -> FileProperties:
    """The properties of the file that a sample lies in.

    Raises:
        ImageError: the bytes are no image, or its header is damaged.
    """
    if content.data is None:
        return _of_video(content)
    with images.opened(io.BytesIO(content.data), images.MAX_PIXELS) as image:
        tables = getattr(image, "quantization", None) or {}
        factor = quality_factor(tables)
        width, height = _size(content, image.width, image.height)
        return FileProperties(
            format=image.format or "",
            tables="" if not tables else NON_STANDARD if factor is None else STANDARD,
            quality=math.nan if factor is None else float(factor),
            quantiser=mean_step(tables),
            subsampling=_subsampling(image),
            progressive=bool(image.info.get("progressive") or image.info.get("interlace")),
            exif="exif" in image.info,
            icc="icc_profile" in image.info,
            width=width,
            height=height,
            bytes=len(content.data),
        )


def table_of(found: Sequence[FileProperties]) -> pd.DataFrame:
    """One row a file, the columns `PROPERTIES`."""
    rows = [{name: getattr(each, name) for name in PROPERTIES} for each in found]
    return pd.DataFrame(rows, columns=list(PROPERTIES))


def design_matrix(table: pd.DataFrame, properties: Sequence[str]) -> Float[np.ndarray, "n d"]:
    """float32 columns for a forest: numbers as they are (NaN where a file has none), a 0/1 column for each category.

    The categories are those of the whole table, so that rows of it can be taken afterwards.
    """
    columns: list[Float[np.ndarray, " n"]] = []
    for name in properties:
        if name in CATEGORIES:
            columns += [(table[name] == value).to_numpy(np.float32) for value in sorted(table[name].unique())]
        else:
            columns.append(table[name].to_numpy(np.float32))
    return np.stack(columns, axis=1)


def _of_video(content: Content) -> FileProperties:
    height, width = content.decode().shape[1:]
    name = PurePath(content.sample.member or content.sample.path)
    return FileProperties(
        format=name.suffix.removeprefix(".").upper(),
        tables="",
        quality=math.nan,
        quantiser=math.nan,
        subsampling="",
        progressive=False,
        exif=False,
        icc=False,
        width=width,
        height=height,
        bytes=content.stat.st_size,
    )


def _size(content: Content, width: int, height: int) -> tuple[int, int]:
    """Of the box, if the sample is one."""
    if content.sample.box is None:
        return width, height
    x0, y0, x1, y1 = content.sample.box
    return x1 - x0, y1 - y0


def _subsampling(image: "ImageFile") -> str:
    """From the sampling factors that the frame header of a JPEG gives each component (T.81, B.2.2)."""
    layers = getattr(image, "layer", None)
    if image.format != "JPEG" or not layers:
        return ""
    factors = [(horizontal, vertical) for _, horizontal, vertical, *_ in layers]
    if len(factors) == 1:
        return "grey"
    named = _SUBSAMPLINGS.get((factors[0], factors[1])) if factors[1:] == factors[1:2] * (len(factors) - 1) else None
    return named or ",".join(f"{horizontal}x{vertical}" for horizontal, vertical in factors)
