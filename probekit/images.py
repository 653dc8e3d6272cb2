"""Images: the bytes of a file become uint8 RGB pixels, or one clear reason why not."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: the file is missing, empty, a folder or not readable.
    """
    raise NotImplementedError


def decode(data: bytes) -> "Tensor":
    """uint8 (3, H, W) RGB, turned upright by its EXIF orientation.

    Raises:
        ImageError: the bytes are no image, are truncated, or exceed `MAX_PIXELS`.
    """
    raise NotImplementedError
