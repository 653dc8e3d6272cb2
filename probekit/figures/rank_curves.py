"""Rank curves: the share of queries whose class is among the k nearest (cumulative match characteristic)."""

from typing import TYPE_CHECKING, Any

import pandas as pd

from probekit.figures.style import (
    DASHES,
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

    Args:
        table: a row a point: `series`, `k` (from 1), `rate` (0 … 1); optional `kind`: series of one kind share their
            colour and differ by their dashes.
        title: stands above the picture.
        extension: `png` or `svg`.
    """
    names = [str(name) for name in dict.fromkeys(table["series"])]
    looks = _looks(table)
    width = 5.6
    with figure_of(width + legend_width(names), 4.4) as figure:
        axes = figure.add_subplot()
        for name in names:
            points = table[table["series"] == name].sort_values("k")
            axes.plot(points["k"], points["rate"], label=name, marker="o", ms=3.5, **looks[name])
        _axes(axes, table)
        legend(figure, axes.lines)
        headline(figure, title, width)
        return picture(figure, extension)


def _looks(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Series → its line: colours by kind, dashes within one; without kinds, each series has its own colour."""
    series = table.assign(kind=table["kind"] if "kind" in table else table["series"]).drop_duplicates("series")
    kinds = list(dict.fromkeys(series["kind"]))
    within = series.groupby("kind").cumcount()
    return {
        str(name): line_style(kinds.index(kind)) | ({"linestyle": DASHES[place % len(DASHES)]} if place else {})
        for name, kind, place in zip(series["series"], series["kind"], within, strict=True)
    }


def _axes(axes: "Axes", table: pd.DataFrame) -> None:
    axes.set_xscale("log")
    most = max(int(table["k"].max()) if len(table) else 1, 2)
    axes.set_xticks([tick for tick in TICKS if tick <= most], [str(tick) for tick in TICKS if tick <= most])
    axes.minorticks_off()
    axes.set_xlim(0.93, most * 1.08)
    axes.set_ylim(0, 1.03)
    axes.set_xlabel("rank k")
    axes.set_ylabel("queries with their class in the first k")
    ruled(axes)
    bare(axes, "top", "right")
    if table["rate"].isna().all():
        say_empty(axes)
