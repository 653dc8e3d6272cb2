"""Figures: arrays and tables become PNG pictures, the same bytes for the same input.

The only module that draws with matplotlib. It uses a canvas of its own, never pyplot's global state, and
matplotlib's default style whatever the user's `matplotlibrc` says. Colours can be told apart with every
common colour blindness, and even steps in a value are even steps in perceived colour.
"""

import io
import itertools
import math
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probekit.arrays import Float, Groups, Scores
from probekit.manifest import REAL

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

DENSITY = 200  # dots an inch: twice a screen's
INK, FAINT, UNDEFINED = "#1b1f24", "#6b7280", "#e5e7eb"

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


def matrix(
    values: pd.DataFrame,
    *,
    title: str,
    value_name: str = "AUC",
    counts: pd.DataFrame | None = None,
    train_axis: str = "trained on",
    test_axis: str = "tested on",
    limits: tuple[float, float] = (0.0, 1.0),
) -> bytes:
    """A train/test heat map: trained on down, tested on across, each value printed, n small beneath it.

    The colours span `limits` whatever the values, so that pictures compare; their neutral middle is chance.

    Args:
        values: train (index) by test (columns); NaN is drawn hatched and grey.
        title: stands above the picture.
        value_name: of the colour bar.
        counts: test samples of each cell, same index and columns; None prints no n.
        train_axis: words for the index.
        test_axis: words for the columns.
        limits: values at the two ends of the colours.
    """
    small = None if counts is None else counts.map(lambda n: "" if pd.isna(n) else f"n {int(n)}")
    text = values.map(lambda value: "–" if pd.isna(value) else f"{value:.2f}")
    return _heat_map(
        values,
        text,
        small,
        title=title,
        value_name=value_name,
        axis_names=(train_axis, test_axis),
        colours=_colours("chance in the middle", ORANGE_TO_BLUE),
        limits=limits,
    )


def confusion(
    counts: pd.DataFrame,
    *,
    title: str,
    true_axis: str = "true generator",
    answer_axis: str = "answer",
) -> bytes:
    """A confusion matrix: rows in per cent of their samples, counts small beneath; empty rows are hatched.

    Args:
        counts: samples by true class (index) and answer (columns).
        title: stands above the picture.
        true_axis: words for the index.
        answer_axis: words for the columns.
    """
    total = counts.sum(axis=1)
    share = 100 * counts.div(total.where(total > 0), axis=0)
    text = share.map(lambda value: "–" if pd.isna(value) else f"{value:.0f}")
    small = counts.map(lambda n: f"{int(n)}" if n else "")
    rows = pd.Index([f"{name}  (n {n})" for name, n in zip(counts.index, total, strict=True)])
    return _heat_map(
        share.set_axis(rows),
        text.set_axis(rows),
        small.set_axis(rows),
        title=title,
        value_name="% of the row",
        axis_names=(true_axis, answer_axis),
        colours=_colours("share", WHITE_TO_BLUE),
        limits=(0.0, 100.0),
    )


def scatter_map(
    coordinates: Float[np.ndarray, "n 2"],
    classes: Groups,
    *,
    title: str,
    caption: str = "",
    seed: int = 0,
) -> bytes:
    """A map of samples coloured by class, a legend of counts outside, quality figures beneath the title.

    Points are drawn in a seeded random order, so that no class hides another by coming last.

    Args:
        coordinates: where each sample lies.
        classes: the class of each sample; `real` is grey, the others get colours in alphabetical order.
        title: stands above the picture.
        caption: a smaller line beneath the title: trustworthiness, purity, perplexity.
        seed: of the drawing order.
    """
    names = _real_first(classes)
    n = len(classes)
    size = float(np.clip(9000 / max(n, 1), 3, 34))
    order = np.random.default_rng(seed).permutation(n)
    label = np.asarray(classes, dtype=object)
    columns = 1 + (len(names) - 1) // 24
    with _figure(6.0 + 2.2 * columns, 6.0) as figure:
        axes = figure.add_subplot()
        for chunk in np.array_split(order, min(24, max(1, n))):
            for name in names:
                rows = chunk[label[chunk] == name]
                axes.scatter(coordinates[rows, 0], coordinates[rows, 1], s=size, alpha=0.8, **_style(names, name))
        handles = [
            axes.scatter([], [], s=42, label=f"{name}  ({int((label == name).sum())})", **_style(names, name))
            for name in names
        ]
        figure.legend(
            handles=handles, loc="outside right upper", frameon=False, ncols=columns,
            handletextpad=0.2, borderaxespad=0.8, fontsize=10 if len(names) <= 24 else 8,
        )  # fmt: skip
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xticks=[], yticks=[])
        _title(axes, title, caption)
        return _png(figure)


