"""Geometry: where each crop of a view lies in its image, and maps brought back to the image's pixels.

A pixel of the image has the value of the patch whose square holds its centre; nothing is interpolated, so that a map is
no finer than the model's patches. Where crops overlap it has the mean of those that see it, and NaN where none does.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probekit import pixels
from probekit.arrays import Float, Int
from probekit.views import View, texture, tile_starts

if TYPE_CHECKING:
    from torch import Tensor

Size = tuple[int, int]
"""Height and width, in pixels."""


@dataclass(frozen=True)
class Placement:
    """A crop of the image at another size."""

    crop: Size
    resized: Size
    """Of the whole image, as the crop was cut from it."""
    corner: tuple[int, int]
    """Row and column of the crop's first pixel in the resized image; negative where it begins with padding."""
    mirrored: bool = False
    """Whether the resized image was mirrored left to right before the crop."""


def placements(view: View, image: "Tensor") -> list[Placement]:
    """Where the crops of `view.crops(image)` lie, in their order.

    Args:
        view: how the image is cut.
        image: uint8 (3, H, W), after perturbation.
    """
    return _PLACES[view.policy](view, image)


def to_image(
    grids: Sequence[Float[np.ndarray, "g g"]], cell: int, places: Sequence[Placement], size: Size
) -> Float[np.ndarray, "h w"]:
    """One map of the whole image, float32; NaN at pixels that no crop saw.

    Args:
        grids: of each crop, NaN where a patch is no image.
        cell: pixels of the crop along a side of a patch.
        places: where each crop lies.
        size: of the image.
    """
    total, seen = np.zeros(size), np.zeros(size)
    for grid, place in zip(grids, places, strict=True):
        rows = _cells(size[0], place.resized[0], place.corner[0], place.crop[0], cell, len(grid), mirrored=False)
        columns = _cells(size[1], place.resized[1], place.corner[1], place.crop[1], cell, len(grid), place.mirrored)
        own = grid[np.ix_(np.maximum(rows, 0), np.maximum(columns, 0))]
        known = (rows >= 0)[:, None] & (columns >= 0)[None] & ~np.isnan(own)
        total += np.where(known, own, 0.0)
        seen += known
    return np.where(seen > 0, total / np.maximum(seen, 1), np.nan).astype(np.float32)


def _cells(
    length: int, resized: int, corner: int, crop: int, cell: int, cells: int, mirrored: bool
) -> Int[np.ndarray, " n"]:
    """The cell that holds the centre of each pixel along one side; -1 where the crop does not reach."""
    at = (np.arange(length) + 0.5) * (resized / length)
    at = (resized - at if mirrored else at) - corner
    number = np.floor(at / cell).astype(np.int64)
    return np.where((at >= 0) & (at < crop) & (number < cells), number, -1)


# ── the policies of `probekit.views` ────────────────────────────────────────────────────────────────────


def _resize(view: View, image: "Tensor") -> list[Placement]:
    return [_centre(pixels.with_shorter_side(image, _number(view.resize)), _square(view))]


def _center(view: View, image: "Tensor") -> list[Placement]:
    return [_centre(_size(image), _square(view))]


def _squash(view: View, image: "Tensor") -> list[Placement]:
    return [Placement(_square(view), _square(view), (0, 0))]


def _native(view: View, image: "Tensor") -> list[Placement]:
    height, width = _size(image)
    largest = view.crop or max(height, width)
    return [_centre((height, width), (min(height, largest), min(width, largest)))]


def _longest(view: View, image: "Tensor") -> list[Placement]:
    (size,) = (crop.shape[1:] for crop in view.crops(image))
    return [Placement((size[0], size[1]), (size[0], size[1]), (0, 0))]


def _tencrop(view: View, image: "Tensor") -> list[Placement]:
    resized, (side, _) = pixels.with_shorter_side(image, _number(view.resize)), _square(view)
    (height, width), (top, left) = _padded(resized, side)
    centre = _centre((height, width), (side, side)).corner
    corners = [(0, 0), (0, width - side), (height - side, 0), (height - side, width - side), centre]
    return [
        # mirrored padding: what is left of the image when it is mirrored was right of it before
        Placement((side, side), resized, (y - top, x - (width - resized[1] - left if mirrored else left)), mirrored)
        for mirrored in (False, True)
        for y, x in corners
    ]


def _tile(view: View, image: "Tensor") -> list[Placement]:
    side = _number(view.crop)
    (height, width), (top, left) = _padded(_size(image), side)
    return [
        Placement((side, side), _size(image), (y - top, x - left))
        for y in tile_starts(height, side)
        for x in tile_starts(width, side)
    ]


def _texture(view: View, image: "Tensor") -> list[Placement]:
    """The tiles in the order of their texture, as `views` takes them."""
    places = _tile(view, image)
    crops = [_cut(image, place) for place in places]
    order = sorted(range(len(places)), key=lambda number: texture(crops[number]), reverse=True)
    return [places[number] for number in order[: view.top]]


def _cut(image: "Tensor", place: Placement) -> "Tensor":
    """The crop, with zeros where it reaches beyond the image."""
    from torch.nn.functional import pad

    (height, width), (y, x) = place.crop, place.corner
    inside = image[:, max(y, 0) : y + height, max(x, 0) : x + width]
    before = (max(-y, 0), max(-x, 0))
    return pad(
        inside, (before[1], width - before[1] - inside.shape[2], before[0], height - before[0] - inside.shape[1])
    )


def _centre(resized: Size, crop: Size) -> Placement:
    """As torchvision's `center_crop`: half the difference, rounded to even when cut and down when padded."""
    corner = [
        round((length - side) / 2) if length >= side else -((side - length) // 2)
        for length, side in zip(resized, crop, strict=True)
    ]
    return Placement(crop, resized, (corner[0], corner[1]))


def _padded(resized: Size, side: int) -> tuple[Size, Size]:
    """The size after padding to at least `side`, and what was added above and at the left."""
    (height, width) = (max(length, side) for length in resized)
    return (height, width), (max(0, side - resized[0]) // 2, max(0, side - resized[1]) // 2)


def _square(view: View) -> Size:
    return _number(view.crop), _number(view.crop)


def _size(image: "Tensor") -> Size:
    return int(image.shape[1]), int(image.shape[2])


def _number(value: int | None) -> int:
    assert value is not None  # the view was checked when it was made
    return value


_PLACES: dict[str, Callable[[View, "Tensor"], list[Placement]]] = {
    "resize": _resize,
    "center": _center,
    "squash": _squash,
    "native": _native,
    "longest": _longest,
    "tencrop": _tencrop,
    "tile": _tile,
    "texture": _texture,
}
