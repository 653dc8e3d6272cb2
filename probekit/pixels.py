"""Pixels: what views and perturbations both do to uint8 (3, H, W) images."""

from typing import TYPE_CHECKING, Literal

from probekit.errors import ImageError
from probekit.images import MAX_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]


def resize(image: "Tensor", height: int, width: int, interpolation: Interpolation, remedy: str) -> "Tensor":
    """The image at another size, antialiased: uint8 (3, H, W) → uint8 (3, `height`, `width`).

    Raises:
        ImageError: that would be more than `MAX_PIXELS`; the message ends with the remedy.
    """
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    if height * width > MAX_PIXELS:
        sizes = f"{image.shape[2]} × {image.shape[1]} pixels would be resized to {width} × {height}"
        raise ImageError(f"{sizes}: {remedy}")
    if height == width == 1:  # PyTorch fails an assertion of its own for one pixel, unless channels come last in memory
        image = image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
    mode = InterpolationMode(interpolation)
    resized: Tensor = functional.resize(image, [height, width], interpolation=mode, antialias=True)
    return resized


def with_shorter_side(image: "Tensor", side: int) -> tuple[int, int]:
    """Height and width with the shorter side at `side`, the longer at int(side · long / short), as torchvision does."""
    short, long = sorted(image.shape[1:])
    target = int(side * long / short)
    return (side, target) if image.shape[1] == short else (target, side)
