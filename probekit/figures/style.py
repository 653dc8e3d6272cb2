"""What all pictures share: canvas and file format, colours and markers, titles, stamps and legends."""

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from probekit.arrays import Groups
from probekit.manifest import REAL

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Extension = Literal["png", "svg"]
"""The file format of a picture, as its file is called."""

DENSITY = 200  # dots an inch: twice a screen's
MISSING_GLYPH = r"Glyph \d+ .* missing from"
INK, FAINT, UNDEFINED = "#1b1f24", "#6b7280", "#e5e7eb"
ALARM = "#a6480a"

# Straight lines through CIELAB: ΔE between neighbours is constant on each side.
ORANGE_TO_BLUE = (
    "#a6480a", "#bc6a3b", "#cf8c66", "#e0af93", "#edd2c2", "#f7f6f3",
    "#ced3e0", "#a5b1cd", "#7c90ba", "#5070a7", "#0b5394",
)  # fmt: skip
WHITE_TO_BLUE = ORANGE_TO_BLUE[5:]

REAL_COLOUR = "#6b7280"  # also in reports/static/map.js: seen on white and on black
CLASS_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#8c6bb1")  # Okabe and Ito
POOL_COLOURS = {"mated": CLASS_COLOURS[0], "unregistered": CLASS_COLOURS[4], REAL: REAL_COLOUR}  # in every picture
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*", "<")  # a new one each time the colours have been used up
DASHES: "tuple[Dashes, ...]" = (
    "-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.5, 2.5)), (0, (8, 2, 1, 1, 1, 2)),
)  # fmt: skip
GUIDE: dict[str, Any] = {"color": FAINT, "linestyle": "--", "lw": 1.2}  # chance, or what would be perfect

Weight = Literal["normal", "bold"]
Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
"""A line style as matplotlib takes it: unbroken, or an offset and the lengths of dashes and gaps in line widths."""

ORACLE = "ORACLE: chosen on test data"

GAP = 0.4  # inches between a title and the legend beside it
LEGEND_BREADTH = 3.2  # inches of a label, beyond which it is folded
LEGEND_LINES = 24  # in a column
BREAKS = tuple(
    re.compile(after)
    for after in (
        r"(?<= · )",
        r"(?<=, )",
        r"(?<= )(?![·→] )|(?<=\S\+)(?=\S)",  # a dot or an arrow begins no line
        r"(?<=[_\-#:/])",  # inside names
        r"(?<=.)(?=.)",
    )
)
"""Where a line may end: a text that does not fit is broken at the first of these, its parts that do not at the next."""


# Canvas and file


@contextmanager
def figure_of(width: float, height: float) -> "Iterator[Figure]":
    """An empty figure of that size in inches, under matplotlib's defaults and the few changes below."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(
            {
                "font.size": 11,
                "text.parse_math": False,  # a generator may be called a$b$c
                "text.color": INK,
                "axes.edgecolor": "#9aa1ab",
                "axes.labelcolor": INK,
                "xtick.color": INK,
                "ytick.color": INK,
                "hatch.linewidth": 0.8,
                "svg.hashsalt": "probekit",  # else the names inside an SVG are drawn by chance
            }
        )
        figure = Figure(figsize=(width, height), dpi=DENSITY, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure


def picture(figure: "Figure", extension: Extension = "png") -> bytes:
    """The file of the drawn figure, without dates or versions in it."""
    file = io.BytesIO()
    nothing = {"png": ["Software"], "svg": ["Creator", "Date"]}[extension]
    with warnings.catch_warnings():  # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message=MISSING_GLYPH)
        figure.savefig(
            file,
            format=extension,
            dpi=DENSITY,
            metadata=dict.fromkeys(nothing),
            bbox_inches="tight",
            pad_inches=0.12,
        )
    return file.getvalue()


# Titles and words


def headline(figure: "Figure", title: str, width: float, *, oracle: bool = False, remark: str = "") -> None:
    """The title over the whole picture, in lines of `width` inches, with a remark and the oracle stamp beneath it."""
    from matplotlib.text import Annotation

    beneath = wrapped(remark, width, 10, "normal").splitlines()
    lines = [(ORACLE, ALARM, "bold")] * oracle + [(line, FAINT, "normal") for line in beneath]
    words = wrapped(title, width) + "\n " * len(lines)  # the blank lines keep the place free
    top = figure.suptitle(words, x=0.01, ha="left", weight="bold", fontsize=12)
    for place, (line, colour, weight) in enumerate(reversed(lines)):
        figure.add_artist(
            Annotation(line, (0, 0), (0, 14 * place), xycoords=top, textcoords="offset points",
                       color=colour, weight=weight, fontsize=10, annotation_clip=False)
        )  # fmt: skip


def wrapped(words: str, width: float, font: float = 12, weight: Weight = "bold") -> str:
    """The words in lines of at most so many inches, broken where they read best (`BREAKS`)."""

    def fits(line: str) -> bool:
        return _text_width(line.rstrip(), font, weight) <= width

    lines = [""]
    for piece in _pieces(words, fits, BREAKS):
        if lines[-1] and not fits(lines[-1] + piece):
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _pieces(words: str, fits: Callable[[str], bool], breaks: "Sequence[re.Pattern[str]]") -> list[str]:
    """The words in pieces that each fit into a line, as few and as natural as can be."""
    if fits(words) or not breaks:
        return [words]
    parts = filter(None, breaks[0].split(words))
    return [piece for part in parts for piece in _pieces(part, fits, breaks[1:])]


def axes_title(axes: "Axes", title: str, caption: str = "", above: float = 6) -> None:
    """The title over these axes, in lines of six inches, with a smaller line beneath it."""
    axes.set_title(wrapped(title, 6.0), loc="left", weight="bold", fontsize=12, pad=above + (15 if caption else 0))
    if caption:
        axes.annotate(caption, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points",
                      fontsize=9.5, color=FAINT)  # fmt: skip


def bare(axes: "Axes", *sides: str) -> None:
    """Hide these sides of the frame."""
    axes.spines[list(sides)].set_visible(False)


def ruled(axes: "Axes", axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw faint lines at the ticks, behind everything else."""
    axes.grid(axis=axis, color=UNDEFINED, lw=0.8)
    axes.set_axisbelow(True)


