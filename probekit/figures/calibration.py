"""Reliability diagrams: whether a probability means what it says."""

from collections.abc import Mapping

import pandas as pd

from probekit.figures.style import (
    CLASS_MARKERS,
    GUIDE,
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


def reliability(
    curves: Mapping[str, pd.DataFrame],
    *,
    title: str,
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """A reliability diagram: predicted probability against share of fakes, the samples of each bin counted below.

    The legend gives each curve's ECE (Guo et al. 2017, eq. 3, over the given bins): Σ n |share - predicted| / Σ n.

    Args:
        curves: name → a row a bin: `predicted` (mean probability of fake), `share` (of fakes), `n` (samples). Bins
            without samples are left out of the picture.
        title: stands above the picture.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    bins = {name: frame[frame["n"] > 0].sort_values("predicted") for name, frame in curves.items()}
    labels = {name: f"{name}  (ECE {_ece(frame)})" for name, frame in bins.items()}
    with figure_of((width := 6.2) + legend_width([*labels.values(), "perfect calibration"]), 7.0) as figure:
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        upper.plot([0, 1], [0, 1], label="perfect calibration", **GUIDE)
        for place, (name, frame) in enumerate(bins.items()):
            look = line_style(place)
            marker = CLASS_MARKERS[place % len(CLASS_MARKERS)]
            upper.plot(frame["predicted"], frame["share"], label=labels[name], marker=marker, ms=5, **look)
            lower.vlines(frame["predicted"], 0.5, frame["n"], color=look["color"], lw=1.6, alpha=0.7)
            lower.plot(frame["predicted"], frame["n"], color=look["color"], marker=marker, ms=4, linestyle="")
        most = max((frame["n"].max() for frame in bins.values() if len(frame)), default=10)
        # logarithmic: the bins of few samples, whose shares say little, are to be seen
        lower.set(yscale="log", ylim=(0.5, 2 * max(most, 10)), xlabel="predicted probability of fake", ylabel="samples")
        lower.yaxis.set_major_formatter("{x:g}")
        upper.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), ylabel="share of fakes")
        for axes in (upper, lower):
            ruled(axes)
            bare(axes, "top", "right")
        if all(frame.empty for frame in bins.values()):
            say_empty(upper)
        legend(figure, upper.lines)
        headline(figure, title, width, oracle=oracle)
        return picture(figure, extension)


def _ece(frame: pd.DataFrame) -> str:
    """The expected calibration error in words; undefined without samples."""
    if frame.empty:
        return "undefined"
    gap = (frame["share"] - frame["predicted"]).abs()
    return f"{(frame['n'] * gap).sum() / frame['n'].sum():.3f}"
