"""Overlays: what a map says of an image, laid over it, and sheets of images beside their overlays.

Values are scaled to 0–1 in each image, between the least and the greatest: colours compare places, not images. The
higher the value, the less transparent its colour, so that the picture stays visible where the map is low.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Bool, Float, UInt8
from probekit.figures.style import FAINT, INK, UNDEFINED, Extension, figure_of, headline, picture, say_empty, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

SIDE, GAP, WORDS, APART = 1.5, 0.06, 0.5, 0.26  # inches: of a picture, between the two, beneath them, between pairs
PAIRS = 3  # beside each other
COLOURS = "inferno"  # even steps in a value are even steps in perceived lightness
FAINTEST, STRONGEST = 0.12, 0.72  # opacity of the least and the greatest value
UNSEEN = (255, 255, 255, 165)  # a white veil over what the view did not show
LINE = 36  # characters beneath a pair


@dataclass(frozen=True, eq=False)
class Overlay:
    """One image and its map, both of one size."""

    pixels: UInt8[np.ndarray, "h w 3"]
    saliency: Float[np.ndarray, "h w"]
    """NaN where the view did not reach."""
    mask: Bool[np.ndarray, "h w"] | None
    name: str
    """Stands beneath: the generator."""
    note: str
    """And beneath that: score and verdict."""


def overlay(shown: Overlay, *, title: str, remark: str = "", extension: Extension = "png") -> bytes:
    """One image, large, beside its overlay, with the outline of the mask and a scale of the colours."""
    with figure_of(8.6, 4.6) as figure:
        left, right = figure.subplots(1, 2)
        for axes in (left, right):
            axes.axis("off")
        extent = _extent(shown.pixels.shape, 0, 0, 1)
        _draw(left, shown, extent, covered=False)
        _draw(right, shown, extent, covered=True)
        for axes in (left, right):
            axes.set(xlim=(0, 1), ylim=(1, 0), aspect="equal")
        bar = figure.colorbar(_mappable(), ax=right, shrink=0.72, pad=0.02, ticks=[0, 1])
        bar.ax.set_yticklabels(["least", "most"])
        bar.outline.set_visible(False)
        left.set_title(shown.name, fontsize=10, loc="left", color=INK, y=-0.1)
        right.set_title(shown.note, fontsize=10, loc="left", color=FAINT, y=-0.1)
        headline(figure, title, 8.0, remark=remark)
        return picture(figure, extension)


def overlay_sheet(
    pairs: Sequence[Overlay], *, title: str, remark: str = "", oracle: bool = False, extension: Extension = "png"
) -> bytes:
    """Images, each beside its overlay, three pairs in a row, in the order given.

    Args:
        pairs: the images.
        title: stands above the picture.
        remark: a line beneath it.
        oracle: whether anything was chosen on test samples.
        extension: `png` or `svg`.
    """
    breadth, height = 2 * SIDE + GAP + APART, SIDE + WORDS
    columns, lines = max(1, min(PAIRS, len(pairs))), max(1, -(-len(pairs) // PAIRS))
    width = max(columns * breadth - APART, 6.0)
    with figure_of(width, lines * height + 0.7) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(0, width), ylim=(lines * height, 0), aspect="equal")
        axes.axis("off")
        for place, shown in enumerate(pairs):
            left, top = place % PAIRS * breadth, place // PAIRS * height
            for column, covered in enumerate((False, True)):
                extent = _extent(shown.pixels.shape, left + column * (SIDE + GAP), top, SIDE)
                _draw(axes, shown, extent, covered)
            axes.text(left, top + SIDE + 0.06, _line(shown.name), va="top", fontsize=7.5, weight="bold", color=INK)
            axes.text(left, top + SIDE + 0.2, wrapped(shown.note, breadth - APART, 7.5, "normal"), va="top",
                      fontsize=7.5, color=FAINT)  # fmt: skip
        axes.set(xlim=(0, width), ylim=(lines * height, 0))  # drawing an image moves them
        if not pairs:
            say_empty(axes)
        headline(figure, title, width, oracle=oracle, remark=remark)
        return picture(figure, extension)


def under_colours(pixels: UInt8[np.ndarray, "h w 3"], saliency: Float[np.ndarray, "h w"]) -> UInt8[np.ndarray, "h w 3"]:
    """The image under the colours of its map."""
    colours = np.asarray(_mappable().to_rgba(scaled(saliency)))[..., :3]
    strength = FAINTEST + (STRONGEST - FAINTEST) * scaled(saliency)
    unseen = np.isnan(saliency)
    colours[unseen], strength[unseen] = np.array(UNSEEN[:3]) / 255, UNSEEN[3] / 255
    mixed = pixels / 255 * (1 - strength[..., None]) + colours * strength[..., None]
    found: UInt8[np.ndarray, "h w 3"] = np.rint(mixed * 255).astype(np.uint8)
    return found


def scaled(saliency: Float[np.ndarray, "h w"]) -> Float[np.ndarray, "h w"]:
    """The values between 0 and 1, of a constant map 0, and 0 where there is none."""
    known = ~np.isnan(saliency)
    if not known.any():
        return np.zeros(saliency.shape)
    least, greatest = float(saliency[known].min()), float(saliency[known].max())
    span = greatest - least or 1.0
    return np.where(known, (np.where(known, saliency, least).astype(np.float64) - least) / span, 0.0)


def _draw(axes: "Axes", shown: Overlay, extent: tuple[float, float, float, float], covered: bool) -> None:
    """The picture in its square, covered by its map or not, and the outline of the mask on both."""
    from matplotlib.patches import Rectangle

    left, right, bottom, top = extent
    pixels = under_colours(shown.pixels, shown.saliency) if covered else shown.pixels
    axes.add_patch(Rectangle((left, top), right - left, bottom - top, facecolor=UNDEFINED, edgecolor="none"))
    axes.imshow(pixels, extent=extent, zorder=2, interpolation="none")
    if shown.mask is not None and shown.mask.any() and not shown.mask.all():
        height, width = shown.mask.shape
        xs = left + (np.arange(width + 2) - 0.5) / width * (right - left)
        ys = top + (np.arange(height + 2) - 0.5) / height * (bottom - top)
        framed = np.pad(shown.mask, 1).astype(float)  # so that a mask that touches the border is closed there
        for colour, breadth in (("black", 1.9), ("white", 0.9)):
            axes.contour(xs, ys, framed, levels=[0.5], colors=[colour], linewidths=[breadth], zorder=3)


def _extent(shape: Sequence[int], left: float, top: float, side: float) -> tuple[float, float, float, float]:
    """left, right, bottom, top of an image of that shape in the middle of a square."""
    height, width = shape[:2]
    x, y = (side / 2 * part / max(height, width) for part in (width, height))
    return left + side / 2 - x, left + side / 2 + x, top + side / 2 + y, top + side / 2 - y


def _mappable() -> "ScalarMappable":
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    return ScalarMappable(Normalize(0, 1), COLOURS)


def _line(words: str) -> str:
    return words if len(words) <= LINE else words[: LINE - 1] + "…"