def say_empty(axes: "Axes") -> None:
    """Write into the middle of the axes that there was nothing to draw."""
    axes.text(0.5, 0.55, "no values", transform=axes.transAxes, ha="center", va="center", color=FAINT, fontsize=12,
              bbox={"facecolor": "white", "edgecolor": "none"})  # fmt: skip


def breadth(labels: Sequence[str], font: float, weight: Weight = "normal") -> float:
    """The inches that the longest line of these words takes."""
    return max((_text_width(line, font, weight) for label in labels for line in label.splitlines()), default=0.0)


@lru_cache(maxsize=4096)
def _text_width(line: str, font: float, weight: Weight) -> float:
    """The inches of the line in the default font, whatever the user's settings."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    look = FontProperties(family="DejaVu Sans", style="normal", variant="normal", stretch="normal", weight=weight)
    look.set_size(font)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=MISSING_GLYPH)
        points: float = text_to_path.get_text_width_height_descent(line, look, ismath=False)[0]
    return points / 72


# Legends outside the axes


def legend(figure: "Figure", handles: "Sequence[Artist]", title: str = "") -> None:
    """A legend at the right of the picture, of as many columns as `legend_width` reckons with."""
    if handles:
        font, columns, labels = _legend_layout([str(handle.get_label()) for handle in handles])
        drawn = figure.legend(handles=handles, labels=labels, loc="outside right upper", frameon=False, ncols=columns,
                              borderaxespad=0.8, fontsize=font, handlelength=2.6, columnspacing=1.4,
                              title=title or None, alignment="left")  # fmt: skip
        drawn.get_title().set(fontsize=font, fontweight="bold")


def legend_width(labels: Sequence[str], title: str = "") -> float:
    """The inches that a legend of these labels takes."""
    font, columns, folded = _legend_layout(labels)
    chunks = np.array_split(np.arange(len(labels)), columns)
    beneath = sum((breadth([folded[i] for i in chunk], font) + 0.7 for chunk in chunks), 0.0)
    return max(beneath, breadth([title], font, "bold") + 0.3)


def _legend_layout(labels: Sequence[str]) -> tuple[float, int, list[str]]:
    """Points of the font, columns, and the labels, the long ones folded."""
    font = 10 if len(labels) <= LEGEND_LINES else 8
    folded = [wrapped(label, LEGEND_BREADTH, font, "normal") for label in labels]
    lines = sum(label.count("\n") + 1 for label in folded)
    return font, max(1, math.ceil(lines / LEGEND_LINES)), folded


# Looks of classes and series


def real_first(classes: Groups) -> list[str]:
    """The names of the classes in alphabetical order, real before all others."""
    return sorted({str(name) for name in classes}, key=lambda name: (name != REAL, name))


def class_style(names: Sequence[str], name: str) -> dict[str, Any]:
    """Colour and marker of a class: grey for real, then every colour once a marker."""
    if name == REAL:
        return {"color": REAL_COLOUR, "marker": "o", "linewidths": 0}
    place = [other for other in names if other != REAL].index(name)
    marker = CLASS_MARKERS[place // len(CLASS_COLOURS) % len(CLASS_MARKERS)]
    return {"color": CLASS_COLOURS[place % len(CLASS_COLOURS)], "marker": marker, "linewidths": 0}


def line_style(place: int) -> dict[str, Any]:
    """Colour and dashes of the line at that place of a legend: every colour once a kind of dashes."""
    dashes = DASHES[place // len(CLASS_COLOURS) % len(DASHES)]
    return {"color": CLASS_COLOURS[place % len(CLASS_COLOURS)], "linestyle": dashes, "lw": 1.6}


def series_colour(place: int) -> str:
    """The colour of the series at that place of a legend: every colour, then a darker and a lighter one of each."""
    from matplotlib.colors import to_hex, to_rgb

    red, green, blue = to_rgb(CLASS_COLOURS[place % len(CLASS_COLOURS)])
    white, share = ((0.0, 1.0), (0.0, 0.5), (0.5, 0.5))[place // len(CLASS_COLOURS) % 3]
    return to_hex((white + share * red, white + share * green, white + share * blue))
