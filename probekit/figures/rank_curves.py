"""Rank curves: the share of queries whose class is among the k nearest (cumulative match characteristic)."""

from typing import TYPE_CHECKING

import pandas as pd

from probekit.figures.style import (
    Extension,
    bare,
    figure_of,
    headline,
    legend,
    legend_width,
    line_style,
    picture,
    ruled,
    say_empty,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TICKS = (1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000)


def rank_curves(table: pd.DataFrame, *, title: str, extension: Extension = "png") -> bytes:
    """Lines of a rate over the rank k, which has a logarithmic scale.

    The rate's axis begins at a tenth below the lowest point, so that curves near 1 can be told apart, and says so by
    its numbers.

    Args:
        table: a row a point: `series`, `k` (from 1), `rate` (0 … 1).
        title: stands above the picture.
        extension: `png` or `svg`.
    """
    names = [str(name) for name in dict.fromkeys(table["series"])]
    width = 5.6
    with figure_of(width + legend_width(names), 4.4) as figure:
        axes = figure.add_subplot()
        for place, name in enumerate(names):
            points = table[table["series"] == name].sort_values("k")
            axes.plot(points["k"], points["rate"], label=name, marker="o", ms=3.5, **line_style(place))
        _axes(axes, table)
        legend(figure, axes.lines)
        headline(figure, title, width)
        return picture(figure, extension)


def _axes(axes: "Axes", table: pd.DataFrame) -> None:
    axes.set_xscale("log")
    most = max(int(table["k"].max()) if len(table) else 1, 2)
    axes.set_xticks([tick for tick in TICKS if tick <= most], [str(tick) for tick in TICKS if tick <= most])
    axes.minorticks_off()
    axes.set_xlim(0.93, most * 1.08)
    lowest = float(table["rate"].min()) if table["rate"].notna().any() else 0.0
    bottom = max(0.0, 0.1 * int(10 * lowest) - 0.1)
    axes.set_ylim(bottom, 1 + 0.03 * (1 - bottom))
    axes.set_xlabel("rank k")
    axes.set_ylabel("queries with their class in the first k")
    ruled(axes)
    bare(axes, "top", "right")
    if table["rate"].isna().all():
        say_empty(axes)
