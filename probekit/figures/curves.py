"""Curves of a value: over the blocks that features were read from, and over the number of training examples.

Both kinds have an axis of numbers and, at its right end and apart from it, places that have no number. The value is
between 0 and 1; its axis reaches from chance or below to 1, so that pictures compare.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probekit.errors import UsageError
from probekit.figures.style import (
    CLASS_MARKERS,
    DASHES,
    FAINT,
    GAP,
    GUIDE,
    INK,
    Extension,
    bare,
    breadth,
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
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

ALL = "all"
ACROSS = 3  # panels in a row
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
    apart = _places_apart(table["tap"][split[0].isna()].astype(str), max(ticks.values(), default=None))
    handles = [*_series_handles(table), *_over_handles(means), *_kind_handles(kinds), *_mark_handles(points, chance)]
    width = _width([*ticks.values(), *apart.values()])
    beside = legend_width([str(handle.get_label()) for handle in handles], legend_title)
    with figure_of(width + beside, 4.6) as figure:
        axes = figure.add_subplot()
        for place, name in enumerate(names := _series(table)):
            for number, mean in enumerate(means):
                mine = points[(points["series"] == name) & (points["over"] == mean)]
                look = {"color": series_colour(place), **_over_look(number, series_colour(place))}
                shift = _shift(place * len(means) + number, len(names) * len(means))
                for kind in kinds:
                    rows = mine[mine["kind"] == kind]
                    x = unit * rows["block"] + (shift if len(ticks) == 1 else 0)
                    _line(axes, x, rows, look | {"marker": _marker(kinds.index(kind))})
                _points_apart(axes, mine, mine["tap"], apart, shift, look | {"marker": "o"})
        words = "block" if len(kinds) != 1 else f"block i of {kinds[0]}@i"
        _horizontal_axis(axes, ticks, shown, apart, words if kinds else "tap")
        _value_axis(axes, points, value_name, chance)
        legend(figure, handles, legend_title)
        headline(figure, title, width - GAP, oracle=oracle)
        return picture(figure, extension)


def shot_curves(
    table: pd.DataFrame,
    *,
    title: str,
    value_name: str = "AUC",
    chance: float | None = 0.5,
    shots_axis: str = "training examples per class",
    all_name: str = ALL,
    legend_title: str = "",
    panel_title: str = "trained on",
    oracle: bool = False,
    extension: Extension = "png",
) -> bytes:
    """Lines of a mean value over the number of training examples, with bars of one standard deviation.

    The number has a logarithmic scale; `all` stands apart at the right end. Series stand a little beside each other,
    so that their bars can be told apart.

    Args:
        table: a row a point: `series`, `shots` (1 or more, or "all"), `value` (the mean over seeds), and `spread` (the
            standard deviation over seeds; NaN: none); optional `panel`: series of one panel are drawn together, the
            panels side by side, three in a row, each series with the same look in all; and `beside`, the series that
            a series is drawn beside: in its colour, dashed.
        title: stands above the picture.
        value_name: words for the vertical axis.
        chance: the value of guessing, drawn as a dashed line; None draws none.
        shots_axis: words for the horizontal axis.
        all_name: words for `all` on it: `all (125)`.
        legend_title: what the series are: `tested on`.
        panel_title: words before the name of each panel.
        oracle: stamp the picture: its numbers were chosen on test data.
        extension: `png` or `svg`.

    Raises:
        UsageError: a number of shots is neither 1 or more nor `all`.
    """
    everything = table["shots"].astype(str) == ALL
    shots = _whole_numbers(table["shots"][~everything])
    names = list(dict.fromkeys(table["panel"])) if "panel" in table else []
    across, down = min(len(names), ACROSS) or 1, math.ceil(len(names) / ACROSS) or 1
    alone = across == 1
    ticks = _log_places(shots, 5.0 if alone else 2.0)
    apart = _places_apart([all_name] if everything.any() else [], max(ticks.values(), default=None))
    points = _shot_points(table, shots, ticks | ({ALL: apart[all_name]} if apart else {}))
    looks = _shot_looks(table)
    handles = [*_shot_handles(table, looks), *_mark_handles(points, chance)]
    width = _width([*ticks.values(), *apart.values()], least=4.0 if alone else 2.4)
    beside = legend_width([str(handle.get_label()) for handle in handles], legend_title)
    with figure_of(width * across + beside, 4.6 if down == 1 else 0.6 + 3.2 * down) as figure:
        panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names or [None], strict=False):
            if name is not None:
                words = wrapped(f"{panel_title} {name}".strip(), width - 1.0, 10, "normal")
                axes.set_title(words, fontsize=10, loc="left")
            _shot_lines(axes, points if name is None else points[points["panel"] == name], looks)
            words = wrapped(shots_axis, width - 1.0, 11, "normal")
            _horizontal_axis(axes, ticks, _apart_enough(ticks), apart, words)
            _value_axis(axes, points, value_name if axes in panels[::across] else "", chance)
        for axes in panels[max(len(names), 1) :]:
            axes.remove()
        legend(figure, handles, legend_title)
        remark = "mean over seeds ± 1 standard deviation" if (table["spread"] > 0).any() else ""
        headline(figure, title, width * across - GAP, oracle=oracle, remark=remark)
        return picture(figure, extension)


def _shot_points(table: pd.DataFrame, shots: "pd.Series[int]", places: Mapping[str, float]) -> pd.DataFrame:
    """The table with the ends of its bars, which a share cannot leave, its numbers (NaN at `all`) and their places."""
    return table.assign(
        lo=(table["value"] - table["spread"]).clip(lower=0.0),
        hi=(table["value"] + table["spread"]).clip(upper=1.0),
        chosen=False,
        number=shots.astype(float),
        x=shots.astype(str).reindex(table.index, fill_value=ALL).map(places).astype(float),
    )


def _shot_looks(table: pd.DataFrame) -> dict[str, dict[str, Any]]:
    """Series → its line: a colour and a marker each; beside another, that one's, dashed and hollow."""
    names = _series(table)
    beside = dict(zip(table["series"], table["beside"], strict=True)) if "beside" in table else {}
    own = [name for name in names if not beside.get(name)]
    looks = {}
    for name in names:
        place = own.index(beside.get(name) or name)
        dashed = {"linestyle": "--", "markerfacecolor": "white"} if beside.get(name) else {"linestyle": "-"}
        looks[name] = {"color": series_colour(place), "marker": _marker(place), **dashed}
    return looks


