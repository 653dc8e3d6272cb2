"""What all pictures share: canvas and file format, colours and markers, titles, stamps and legends."""

import io
import math
import textwrap
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
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
CLASS_MARKERS = ("o", "^", "s", "D", "v", "P", "X", "*")  # a new one each time the colours have been used up
DASHES: "tuple[Dashes, ...]" = (
    "-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.5, 2.5)), (0, (8, 2, 1, 1, 1, 2)),
)  # fmt: skip
GUIDE: dict[str, Any] = {"color": FAINT, "linestyle": "--", "lw": 1.2}  # chance, or what would be perfect

Dashes = Literal["-"] | tuple[float, tuple[float, ...]]
"""A line style as matplotlib takes it: unbroken, or an offset and the lengths of dashes and gaps in line widths."""

ORACLE = "ORACLE: chosen on test data"


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
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
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

    lines = [(ORACLE, ALARM, "bold")] * oracle + [(remark, FAINT, "normal")] * bool(remark)
    words = wrapped(title, width) + "\n " * len(lines)  # the blank lines keep the place free
    top = figure.suptitle(words, x=0.01, ha="left", weight="bold", fontsize=12)
    for place, (line, colour, weight) in enumerate(reversed(lines)):
        figure.add_artist(
            Annotation(line, (0, 0), (0, 14 * place), xycoords=top, textcoords="offset points",
                       color=colour, weight=weight, fontsize=10, annotation_clip=False)
        )  # fmt: skip


def wrapped(title: str, width: float) -> str:
    """The title in lines of about so many inches in bold 12 points."""
    return "\n".join(textwrap.wrap(title, int(width / 0.1))) or title


def axes_title(axes: "Axes", title: str, caption: str = "", above: float = 6) -> None:
    """The title over these axes, with a smaller line beneath it."""
    axes.set_title(title, loc="left", weight="bold", fontsize=12, pad=above + (15 if caption else 0))
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


def breadth(labels: Sequence[str], font: float) -> float:
    """The inches that the longest of these words takes, roughly."""
    return max(map(len, labels), default=0) * font * 0.0078


# Legends outside the axes


def legend(figure: "Figure", handles: "Sequence[Artist]") -> None:
    """A legend at the right of the picture, of as many columns as `legend_width` reckons with."""
    if handles:
        font, columns = _legend_size(len(handles))
        figure.legend(handles=handles, loc="outside right upper", frameon=False, ncols=columns,
                      borderaxespad=0.8, fontsize=font, handlelength=2.6, columnspacing=1.4)  # fmt: skip


def legend_width(labels: Sequence[str]) -> float:
    """The inches that a legend of these labels takes."""
    font, columns = _legend_size(len(labels))
    chunks = np.array_split(np.arange(len(labels)), columns)
    return sum((breadth([labels[i] for i in chunk], font) + 0.7 for chunk in chunks), 0.0)


def _legend_size(n: int) -> tuple[float, int]:
    return (10 if n <= 24 else 8), max(1, math.ceil(n / 24))


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
