"""Curves of error rates: ROC, and DET on normal-deviate axes, one line a test generator.

A curve is drawn through all its vertices by straight lines in the plane of rates, as its area is reckoned: a step stays
a step, and equal scores of both classes are a slanted piece.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import ndtr, ndtri

from probekit.arrays import Float
from probekit.figures.style import (
    GAP,
    GUIDE,
    Extension,
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
    from matplotlib.figure import Figure

Rates = Float[np.ndarray, " _"]
"""Shares of samples, 0 to 1, one a vertex of the curve."""

DET_TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 40, 60, 80, 90, 95, 98, 99)  # per cent
DET_LIMITS = (0.0005, 0.95)  # of axes without a rate between 0 and 1
DET_WIDEST, DET_NARROWEST = (0.0005, 0.995), (0.05, 0.6)
INSIDE = 4  # curves whose legend stands where the axes of a DET figure are free; of more, beside them
DETECTION = ("false positive rate, % (real called fake)", "false negative rate, % (fake called real)")
IDENTIFICATION = ("FPIR, % (non-mated searches accepted)", "FNIR, % (mated searches missed or named wrongly)")
"""Words for the axes of a DET curve."""


def roc_curves(
    curves: Mapping[str, tuple[Rates, Rates]],
    *,
    title: str,
    notes: Mapping[str, str] | None = None,
    legend_title: str = "",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """ROC curves over the diagonal of chance, a legend outside.

    Args:
        curves: name → false positive rates and true positive rates, vertex by vertex.
        title: stands above the picture.
        notes: name → words after the name in the legend: `AUC 0.97`.
        legend_title: what the names are: `tested on`.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    diagonal = ((0.0, 1.0), "chance")
    with _rate_axes(curves, notes, legend_title, diagonal) as (figure, axes, width):
        for place, (name, (fpr, tpr)) in enumerate(curves.items()):
            axes.plot(fpr, tpr, label=_label(name, notes), **line_style(place))
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
        axes.set_xlabel("false positive rate (real called fake)")
        axes.set_ylabel("true positive rate (fake called fake)")
        legend(figure, axes.lines, legend_title)
        headline(figure, title, width - GAP, oracle=oracle)
        return picture(figure, extension)


def det_curves(
    curves: Mapping[str, tuple[Rates, Rates]],
    *,
    title: str,
    notes: Mapping[str, str] | None = None,
    legend_title: str = "",
    axis_names: tuple[str, str] = DETECTION,
    looks: Mapping[str, Mapping[str, Any]] | None = None,
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """DET curves on normal-deviate axes (Martin et al. 1997) over the diagonal of equal error rates.

    Scores of two normal distributions of equal variance give a straight line. The axes hold all rates between 0.05 %
    and 99.5 %; what lies beyond, as rates of 0 and 1 do, is drawn on the frame.

    Args:
        curves: name → false positive rates and false negative rates, vertex by vertex.
        title: stands above the picture.
        notes: name → words after the name in the legend: `EER 4.1 %`.
        legend_title: what the names are: `tested on`.
        axis_names: words for the axes, `DETECTION` or, of searches with a threshold, `IDENTIFICATION`.
        looks: name → line properties of matplotlib (`color`, `linestyle`) instead of those by order.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.
    """
    limits, inside = _det_limits(curves), len(curves) <= INSIDE
    low, high = ndtri(limits)
    shown = [tick for tick in DET_TICKS if limits[0] <= tick / 100 < limits[1]]
    ticks, words = ndtri(np.array(shown) / 100), [f"{tick:g}".lstrip("0") for tick in shown]
    with _rate_axes(curves, notes, legend_title, ((low, high), "equal error rates"), beside=not inside) as (
        figure,
        axes,
        width,
    ):
        for place, (name, (fpr, fnr)) in enumerate(curves.items()):
            x, y = _deviates(np.asarray(fpr, dtype=float), np.asarray(fnr, dtype=float), limits)
            axes.plot(
                x,
                y,
                label=_label(name, notes),
                clip_on=False,
                **(line_style(place) | dict((looks or {}).get(name, {}))),
            )
        axes.set_xticks(ticks, words)
        axes.set_yticks(ticks, words)
        axes.tick_params(labelsize=9)
        axes.set(xlim=(low, high), ylim=(low, high))
        axes.set_xlabel(axis_names[0])
        axes.set_ylabel(axis_names[1])
        if inside:
            axes.legend(loc="best", fontsize=9, title=legend_title or None, alignment="left", framealpha=0.9)
        else:
            legend(figure, axes.lines, legend_title)
        headline(figure, title, width - GAP, oracle=oracle)
        return picture(figure, extension)


def _det_limits(curves: Mapping[str, tuple[Rates, Rates]]) -> tuple[float, float]:
    """The rates at the ends of both axes: a little beyond what occurs between 0 and 1."""
    rates = np.concatenate(
        [np.zeros(0), *(np.asarray(part, dtype=float) for curve in curves.values() for part in curve)]
    )
    inner = rates[(rates > 0) & (rates < 1)]
    if not len(inner):
        return DET_LIMITS
    low = np.clip(inner.min() / 1.3, DET_WIDEST[0], DET_NARROWEST[0])
    return float(low), float(np.clip(1 - (1 - inner.max()) / 1.3, DET_NARROWEST[1], DET_WIDEST[1]))


def _deviates(fpr: Rates, fnr: Rates, limits: tuple[float, float]) -> tuple[Rates, Rates]:
    """The curve in normal deviates, Φ⁻¹ of the rates, within the axes.

    A slanted piece is straight in rates and therefore bent in deviates: it gets vertices at the shares Φ(u) of its
    length, u even, dense at both of its ends where Φ⁻¹ is steep.
    """
    share = ndtr(np.linspace(-4, 4, 33))
    slanted = (np.diff(fpr) != 0) & (np.diff(fnr) != 0)
    # vertex i and, where a slanted piece begins there, i + share for the vertices put into it
    at = np.sort(np.concatenate([np.arange(len(fpr)), (np.flatnonzero(slanted)[:, None] + share).ravel()]))
    x, y = (np.interp(at, np.arange(len(fpr)), rates) if len(fpr) else rates for rates in (fpr, fnr))
    return ndtri(np.clip(x, *limits)), ndtri(np.clip(y, *limits))


@contextmanager
def _rate_axes(
    curves: Mapping[str, tuple[Rates, Rates]],
    notes: Mapping[str, str] | None,
    legend_title: str,
    diagonal: tuple[tuple[float, float], str],
    *,
    beside: bool = True,
) -> "Iterator[tuple[Figure, Axes, float]]":
    """Square axes with a named diagonal, and room for the legend beside them; the inches without it."""
    ends, words = diagonal
    labels = [*(_label(name, notes) for name in curves), words]
    width = 6.2
    with figure_of(width + (legend_width(labels, legend_title) if beside else 0.0), 6.0) as figure:
        axes = figure.add_subplot()
        axes.set_aspect("equal")
        axes.set_anchor("NW")  # beneath the beginning of the title
        ruled(axes)
        axes.plot(ends, ends, label=words, **GUIDE)
        if not any(np.isfinite(rates).any() for curve in curves.values() for rates in curve):
            say_empty(axes)
        yield figure, axes, width


def _label(name: str, notes: Mapping[str, str] | None) -> str:
    return f"{name}  ({notes[name]})" if notes and name in notes else name