def _shot_handles(table: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> "list[Artist]":
    handles = _series_handles(table)
    for handle, look in zip(handles, looks.values(), strict=True):
        handle.set(**look, markersize=5)
    return handles


def _shot_lines(axes: "Axes", points: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> None:
    """A line a series over the numbers, its point at `all` apart; each series a little beside the one before."""
    present = [name for name in looks if (points["series"] == name).any()]
    gap = np.diff(np.unique(points["x"])).min(initial=1.0)  # what stands beside one number stays clear of the next
    for number, name in enumerate(present):
        look = looks[name]
        mine = points[points["series"] == name].sort_values("number", kind="stable")
        x = mine["x"] + _shift(number, len(present), gap / 2)
        axes.vlines(x, mine["lo"], mine["hi"], color=look["color"], lw=1.2, alpha=0.6)
        numbered = mine["number"].notna()
        axes.plot(x[numbered], mine["value"][numbered], ms=4.5, lw=1.4, **look)
        axes.plot(x[~numbered], mine["value"][~numbered], ms=5.5, **look | {"linestyle": ""})


# Places on the horizontal axis, in inches


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


def _log_places(shots: "pd.Series[int]", span: float) -> dict[str, float]:
    """Where each number stands, over so many inches from the least to the greatest."""
    numbers = sorted(shots.unique())
    if not numbers:
        return {}
    scale = span / max(np.log10(numbers[-1] / numbers[0]), 1.0)
    return {str(n): float(scale * np.log10(n / numbers[0])) for n in numbers}


def _places_apart(names: Iterable[str], end: float | None) -> dict[str, float]:
    """Where the names without a number stand, in the order in which they come."""
    unique = list(dict.fromkeys(names))
    step = float(np.clip(breadth(unique, 11) + 0.15, 0.55, 1.0))
    start = 0.0 if end is None else end + 0.3 + step / 2
    return {name: start + step * place for place, name in enumerate(unique)}


def _apart_enough(ticks: Mapping[str, float]) -> list[str]:
    """Those words, from the right, that do not touch the one before."""
    kept: list[str] = []
    for word, place in reversed(list(ticks.items())):
        if not kept or ticks[kept[-1]] - place >= breadth([kept[-1]], 11) + 0.1:
            kept.append(word)
    return kept


def _shift(place: int, n: int, room: float = 0.4) -> float:
    """Beside each other, not on top of each other: the inches of the place among n from their middle."""
    return min(0.11, room / n) * (place - (n - 1) / 2)


def _width(places: Sequence[float], least: float = 4.0) -> float:
    """The inches of the axes and the words at their left."""
    span = max(places) - min(places) if places else 0.0
    return max(least, span + 0.8) + 0.9


# Drawing


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


def _ring(axes: "Axes", x: "pd.Series[float]", y: "pd.Series[float]") -> None:
    axes.scatter(x, y, s=110, facecolors="none", edgecolors=INK, linewidths=1.5, zorder=5)


def _horizontal_axis(
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


def _value_axis(axes: "Axes", points: pd.DataFrame, name: str, chance: float | None) -> None:
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


# Legend


def _series(table: pd.DataFrame) -> list[str]:
    return list(dict.fromkeys(table["series"]))


def _series_handles(table: pd.DataFrame, markers: Sequence[str] = ("",)) -> "list[Artist]":
    """A line a series, with the number of its undefined points."""
    from matplotlib.lines import Line2D

    undefined = table["value"].isna().groupby(table["series"]).sum()
    labels = [f"{name}  ({undefined[name]} undefined)" if undefined[name] else str(name) for name in _series(table)]
    return [
        Line2D([], [], label=label, color=series_colour(i), lw=2.2, marker=markers[i % len(markers)], ms=5)
        for i, label in enumerate(labels)
    ]


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
        Line2D([], [], label=f"{kind}@i", color=INK, linestyle="", marker=_marker(place), ms=5.5)
        for place, kind in enumerate(kinds)
    ]
    return handles if len(kinds) > 1 else []


def _over_look(number: int, colour: str) -> dict[str, Any]:
    return {"linestyle": DASHES[number % len(DASHES)], "markerfacecolor": "white" if number % 2 else colour}


def _marker(place: int) -> str:
    return CLASS_MARKERS[place % len(CLASS_MARKERS)]


def _mark_handles(points: pd.DataFrame, chance: float | None) -> "list[Artist]":
    from matplotlib.lines import Line2D

    ring = Line2D([], [], linestyle="", marker="o", ms=10, mfc="none", mec=INK, mew=1.5, label="chosen")
    line = Line2D([], [], label="chance", **GUIDE)
    return [*([ring] * bool(points["chosen"].any())), *([line] * (chance is not None))]


# Tables


def _with_intervals(table: pd.DataFrame) -> pd.DataFrame:
    """The table with the columns that may be left out."""
    without: dict[str, Any] = {"over": "", "lo": np.nan, "hi": np.nan, "chosen": False}
    points = table.assign(**{name: value for name, value in without.items() if name not in table})
    return points.assign(chosen=points["chosen"].eq(True) & points["value"].notna())


def _whole_numbers(shots: "pd.Series[Any]") -> "pd.Series[int]":
    numbers = pd.to_numeric(shots, errors="coerce")
    wrong = shots[~((numbers >= 1) & (numbers % 1 == 0))]
    if len(wrong):
        raise UsageError(f"shots are {wrong.iloc[0]!r}, expected a whole number from 1 or {ALL!r}.")
    return numbers.astype(int)
