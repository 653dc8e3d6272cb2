"""A value over the blocks that features were read from; taps without a block stand apart at the right end."""

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probekit.figures.number_axis import (
    axis_width,
    horizontal_axis,
    mark_handles,
    marker,
    places_apart,
    series_handles,
    series_of,
    sideways,
    value_axis,
)
from probekit.figures.style import (
    DASHES,
    GAP,
    INK,
    Extension,
    figure_of,
    headline,
    legend,
    legend_width,
    picture,
    series_colour,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

NUMBERED = re.compile(r"(.+)@(\d+)")  # cls@7: the kind of tap and the block


def layer_curves(
    table: pd.DataFrame,
    *,
    title: str,
    value_name: str = "AUC",
    chance: float | None = 0.5,
    legend_title: str = "",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """Lines of a value over the blocks of a model; taps without a block stand apart at the right end.

    Colour is the series, marker the kind of tap (`cls` of `cls@7`), dashes and the marker's filling what the mean is
    over. A line breaks at an undefined value, and the legend counts them.

    Args:
        table: a row a point: `series`, `tap` (`cls@7`, `final`), `value`; optional `over`, words for what a value is
            the mean over, each a line of its own (`seen generators`, `unseen generators`), `lo` and `hi`, the ends of
            its interval (NaN: none), and `chosen`, True where the point is to be ringed.
        title: stands above the picture.
        value_name: words for the vertical axis.
        chance: the value of guessing, drawn as a dashed line; None draws none.
        legend_title: what the series are: `trained on`.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    points = _with_intervals(table)
    split = points["tap"].astype(str).str.extract(NUMBERED)
    points = points.assign(kind=split[0], block=pd.to_numeric(split[1])).sort_values("block", kind="stable")
    kinds, means = (list(points[column].dropna().unique()) for column in ("kind", "over"))
    unit, ticks, shown = _block_places(points["block"])
    apart = places_apart(table["tap"][split[0].isna()].astype(str), max(ticks.values(), default=None))
    handles = [*series_handles(table), *_over_handles(means), *_kind_handles(kinds), *mark_handles(points, chance)]
    width = axis_width([*ticks.values(), *apart.values()])
    beside = legend_width([str(handle.get_label()) for handle in handles], legend_title)
    with figure_of(width + beside, 4.6) as figure:
        axes = figure.add_subplot()
        for place, name in enumerate(names := series_of(table)):
            for number, mean in enumerate(means):
                mine = points[(points["series"] == name) & (points["over"] == mean)]
                look = {"color": series_colour(place), **_over_look(number, series_colour(place))}
                shift = sideways(place * len(means) + number, len(names) * len(means))
                for kind in kinds:
                    rows = mine[mine["kind"] == kind]
                    x = unit * rows["block"] + (shift if len(ticks) == 1 else 0)
                    _line(axes, x, rows, look | {"marker": marker(kinds.index(kind))})
                _points_apart(axes, mine, mine["tap"], apart, shift, look | {"marker": "o"})
        words = "block" if len(kinds) != 1 else f"block i of {kinds[0]}@i"
        horizontal_axis(axes, ticks, shown, apart, words if kinds else "tap")
        value_axis(axes, points, value_name, chance)
        legend(figure, handles, legend_title)
        headline(figure, title, width - GAP, oracle=oracle)
        return picture(figure, extension)


def _block_places(blocks: "pd.Series[float]") -> tuple[float, dict[str, float], list[str]]:
    """The inches of a block, where each stands, and those that are named: every one, second, fifth or tenth."""
    numbers = sorted(int(block) for block in blocks.dropna().unique())
    if not numbers:
        return 1.0, {}, []
    span = numbers[-1] - numbers[0] + 1
    unit = float(np.clip(6.5 / span, 0.1, 0.7))
    step = next(step for step in (1, 2, 5, 10, 20, span) if step * unit >= 0.25)
    places = {str(n): unit * n for n in range(numbers[0], numbers[-1] + 1)}
    return unit, places, [n for n in places if int(n) % step == 0 or span == 1]


def _line(axes: "Axes", x: "pd.Series[float]", rows: pd.DataFrame, look: dict[str, Any]) -> None:
    """A line through the points over the band of their intervals."""
    colour = look["color"]
    axes.fill_between(x, rows["lo"], rows["hi"], color=colour, alpha=0.12, lw=0)
    if len(rows) == 1:  # a band of one point has no breadth
        axes.vlines(x, rows["lo"], rows["hi"], color=colour, lw=1.4, alpha=0.6)
    axes.plot(x, rows["value"], ms=4.5, lw=1.6, **look)
    _ring(axes, x[rows["chosen"]], rows["value"][rows["chosen"]])


def _points_apart(
    axes: "Axes",
    rows: pd.DataFrame,
    names: "pd.Series[str]",
    apart: Mapping[str, float],
    shift: float,
    look: dict[str, Any],
) -> None:
    """Points with the bars of their intervals, of those rows whose name stands apart."""
    x = names.map(apart).astype(float) + shift
    axes.vlines(x, rows["lo"], rows["hi"], color=look["color"], lw=1.4, alpha=0.6)
    axes.plot(x, rows["value"], ms=5.5, **look | {"linestyle": ""})
    chosen = rows["chosen"] & x.notna()
    _ring(axes, x[chosen], rows["value"][chosen])


def _over_handles(means: Sequence[str]) -> "list[Artist]":
    """Dashes and filling of what a value is the mean over, where there is more than one."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], label=f"mean over {mean}", color=INK, marker="o", ms=4.5, lw=1.6, **_over_look(number, INK))
        for number, mean in enumerate(means)
    ]
    return handles if len(means) > 1 else []


def _kind_handles(kinds: Sequence[str]) -> "list[Artist]":
    """The marker of each kind of tap; one kind stands on the axis instead."""
    from matplotlib.lines import Line2D

    handles: list[Artist] = [
        Line2D([], [], label=f"{kind}@i", color=INK, linestyle="", marker=marker(place), ms=5.5)
        for place, kind in enumerate(kinds)
    ]
    return handles if len(kinds) > 1 else []


def _over_look(number: int, colour: str) -> dict[str, Any]:
    return {"linestyle": DASHES[number % len(DASHES)], "markerfacecolor": "white" if number % 2 else colour}


def _with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that may be left out."""
    without: dict[str, Any] = {"over": "", "lo": np.nan, "hi": np.nan, "chosen": False}
    points = table.assign(**{name: value for name, value in without.items() if name not in table})
    return points.assign(chosen=points["chosen"].eq(True) & points["value"].notna())


def _ring(axes: "Axes", x: "pd.Series[float]", y: "pd.Series[float]") -> None:
    axes.scatter(x, y, s=110, facecolors="none", edgecolors=INK, linewidths=1.5, zorder=5)
