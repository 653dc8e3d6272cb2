"""Bars: the same value by several hands, side by side, with intervals and the level of guessing."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from probekit.figures.style import (
    FAINT,
    GUIDE,
    INK,
    REAL_COLOUR,
    Extension,
    bare,
    figure_of,
    headline,
    legend,
    legend_width,
    picture,
    ruled,
    say_empty,
    series_colour,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

THICK = 0.27  # inches: of a bar
APART = 0.3  # between two groups of bars
BREADTH = 5.2  # of the axes
NAMES = 2.4  # of the names at the left


def interval_bars(
    table: pd.DataFrame, *, title: str, value_name: str, grey: Sequence[str] = (), extension: Extension = "png"
) -> bytes:
    """A group of bars for each question, one bar a series, from 0 to 1.

    Args:
        table: question, series, value, low, high (NaN where there is no interval), chance.
        title: stands above the picture.
        value_name: words for the axis.
        grey: series that are drawn in grey, what the others are held against.
        extension: `png` or `svg`.
    """
    questions, series = (list(dict.fromkeys(table[name])) for name in ("question", "series"))
    height = max(len(table) * THICK + len(questions) * APART, 1.0) + 1.1
    with figure_of(NAMES + BREADTH + legend_width(series), height) as figure:
        axes = figure.add_subplot()
        coloured = [name for name in series if name not in grey]
        colour = {name: REAL_COLOUR if name in grey else series_colour(coloured.index(name)) for name in series}
        top, ticks = 0.0, []
        for question in questions:
            own = table[table["question"] == question]
            end = top + THICK * len(own)
            ticks.append((top + end) / 2)
            for place, row in enumerate(own.to_dict("records")):
                _bar(axes, top + THICK * (place + 0.5), row, colour[row["series"]])
            chance = float(own["chance"].iloc[0])
            axes.plot([chance, chance], [top - 0.06, end + 0.06], **{**GUIDE, "color": INK})
            top = end + APART
        axes.set(
            xlim=(0, 1.12),
            ylim=(max(top - APART / 2, 0.1), -APART / 2),
            xlabel=value_name,
            xticks=[0, 0.25, 0.5, 0.75, 1],
        )
        axes.set_yticks(ticks, [wrapped(str(name), NAMES - 0.2, 11, "normal") for name in questions])
        axes.tick_params(axis="y", length=0)
        bare(axes, "top", "right", "left")
        ruled(axes, "x")
        if not questions:
            say_empty(axes)
        from matplotlib.patches import Patch

        legend(figure, [Patch(color=colour[name], label=name) for name in series])
        headline(figure, title, NAMES + BREADTH, remark="whisker: 95 % interval    dashed: guessing")
        return picture(figure, extension)


def _bar(axes: "Axes", middle: float, row: dict[str, float], colour: str) -> None:
    """The bar, its whisker and its number."""
    value, low, high = (float(row[name]) for name in ("value", "low", "high"))
    if math.isnan(value):
        axes.text(0.01, middle, "undefined", va="center", fontsize=9, color=FAINT)
        return
    axes.barh(middle, value, THICK * 0.86, color=colour)
    end = value
    if not math.isnan(low):
        axes.plot([low, high], [middle, middle], color=INK, lw=1.2)
        end = max(value, high)
    axes.text(end + 0.012, middle, f"{value:.3f}".replace("0.", "."), va="center", fontsize=9, color=INK)
