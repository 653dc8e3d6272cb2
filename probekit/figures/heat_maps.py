"""Heat maps: train/test matrices, their differences, robustness to perturbations, and confusion.

The colours of a matrix span its limits whatever the values, so that pictures compare; their neutral middle is chance,
or no difference. Every value is printed; what is undefined (NaN) is grey and hatched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit.arrays import Float
from probekit.figures.style import (
    INK,
    ORANGE_TO_BLUE,
    UNDEFINED,
    WHITE_TO_BLUE,
    Extension,
    breadth,
    figure_of,
    headline,
    picture,
    say_empty,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

MINUS, DASH = "−", "–"
FOLDED, FOLDED_FONT = 2.2, 8  # inches of a label beyond which it is folded, and set in so many points
STEEP = math.radians(40)  # of names too wide for their column
COUNTED = 20  # rows or columns up to which each cell has room for its n


def matrix(
    values: pd.DataFrame,
    *,
    title: str,
    value_name: str = "AUC",
    counts: pd.DataFrame | None = None,
    train_axis: str = "trained on",
    test_axis: str = "tested on",
    limits: tuple[float, float] = (0.0, 1.0),
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A train/test heat map: trained on down, tested on across, each value printed, n small beneath it.

    Beyond 20 rows or columns the range of n stands beneath the title instead.

    Args:
        values: train (index) by test (columns); NaN is drawn hatched and grey.
        title: stands above the picture.
        value_name: of the colour bar.
        counts: test samples of each cell, same index and columns; None prints no n.
        train_axis: words for the index.
        test_axis: words for the columns.
        limits: values at the two ends of the colours.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    small, remark = None, ""
    if counts is not None and max(values.shape) <= COUNTED:
        small = counts.map(lambda n: "" if pd.isna(n) else f"n {int(n)}")
    elif counts is not None and counts.notna().any(axis=None):
        known = counts.to_numpy(dtype=float)
        remark = f"n per cell: {int(np.nanmin(known))} to {int(np.nanmax(known))}"
    look = _Look((train_axis, test_axis), value_name, _colours("chance in the middle", ORANGE_TO_BLUE), limits)
    text = values.map(lambda value: DASH if pd.isna(value) else f"{value:.2f}")
    return _heat_map(values, text, small, look, title=title, remark=remark, oracle=oracle, extension=extension)


def robustness(
    values: pd.DataFrame,
    *,
    title: str,
    value_name: str = "AUC",
    test_axis: str = "tested on",
    perturbation_axis: str = "perturbation",
    limits: tuple[float, float] = (0.0, 1.0),
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A heat map of test generators down and perturbations across, the change against clean small beneath.

    Args:
        values: test generators (index) by perturbations (columns, in the order drawn); the first column is clean.
        title: stands above the picture.
        value_name: of the colour bar.
        test_axis: words for the index.
        perturbation_axis: words for the columns.
        limits: values at the two ends of the colours.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    change = values.sub(values.iloc[:, 0], axis=0) if values.shape[1] else values
    perturbed = np.broadcast_to(np.arange(values.shape[1]) > 0, values.shape)
    small = change.where(perturbed).map(lambda value: "" if pd.isna(value) else _signed(value, 2))
    colours = _colours("chance in the middle", ORANGE_TO_BLUE)
    look = _Look((test_axis, perturbation_axis), value_name, colours, limits, rule_after=1)
    text = values.map(lambda value: DASH if pd.isna(value) else f"{value:.2f}")
    remark = f"beneath each value: its change against “{values.columns[0]}”" if values.shape[1] > 1 else ""
    return _heat_map(values, text, small, look, title=title, remark=remark, oracle=oracle, extension=extension)


def difference_matrix(
    values: pd.DataFrame,
    *,
    title: str,
    value_name: str = "difference of AUC",
    train_axis: str = "trained on",
    test_axis: str = "tested on",
    limit: float | None = None,
    certain: pd.DataFrame | None = None,
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A train/test heat map of differences: no difference is neutral, each value is printed with its sign.

    Args:
        values: train (index) by test (columns); NaN is drawn hatched and grey.
        title: stands above the picture.
        value_name: of the colour bar: what was taken from what.
        train_axis: words for the index.
        test_axis: words for the columns.
        limit: the colours run from -limit to limit; None takes the largest difference, rounded up to 1, 2 or 5 of
            its decimal. Pictures that are to be compared need the same limit.
        certain: True where the interval of the difference excludes 0, same index and columns: those cells are bold and
            framed, and a line beneath the title says so. None marks none.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    limit = _rounded_up(values.to_numpy(dtype=float)) if limit is None else limit
    decimals = 2 if limit >= 0.1 else 3
    colours = _colours("no difference in the middle", ORANGE_TO_BLUE)
    look = _Look((train_axis, test_axis), value_name, colours, (-limit, limit), decimals, certain=certain)
    text = values.map(lambda value: DASH if pd.isna(value) else _signed(value, decimals))
    remark = ""
    if certain is not None:
        marked = certain.eq(True).any(axis=None)
        remark = "bold and framed: the interval excludes 0" if marked else "no cell's interval excludes 0"
    return _heat_map(values, text, None, look, title=title, remark=remark, oracle=oracle, extension=extension)


def confusion(
    counts: pd.DataFrame,
    *,
    title: str,
    true_axis: str = "true generator",
    answer_axis: str = "answer",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A confusion matrix: rows in per cent of their samples, counts small beneath; empty rows are hatched.

    Args:
        counts: samples by true class (index) and answer (columns).
        title: stands above the picture.
        true_axis: words for the index.
        answer_axis: words for the columns.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    total = counts.sum(axis=1)
    share = 100 * counts.div(total.where(total > 0), axis=0)
    text = share.map(lambda value: DASH if pd.isna(value) else f"{value:.0f}")
    small = counts.map(lambda n: f"{int(n)}" if n else "")
    rows = pd.Index([f"{name}  (n {n})" for name, n in zip(counts.index, total, strict=True)])
    values, text, small = (frame.set_axis(rows) for frame in (share, text, small))
    look = _Look((true_axis, answer_axis), "% of the row", _colours("share", WHITE_TO_BLUE), (0.0, 100.0))
    return _heat_map(values, text, small, look, title=title, oracle=oracle, extension=extension)


def square(
    values: pd.DataFrame,
    *,
    title: str,
    value_name: str,
    axis_names: tuple[str, str],
    limits: tuple[float, float] | None = (0.0, 1.0),
    remark: str = "",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A heat map of likenesses or distances of every two things: white is none, each value is printed.

    Args:
        values: the things by themselves; NaN is drawn hatched and grey.
        title: stands above the picture.
        value_name: of the colour bar.
        axis_names: words for the index and the columns.
        limits: values at the two ends of the colours; None runs from 0 to the largest.
        remark: a line beneath the title.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    largest = float(np.nan_to_num(values.to_numpy(dtype=float)).max(initial=0.0)) or 1.0
    look = _Look(axis_names, value_name, _colours("none is white", WHITE_TO_BLUE), limits or (0.0, _even(largest)))
    places = int(np.clip(1 - math.floor(math.log10(largest)), 0, 4)) if limits is None else 2
    text = values.map(lambda value: DASH if pd.isna(value) else _signed(value, places).removeprefix("+"))
    return _heat_map(values, text, None, look, title=title, remark=remark, oracle=oracle, extension=extension)


# Drawing


@dataclass(frozen=True)
class _Look:
    """What a heat map says about its values: names, colours and the values at their ends."""

    axis_names: tuple[str, str]  # of the index, of the columns
    value_name: str
    colours: "Colormap"
    limits: tuple[float, float]
    decimals: int | None = None  # of the colour bar, with sign; None: matplotlib's choice, without
    rule_after: int = 0  # a line stands after so many columns
    certain: pd.DataFrame | None = None  # True: bold and framed


def _heat_map(
    values: pd.DataFrame,
    text: pd.DataFrame,
    small: pd.DataFrame | None,
    look: _Look,
    *,
    title: str,
    remark: str = "",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    rows, columns = values.shape
    cell = float(np.interp(max(rows, columns), [4, 20, 40], [0.82, 0.5, 0.4]))  # inches
    font = float(np.interp(max(rows, columns), [4, 20], [13, 8]))
    sizes = max(0.85 * font, 8)
    rows_named, row_font = _folded(values.index, sizes, cell)
    columns_named, column_font = _folded(values.columns, sizes, cell * math.sin(STEEP))
    longest = breadth(rows_named, row_font), breadth(columns_named, column_font)
    steep = longest[1] > cell - 0.05
    width = longest[0] + cell * columns + 1.5
    beside = max(cell * rows, breadth([look.value_name], 11))  # the words of the colour bar may be the longer
    above = 0.2 * wrapped(title, max(width, 5.5)).count("\n")
    height = above + beside + (0.75 * longest[1] if steep else 0.25) + 1.2
    with figure_of(max(width, 3.6), height) as figure:
        axes = figure.add_subplot()
        if values.size:
            font *= min(1.0, 0.84 * cell / breadth([*text.to_numpy().ravel()], font, "bold"))
            _cells(axes, values.to_numpy(dtype=float), text, small, look, font)
            _colour_bar(axes, look, values.shape)
        else:
            say_empty(axes)
        axes.set_xticks(range(columns), columns_named, rotation=math.degrees(STEEP) if steep else 0,
                        ha="right" if steep else "center", rotation_mode="anchor", fontsize=column_font)  # fmt: skip
        axes.set_yticks(range(rows), rows_named, fontsize=row_font)
        axes.tick_params(which="both", length=0)
        axes.set_ylabel(look.axis_names[0], weight="bold")
        axes.set_xlabel(look.axis_names[1], weight="bold")
        axes.spines[:].set_visible(False)
        # over the whole picture: the axes may be narrower than the title
        headline(figure, title, max(width, 5.5), oracle=oracle, remark=remark)
        return picture(figure, extension)


def _folded(names: "pd.Index[str]", font: float, room: float) -> tuple[list[str], float]:
    """The names, the long ones in as many lines as stand in so many inches, and the points of their font."""
    words = [str(name) for name in names]
    if breadth(words, font) <= FOLDED:
        return words, font
    most = max(1, int(room / (FOLDED_FONT * 1.25 / 72)))
    return [_in_lines(name, most) for name in words], FOLDED_FONT


def _in_lines(name: str, most: int) -> str:
    """The name in no more lines than that, as narrow as they can be from `FOLDED` inches on."""
    width = FOLDED
    while (lines := wrapped(name, width, FOLDED_FONT, "normal")).count("\n") >= most:
        width *= 1.1
    return lines


def _cells(
    axes: "Axes",
    grid: Float[np.ndarray, "r c"],
    text: pd.DataFrame,
    small: pd.DataFrame | None,
    look: _Look,
    font: float,
) -> None:
    """Colours, printed values, frames and the white lines between them."""
    from matplotlib.patches import Rectangle

    printed, notes = text.to_numpy(), None if small is None else small.to_numpy()
    bold = np.zeros(grid.shape, dtype=bool) if look.certain is None else look.certain.eq(True).to_numpy()
    low, high = look.limits
    axes.imshow(np.ma.masked_invalid(grid), cmap=look.colours, vmin=low, vmax=high, aspect="equal")
    for (row, column), value in np.ndenumerate(grid):
        if math.isnan(value):
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fc=UNDEFINED, ec="#b6bcc6", hatch="////", lw=0))
        elif bold[row, column]:
            axes.add_patch(Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, ec=INK, lw=1.3))
        colour = _readable_on(look.colours, value, look.limits)
        note = "" if notes is None else str(notes[row, column])
        words = [(row - (0.12 if note else 0), str(printed[row, column]), font), (row + 0.27, note, 0.62 * font)]
        for y, word, points in words if note else words[:1]:
            cell = axes.text(column, y, word, ha="center", va="center", color=colour, fontsize=points,
                             weight="bold" if bold[row, column] else "normal")  # fmt: skip
            cell.set_in_layout(False)  # it lies inside the axes: measuring thousands of them takes seconds
    axes.set_xticks(np.arange(grid.shape[1] + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(grid.shape[0] + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", lw=1.5)
    if 0 < look.rule_after < grid.shape[1]:
        axes.axvline(look.rule_after - 0.5, color=INK, lw=1.5)


def _colour_bar(axes: "Axes", look: _Look, shape: tuple[int, int]) -> None:
    """A colour bar as high as the matrix, however flat."""
    from matplotlib.ticker import FuncFormatter

    beside = axes.inset_axes((1 + 0.25 / shape[1], 0, 0.25 / shape[1], 1))
    room = 2 if shape[0] == 1 and shape[1] > COUNTED else 3 if shape[0] <= 2 else 6  # for so many ticks
    if look.decimals is None:
        ticks, words = np.linspace(*look.limits, room), None
    else:  # with the middle among them
        ticks = np.linspace(*look.limits, min(room, 5))
        words = FuncFormatter(partial(_tick_words, decimals=look.decimals))
    bar = axes.figure.colorbar(axes.images[0], cax=beside, ticks=ticks, format=words)
    bar.outline.set_visible(False)
    bar.set_label(look.value_name)


def _tick_words(value: float, _place: int, *, decimals: int) -> str:
    return _signed(value, decimals)


def _signed(value: float, decimals: int) -> str:
    """The value with its sign, of true typographic width; what rounds to zero has none."""
    rounded = round(value, decimals)
    return f"{rounded:+.{decimals}f}".replace("-", MINUS) if rounded else f"{0:.{decimals}f}"


def _rounded_up(differences: Float[np.ndarray, "r c"]) -> float:
    """The largest size, up to 1, 2 or 5 times a power of ten; 0.1 where there is no difference to see."""
    largest = float(np.abs(differences[np.isfinite(differences)]).max(initial=0))
    if largest == 0:
        return 0.1
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= largest * (1 - 1e-9))


def _even(largest: float) -> float:
    """The value or a little more, of which five steps are numbers to read: 0.44 → 0.5, 254 → 300."""
    power = 10.0 ** math.floor(math.log10(largest / 5))
    return (
        5
        * power
        * next(step for step in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if 5 * power * step >= largest * (1 - 1e-9))
    )


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
