"""Contact sheets: queries and the registered examples that were found for them; pairs and single pictures.

Right and wrong are told by the colour of a frame, by its line and by a mark in the words beneath: none of them is
needed where another can be seen.
"""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.arrays import UInt8
from probekit.figures.style import (
    CLASS_COLOURS,
    FAINT,
    INK,
    UNDEFINED,
    Extension,
    figure_of,
    headline,
    picture,
    say_empty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE, GAP, WORDS, APART = 1.3, 0.16, 0.7, 0.3  # inches: of a thumbnail, around it, beneath it, beside the query
EDGE = 0.03  # inches: half a frame stands out of its square
LINE = 21  # characters beneath a thumbnail
FRAMES: dict[bool | None, dict[str, Any]] = {
    None: {"edgecolor": INK, "linewidth": 1.2, "linestyle": "-"},
    True: {"edgecolor": CLASS_COLOURS[0], "linewidth": 3.2, "linestyle": "-"},
    False: {"edgecolor": CLASS_COLOURS[4], "linewidth": 3.2, "linestyle": (0, (2.2, 1.4))},
}
MARKS = {None: "", True: "✓ ", False: "✗ "}


@dataclass(frozen=True, eq=False)
class Thumbnail:
    """One image of a sheet."""

    pixels: UInt8[np.ndarray, "h w 3"] | None
    """None where the image could not be read: it is drawn as a grey square that says so."""
    name: str
    """Stands beneath: the generator."""
    note: str
    """And beneath that: the similarity."""
    right: bool | None = None
    """Whether a neighbour is what the query is; None for the query itself."""
    file: str = ""
    """Stands last, its middle left out where it is long."""


def contact_sheet(
    rows: Sequence[Sequence[Thumbnail]],
    *,
    title: str,
    remark: str = "✓ solid frame: of the query's generator    ✗ dashed frame: of another",
    extension: Extension = "png",
) -> bytes:
    """A row for each query: the query at the left, its nearest examples after it, nearest first.

    Args:
        rows: the query and its neighbours; rows may differ in length.
        title: stands above the picture.
        remark: a line beneath it.
        extension: `png` or `svg`.
    """
    columns = max((len(row) for row in rows), default=1)
    width = max(columns * (SIDE + GAP) + APART, 4.5)
    height = max(len(rows), 1) * (SIDE + WORDS)
    with figure_of(width, height + 0.6) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(-EDGE, width), ylim=(height, -EDGE), aspect="equal")
        axes.axis("off")
        for line, row in enumerate(rows):
            for column, thumbnail in enumerate(row):
                _draw(axes, thumbnail, column * (SIDE + GAP) + (APART if column else 0), line * (SIDE + WORDS))
        if not rows:
            say_empty(axes)
        headline(figure, title, width, remark=remark)
        return picture(figure, extension)


def picture_sheet(
    sets: Sequence[Sequence[Thumbnail]], *, title: str, remark: str = "", across: int = 6, extension: Extension = "png"
) -> bytes:
    """Pictures that belong together, such as the two of a pair, side by side; several sets in a row.

    Args:
        sets: of one length; read from left to right and from top to bottom.
        title: stands above the picture.
        remark: a line beneath it.
        across: pictures in a row.
        extension: `png` or `svg`.
    """
    each = max((len(one) for one in sets), default=1)
    in_row = max(1, across // each)
    used = min(in_row, max(len(sets), 1))
    width = max(used * (each * (SIDE + GAP) + APART) - APART, 4.5)
    rows = max(-(-len(sets) // in_row), 1)
    with figure_of(width, rows * (SIDE + WORDS) + 0.6) as figure:
        axes = figure.add_subplot()
        axes.set(xlim=(-EDGE, width), ylim=(rows * (SIDE + WORDS), -EDGE), aspect="equal")
        axes.axis("off")
        for number, one in enumerate(sets):
            line, place = divmod(number, in_row)
            for column, thumbnail in enumerate(one):
                left = place * (each * (SIDE + GAP) + APART) + column * (SIDE + GAP)
                _draw(axes, thumbnail, left, line * (SIDE + WORDS))
        if not sets:
            say_empty(axes)
        headline(figure, title, width, remark=remark)
        return picture(figure, extension)


def _draw(axes: "Axes", thumbnail: Thumbnail, left: float, top: float) -> None:
    """The image within its square, its frame and its words."""
    from matplotlib.patches import Rectangle

    centre, middle = left + SIDE / 2, top + SIDE / 2
    axes.add_patch(Rectangle((left, top), SIDE, SIDE, facecolor=UNDEFINED, edgecolor="none"))
    if thumbnail.pixels is None:
        axes.text(centre, middle, "cannot\nbe read", ha="center", va="center", fontsize=9, color=FAINT)
    else:
        h, w = thumbnail.pixels.shape[:2]
        x, y = (SIDE / 2 * part / max(h, w) for part in (w, h))
        axes.imshow(thumbnail.pixels, extent=(centre - x, centre + x, middle + y, middle - y), zorder=2,
                    interpolation="none")  # fmt: skip
    axes.add_patch(Rectangle((left, top), SIDE, SIDE, facecolor="none", zorder=3, **FRAMES[thumbnail.right]))
    names = _lines(MARKS[thumbnail.right] + thumbnail.name)
    words = [*names, thumbnail.note, *([_middle_out(thumbnail.file)] if thumbnail.file else [])]
    weight = "bold" if thumbnail.right is None else "normal"
    for place, word in enumerate(words):
        last = place >= len(names)
        axes.text(left, top + SIDE + 0.09 + 0.135 * place, word, va="top", fontsize=7.5,
                  color=FAINT if last else INK, weight="normal" if last else weight)  # fmt: skip


def _middle_out(file: str) -> str:
    """The file's name in one line: its beginning and, which tells files apart, its end."""
    end = LINE * 2 // 3
    return file if len(file) <= LINE else f"{file[: LINE - 1 - end]}…{file[-end:]}"


def _lines(words: str) -> list[str]:
    """At most two lines; what does not fit ends in an ellipsis."""
    lines = textwrap.wrap(words, LINE, break_on_hyphens=True) or [""]
    return lines if len(lines) <= 2 else [lines[0], lines[1][: LINE - 1] + "…"]
