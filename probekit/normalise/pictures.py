"""Pixels become the bytes of a copy: a central square, at one size, without metadata."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import UInt8
from probekit.errors import ImageError
from probekit.normalise.settings import NormaliseSettings

if TYPE_CHECKING:
    from PIL.Image import Image

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1, half-open, in pixels."""


@dataclass(frozen=True)
class Window:
    """The central square of a picture that its copy shows."""

    left: int
    top: int
    side: int
    """Pixels of the picture."""
    size: int
    """Pixels of the copy."""

    @classmethod
    def of(cls, width: int, height: int, settings: NormaliseSettings) -> "Window":
        """The window of a picture of this size.

        Raises:
            ImageError: it is smaller than the copy, and must not be enlarged.
        """
        short, size = min(width, height), settings.size
        if short < size and not settings.enlarge:
            raise ImageError(f"it is {width} × {height}, smaller than {size} × {size}: --enlarge resizes it up.")
        side = short if settings.resize or short < size else size
        return cls((width - side) // 2, (height - side) // 2, side, size)

    def cut(self, picture: "Image", *, nearest: bool = False) -> "Image":
        """The square at the size of the copy."""
        from PIL.Image import Resampling

        square = picture.crop((self.left, self.top, self.left + self.side, self.top + self.side))
        if self.side == self.size:
            return square
        return square.resize((self.size, self.size), Resampling.NEAREST if nearest else Resampling.LANCZOS)

    def move(self, box: Box) -> Box:
        """Where a box of the picture is in the copy: the smallest whole pixels around what is left of it.

        Raises:
            ImageError: nothing is left.
        """
        x0, y0, x1, y1 = box
        low = [self._scaled(x0 - self.left), self._scaled(y0 - self.top)]
        high = [-self._scaled(self.left - x1), -self._scaled(self.top - y1)]  # rounded up
        a, b, c, d = (min(max(edge, 0), self.size) for edge in (*low, *high))
        if a >= c or b >= d:
            raise ImageError(f"its box {x0},{y0},{x1},{y1} lies outside the central square: use --boxes cut.")
        return a, b, c, d

    def _scaled(self, edge: int) -> int:
        return edge * self.size // self.side  # rounded down


def copy_of(pixels: UInt8[np.ndarray, "h w 3"], window: Window, settings: NormaliseSettings) -> bytes:
    """The file of the copy: the same bytes for the same pixels, settings and version of Pillow."""
    from PIL import Image

    copy, buffer = window.cut(Image.fromarray(pixels)), io.BytesIO()
    if settings.format == "png":
        copy.save(buffer, "PNG")
    else:
        copy.save(buffer, "JPEG", quality=settings.quality, subsampling=settings.subsampling)
    return buffer.getvalue()


def mask_of(mask: UInt8[np.ndarray, "h w"], window: Window) -> bytes:
    """The PNG file of a mask's copy, which has only values that the mask has."""
    from PIL import Image

    buffer = io.BytesIO()
    window.cut(Image.fromarray(mask), nearest=True).save(buffer, "PNG")
    return buffer.getvalue()