def histograms(
    scores: Mapping[str, Scores],
    *,
    title: str,
    score_name: str = "similarity to the nearest registered example",
    threshold: float | None = None,
    threshold_name: str = "threshold",
) -> bytes:
    """Score distributions of several pools on one axis, one panel a pool, the threshold through all of them.

    Args:
        scores: name of the pool → its scores; an empty pool keeps its panel.
        title: stands above the picture.
        score_name: words for the axis.
        threshold: a finite score, drawn as a dashed line.
        threshold_name: words beside it.
    """
    marks = np.zeros(0) if threshold is None else np.array([threshold], dtype=float)
    everything = np.concatenate([marks, *(np.asarray(pool, dtype=float) for pool in scores.values())])
    low, high = (everything.min(), everything.max()) if len(everything) else (0.0, 1.0)
    margin = 0.02 * (high - low) or 0.05
    edges = np.linspace(low - margin, high + margin, 41)
    with _figure(7.2, 1.2 + 1.15 * max(len(scores), 1)) as figure:
        panels = figure.subplots(max(len(scores), 1), sharex=True, squeeze=False)[:, 0]
        others = itertools.cycle(colour for colour in CLASS_COLOURS if colour not in POOL_COLOURS.values())
        for axes, (name, pool) in zip(panels, scores.items(), strict=False):
            share = np.histogram(pool, edges)[0] / max(len(pool), 1)
            axes.bar(
                edges[:-1],
                share,
                np.diff(edges),
                align="edge",
                color=POOL_COLOURS.get(name) or next(others),
            )
            axes.text(0.01, 0.95, f"{name}  (n {len(pool)})", transform=axes.transAxes, va="top", weight="bold")
            axes.set(yticks=[], xlim=(edges[0], edges[-1]), ylim=(0, 1.5 * max(share.max(), 0.01)))  # room for words
            _bare(axes, "top", "left", "right")
            if threshold is not None:
                axes.axvline(threshold, color=INK, lw=1.2, ls="--")
        if threshold is not None:
            right = threshold > (edges[0] + edges[-1]) / 2
            panels[0].annotate(
                f"{threshold_name} {threshold:.3f}",
                (threshold, 1),
                (-4 if right else 4, 4),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                ha="right" if right else "left",
                fontsize=9,
            )
        panels[-1].set_xlabel(score_name)
        _title(panels[0], title, above=18)
        return _png(figure)


# Heat maps


