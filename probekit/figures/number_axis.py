"""What curves over numbers share: an axis with places apart from its numbers, the axis of the value, the legend.

The value is between 0 and 1; its axis reaches from chance or below to 1, so that pictures compare.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit.figures.style import (
    CLASS_MARKERS,
    FAINT,
    GUIDE,
    INK,
    bare,
    breadth,
    ruled,
    say_empty,
    series_colour,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes


def places_apart(names: Iterable[str], end: float | None) -> dict[str, float]:
    """Where the names without a number stand, in the order in which they come."""
    unique = list(dict.fromkeys(names))
    step = float(np.clip(breadth(unique, 11) + 0.15, 0.55, 1.0))
    start = 0.0 if end is None else end + 0.3 + step / 2
    return {name: start + step * place for place, name in enumerate(unique)}


def sideways(place: int, n: int, room: float = 0.4) -> float:
    """Beside each other, not on top of each other: the inches of the place among n from their middle."""
    return min(0.11, room / n) * (place - (n - 1) / 2)


def axis_width(places: Sequence[float], least: float = 4.0) -> float:
    """The inches of the axes and the words at their left."""
    span = max(places) - min(places) if places else 0.0
    return max(least, span + 0.8) + 0.9


def horizontal_axis(
    axes: "Axes",
    ticks: Mapping[str, float],
    shown: Sequence[str],
    apart: Mapping[str, float],
    words: str,
) -> None:
    """Ticks, of which some are named, and words; a line stands between the numbers and the names apart from them."""
    crowded = len(apart) > 1 and breadth(list(apart), 11) > 1.0
    axes.set_xticks([*ticks.values(), *apart.values()], [*(word if word in shown else "" for word in ticks), *apart])
    for tick in axes.get_xticklabels()[len(ticks) :]:
        tick.set(rotation=40 if crowded else 0, ha="right" if crowded else "center", rotation_mode="anchor")
    places = [*ticks.values(), *apart.values()] or [0.0]
    left, right = min(places) - 0.3, max(places) + 0.3
    axes.set_xlim(left, right)
    middle = (left + right) / 2
    if ticks and apart:
        last = max(ticks.values())
        axes.axvline((last + min(apart.values())) / 2, color=FAINT, lw=0.8)
        middle = (min(ticks.values()) + last) / 2
    axes.set_xlabel(words, x=(middle - left) / (right - left))


def value_axis(axes: "Axes", points: pd.DataFrame, name: str, chance: float | None) -> None:
    """From chance or below up to 1, with a line at chance."""
    numbers = points[["value", "lo", "hi"]].to_numpy(dtype=float)
    known = [*numbers[np.isfinite(numbers)], *([] if chance is None else [chance])]
    lowest = max(0.0, min([1.0, *known])) if known else 0.0
    margin = 0.04 * (1 - lowest) or 0.02
    axes.set_ylim(lowest - margin, 1 + margin)
    axes.set_ylabel(name)
    ruled(axes, "y")
    bare(axes, "top", "right")
    if chance is not None:
        axes.axhline(chance, **GUIDE)
    if points["value"].isna().all():
        say_empty(axes)


def series_of(table: pd.DataFrame) -> list[str]:
    """The names of the lines, in the order in which they come."""
    return list(dict.fromkeys(table["series"]))


def series_handles(table: pd.DataFrame) -> "list[Artist]":
    """A line a series, with the number of its undefined points."""
    from matplotlib.lines import Line2D

    undefined = table["value"].isna().groupby(table["series"]).sum()
    labels = [f"{name}  ({undefined[name]} undefined)" if undefined[name] else str(name) for name in series_of(table)]
    return [Line2D([], [], label=label, color=series_colour(place), lw=2.2, ms=5) for place, label in enumerate(labels)]


def marker(place: int) -> str:
    """The marker of a line, or of a kind of points."""
    return CLASS_MARKERS[place % len(CLASS_MARKERS)]


def mark_handles(points: pd.DataFrame, chance: float | None) -> "list[Artist]":
    """The ring around chosen points, where there are any, and the line of guessing."""
    from matplotlib.lines import Line2D

    ring = Line2D([], [], linestyle="", marker="o", ms=10, mfc="none", mec=INK, mew=1.5, label="chosen")
    line = Line2D([], [], label="chance", **GUIDE)
    return [*([ring] * bool(points["chosen"].any())), *([line] * (chance is not None))]
