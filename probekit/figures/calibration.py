"""Reliability diagrams: whether a probability means what it says."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy.special import ndtri

from probekit.arrays import Float
from probekit.figures.style import (
    CLASS_MARKERS,
    GAP,
    GUIDE,
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
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FEWEST = 10  # samples of a bin whose share says something
LEVEL = 0.95  # of the intervals
RULE = (
    f"larger marker: more samples · bar: {100 * LEVEL:.0f} % Wilson interval · "
    f"hollow, neither bar nor line: fewer than {FEWEST} samples"
)


def reliability(
    curves: Mapping[str, pd.DataFrame],
    *,
    title: str,
    legend_title: str = "",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A reliability diagram: predicted probability against share of fakes, the samples of each bin counted below.

    Lines join neighbouring bins of 10 samples or more, whose shares have bars (95 % interval of Wilson 1927). The
    legend gives each curve's ECE (Guo et al. 2017, eq. 3, over the given bins): Σ n |share - predicted| / Σ n.

    Args:
        curves: name → a row a bin: `predicted` (mean probability of fake), `share` (of fakes), `n` (samples), in
            order. Bins without samples are not drawn, and no line bridges them.
        title: stands above the picture.
        legend_title: what the names are: `tested on`.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    labels = {name: f"{name}  (ECE {_ece(frame)})" for name, frame in curves.items()}
    most = max((int(frame["n"].max()) for frame in curves.values() if len(frame)), default=0)
    width = 6.2
    beside = legend_width([*labels.values(), "perfect calibration"], legend_title)
    with figure_of(width + beside, 7.4) as figure:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], label="perfect calibration", **GUIDE)
        for place, (name, frame) in enumerate(curves.items()):
            look = {"color": series_colour(place), "marker": CLASS_MARKERS[place % len(CLASS_MARKERS)]}
            upper.plot([], [], label=labels[name], ms=5, lw=1.4, **look)
            _bins(upper, lower, frame, most, look)
        # logarithmic: the bins of few samples, whose shares say little, are to be seen
        lower.set(yscale="log", ylim=(0.5, 2 * max(most, 10)), xlabel="predicted probability of fake", ylabel="samples")
        lower.yaxis.set_major_formatter("{x:g}")
        upper.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), ylabel="share of fakes")
        for axes in (upper, lower):
            ruled(axes)
            bare(axes, "top", "right")
        if most == 0:
            say_empty(upper)
        legend(figure, [line for line in upper.lines if line.get_label() in (*labels.values(), "perfect calibration")],
               legend_title)  # fmt: skip
        headline(figure, title, width - GAP, oracle=oracle, remark=RULE if most else "")
        return picture(figure, extension)


def _bins(upper: "Axes", lower: "Axes", frame: pd.DataFrame, most: int, look: dict[str, str]) -> None:
    """The bins of one curve: shares with bars and the lines between them, and their samples below."""
    colour, marker = look["color"], look["marker"]
    enough = frame["n"] >= FEWEST
    upper.plot(frame["predicted"], frame["share"].where(enough), color=colour, lw=1.2, alpha=0.7)
    full = frame[enough]
    upper.vlines(full["predicted"], *_wilson(full["share"], full["n"]), color=colour, lw=1.4, alpha=0.6)
    for bins, face in ((full, colour), (frame[(frame["n"] > 0) & ~enough], "none")):
        area = 8 + 150 * bins["n"] / max(most, 1)
        upper.scatter(bins["predicted"], bins["share"], s=area, marker=marker, alpha=0.8,
                      facecolors=face, edgecolors=colour, linewidths=0.9, zorder=3)  # fmt: skip
    known = frame[frame["n"] > 0]
    lower.vlines(known["predicted"], 0.5, known["n"], color=colour, lw=1.2, alpha=0.5)
    lower.plot(known["predicted"], known["n"], color=colour, marker=marker, ms=4, linestyle="")


def _wilson(share: "pd.Series[float]", n: "pd.Series[int]") -> Float[np.ndarray, "2 b"]:
    """Both ends of the interval of a binomial share (Wilson 1927, JASA 22: 209).

    All q with |p - q| ≤ z √(q (1 - q) / n), p the observed share: (p + z²/2n ± z √(p (1 - p)/n + z²/4n²)) / (1 + z²/n).
    """
    z = ndtri((1 + LEVEL) / 2)
    p, size = share.to_numpy(dtype=float), n.to_numpy(dtype=float)
    middle = p + z**2 / (2 * size)
    reach = z * np.sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    ends: Float[np.ndarray, "2 b"] = np.stack([middle - reach, middle + reach]) / (1 + z**2 / size)
    return ends


def _ece(frame: pd.DataFrame) -> str:
    """The expected calibration error in words; undefined without samples."""
    full = frame[frame["n"] > 0]
    if full.empty:
        return "undefined"
    gap = (full["share"] - full["predicted"]).abs()
    return f"{(full['n'] * gap).sum() / full['n'].sum():.3f}"
