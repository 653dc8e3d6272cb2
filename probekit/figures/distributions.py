"""Distributions of scores, one panel a pool of samples."""

import itertools
from collections.abc import Mapping

import numpy as np

from probekit.arrays import Scores
from probekit.figures.style import (
    CLASS_COLOURS,
    INK,
    POOL_COLOURS,
    Extension,
    axes_title,
    bare,
    figure_of,
    picture,
)


def histograms(
    scores: Mapping[str, Scores],
    *,
    title: str,
    score_name: str = "similarity to the nearest registered example",
    threshold: float | None = None,
    threshold_name: str = "threshold",
    extension: Extension = "png",
) -> bytes:
    """Score distributions of several pools on one axis, one panel a pool, the threshold through all of them.

    Args:
        scores: name of the pool → its scores; an empty pool keeps its panel.
        title: stands above the picture.
        score_name: words for the axis.
        threshold: a finite score, drawn as a dashed line.
        threshold_name: words beside it.
        extension: `png` or `svg`.
    """
    marks = np.zeros(0) if threshold is None else np.array([threshold], dtype=float)
    everything = np.concatenate([marks, *(np.asarray(pool, dtype=float) for pool in scores.values())])
    low, high = (everything.min(), everything.max()) if len(everything) else (0.0, 1.0)
    margin = 0.02 * (high - low) or 0.05
    edges = np.linspace(low - margin, high + margin, 41)
    with figure_of(7.2, 1.2 + 1.15 * max(len(scores), 1)) as figure:
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
            bare(axes, "top", "left", "right")
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
        axes_title(panels[0], title, above=18)
        return picture(figure, extension)
