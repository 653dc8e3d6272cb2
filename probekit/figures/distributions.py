"""Distributions of scores, one panel a pool of samples."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Float, Scores
from probekit.figures.style import (
    CLASS_COLOURS,
    GAP,
    INK,
    POOL_COLOURS,
    Extension,
    bare,
    figure_of,
    headline,
    legend,
    legend_width,
    picture,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

LEGEND = "thresholds"


BINS = 40
REST = 0.02  # of a pool, which may lie beyond the left end of the axis
STRETCHED = 2.0  # times as long as without that rest: then the axis is cut


def histograms(
    scores: Mapping[str, Scores],
    *,
    title: str,
    score_name: str = "similarity to the nearest registered example",
    thresholds: Mapping[str, tuple[str, float]] | None = None,
    most: float | None = None,
    extension: Extension = "png",
) -> bytes:
    """Score distributions of several pools on one axis, one panel a pool, thresholds through all of them.

    Where a few low scores would press all others together, the axis is cut at its left, and each panel counts what lies
    beyond.

    Args:
        scores: name of the pool → its scores; an empty pool keeps its panel.
        title: stands above the picture.
        score_name: words for the axis.
        thresholds: what the legend calls it → the pool whose colour it has, and a finite score: a dashed line.
        most: the highest score that can be, 1 of a cosine: no bin reaches beyond.
        extension: `png` or `svg`.
    """
    pools = {name: np.asarray(pool, dtype=float) for name, pool in scores.items()}
    marks = thresholds or {}
    edges = _edges(pools, [mark for _, mark in marks.values()], most)
    colours = _colours(pools)
    handles = [
        _line(label, colours.get(pool) or POOL_COLOURS.get(pool, INK), place)
        for place, (label, (pool, _)) in enumerate(marks.items())
    ]
    width = 7.2
    beside = legend_width([str(handle.get_label()) for handle in handles], LEGEND) if handles else 0.0
    with figure_of(width + beside, 1.2 + 1.15 * max(len(pools), 1)) as figure:
        panels = figure.subplots(max(len(pools), 1), sharex=True, squeeze=False)[:, 0]
        for axes, (name, pool) in zip(panels, pools.items(), strict=False):
            _panel(axes, name, pool, edges, colours[name])
            for handle, (_, mark) in zip(handles, marks.values(), strict=True):
                axes.axvline(mark, color=handle.get_color(), lw=1.4, ls=handle.get_linestyle())
        panels[len(panels) // 2].set_ylabel("% of the pool")
        panels[-1].set_xlabel(score_name)
        legend(figure, handles, LEGEND)
        headline(figure, title, width - GAP)
        return picture(figure, extension)


def _panel(axes: "Axes", name: str, pool: Scores, edges: Float[np.ndarray, " e"], colour: str) -> None:
    """The bars of one pool, in per cent of it, under its name."""
    share = 100 * np.histogram(pool, edges)[0] / max(len(pool), 1)
    axes.bar(edges[:-1], share, np.diff(edges), align="edge", color=colour)
    below = int((pool < edges[0]).sum())
    words = f"{name}  (n {len(pool)}{f', {below} lower' if below else ''})"
    axes.text(0.01, 0.95, words, transform=axes.transAxes, va="top", weight="bold")
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.5 * max(share.max(), 1.0)))  # room for words
    axes.locator_params(axis="y", nbins=3, integer=True)
    axes.tick_params(axis="y", labelsize=9)
    bare(axes, "top", "right")


def _edges(pools: Mapping[str, Scores], marks: Sequence[float], most: float | None) -> Float[np.ndarray, " e"]:
    """Of the bins: from the lowest score, or from where the bulk begins, to the highest."""
    everything = np.concatenate([np.asarray(marks, dtype=float), *pools.values()])
    low, high = (everything.min(), everything.max()) if len(everything) else (0.0, 1.0)
    bulk = min([high, *marks, *(float(np.quantile(pool, REST)) for pool in pools.values() if len(pool))])
    if high - low > STRETCHED * (high - bulk) > 0:
        low = bulk
    margin = 0.02 * (high - low) or 0.05
    right = high + margin
    return np.linspace(low - margin, right if most is None else max(high, min(right, most)), BINS + 1)


def _colours(pools: Iterable[str]) -> dict[str, str]:
    """Of each pool, the same in all pictures."""
    others = itertools.cycle(colour for colour in CLASS_COLOURS if colour not in POOL_COLOURS.values())
    return {name: POOL_COLOURS.get(name) or next(others) for name in pools}


def _line(label: str, colour: str, place: int) -> "Line2D":
    from matplotlib.lines import Line2D

    return Line2D([], [], label=label, color=colour, lw=1.4, ls="--" if place % 2 == 0 else ":")