def _heat_map(
    values: pd.DataFrame,
    text: pd.DataFrame,
    small: pd.DataFrame | None,
    *,
    title: str,
    value_name: str,
    axis_names: tuple[str, str],
    colours: "Colormap",
    limits: tuple[float, float],
) -> bytes:
    from matplotlib.patches import Rectangle

    rows, columns = values.shape
    cell = float(np.interp(max(rows, columns), [4, 20], [0.82, 0.5]))  # inches
    font = float(np.interp(max(rows, columns), [4, 20], [13, 8]))
    grid, printed = values.to_numpy(dtype=float), text.to_numpy()
    notes = None if small is None else small.to_numpy()
    labels = [[str(name) for name in axis] for axis in (values.index, values.columns)]
    longest = [max(map(len, names)) * font * 0.0078 for names in labels]  # inches, roughly
    steep = longest[1] > cell  # names too wide for their column
    width = longest[0] + cell * columns + 1.5
    height = cell * rows + (0.75 * longest[1] if steep else 0.25) + 1.2
    with _figure(max(width, 3.6), height) as figure:
        axes = figure.add_subplot()
        image = axes.imshow(np.ma.masked_invalid(grid), cmap=colours, vmin=limits[0], vmax=limits[1], aspect="equal")
        for (row, column), value in np.ndenumerate(grid):
            if math.isnan(value):
                axes.add_patch(
                    Rectangle((column - 0.5, row - 0.5), 1, 1, fc=UNDEFINED, ec="#b6bcc6", hatch="////", lw=0)
                )
            colour = _readable_on(colours, value, limits)
            note = "" if notes is None else str(notes[row, column])
            axes.text(column, row - (0.12 if note else 0), str(printed[row, column]),
                      ha="center", va="center", color=colour, fontsize=font)  # fmt: skip
            axes.text(column, row + 0.27, note, ha="center", va="center", color=colour, fontsize=0.62 * font)
        axes.set_xticks(range(columns), labels[1], rotation=40 if steep else 0,
                        ha="right" if steep else "center", rotation_mode="anchor")  # fmt: skip
        axes.set_yticks(range(rows), labels[0])
        axes.set_xticks(np.arange(columns + 1) - 0.5, minor=True)
        axes.set_yticks(np.arange(rows + 1) - 0.5, minor=True)
        axes.grid(which="minor", color="white", lw=1.5)
        axes.tick_params(which="both", length=0, labelsize=max(0.85 * font, 8))
        axes.set_ylabel(axis_names[0], weight="bold")
        axes.set_xlabel(axis_names[1], weight="bold")
        axes.spines[:].set_visible(False)
        beside = axes.inset_axes((1 + 0.25 / columns, 0, 0.25 / columns, 1))  # as high as the matrix, however flat
        bar = figure.colorbar(image, cax=beside, ticks=np.linspace(*limits, 6 if rows > 2 else 3))
        bar.outline.set_visible(False)
        bar.set_label(value_name)
        figure.suptitle(
            _wrapped(title, max(width, 5.5)), x=0.01, ha="left", weight="bold", fontsize=12
        )  # of the whole picture: the axes may be narrower than it
        return _png(figure)


def _colours(name: str, stops: Sequence[str]) -> "Colormap":
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list(name, list(stops))


def _readable_on(colours: "Colormap", value: float, limits: tuple[float, float]) -> str:
    """Black or white, whichever has the higher contrast (WCAG relative luminance) with the cell."""
    if math.isnan(value):
        return INK
    red, green, blue, _ = colours((value - limits[0]) / (limits[1] - limits[0]))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return "white" if luminance < 0.22 else INK


# Style


@contextmanager
def _figure(width: float, height: float) -> "Iterator[Figure]":
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
            }
        )
        figure = Figure(figsize=(width, height), dpi=DENSITY, layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        yield figure


def _png(figure: "Figure") -> bytes:
    """The drawn picture without dates or versions in it."""
    picture = io.BytesIO()
    with warnings.catch_warnings():  # a name in a script that the font lacks is drawn as boxes
        warnings.filterwarnings("ignore", message=r"Glyph \d+ .* missing from")
        figure.savefig(
            picture,
            format="png",
            dpi=DENSITY,
            metadata={"Software": None},
            bbox_inches="tight",
            pad_inches=0.12,
        )
    return picture.getvalue()


def _wrapped(title: str, width: float) -> str:
    """The title in lines of about so many inches in bold 12 points."""
    return "\n".join(textwrap.wrap(title, int(width / 0.1))) or title


def _title(axes: "Axes", title: str, caption: str = "", above: float = 6) -> None:
    axes.set_title(title, loc="left", weight="bold", fontsize=12, pad=above + (15 if caption else 0))
    if caption:
        axes.annotate(caption, (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points",
                      fontsize=9.5, color=FAINT)  # fmt: skip


def _bare(axes: "Axes", *sides: str) -> None:
    """Hide these sides of the frame."""
    axes.spines[list(sides)].set_visible(False)


def _real_first(classes: Groups) -> list[str]:
    return sorted({str(name) for name in classes}, key=lambda name: (name != REAL, name))


def _style(names: Sequence[str], name: str) -> dict[str, Any]:
    """Colour and marker of a class: grey for real, then every colour once a marker."""
    if name == REAL:
        return {"color": REAL_COLOUR, "marker": "o", "linewidths": 0}
    place = [other for other in names if other != REAL].index(name)
    marker = CLASS_MARKERS[place // len(CLASS_COLOURS) % len(CLASS_MARKERS)]
    return {"color": CLASS_COLOURS[place % len(CLASS_COLOURS)], "marker": marker, "linewidths": 0}
