"""A mean value over the number of training examples; `all` of them stands apart at the right end."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probekit.errors import UsageError
from probekit.figures.number_axis import (
    axis_width,
    horizontal_axis,
    mark_handles,
    marker,
    places_apart,
    series_handles,
    series_of,
    sideways,
    value_axis,
)
from probekit.figures.style import (
    GAP,
    Extension,
    breadth,
    figure_of,
    headline,
    legend,
    legend_width,
    picture,
    series_colour,
    wrapped,
)

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

ALL = "all"
ACROSS = 3  # panels in a row


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
    apart = places_apart([all_name] if everything.any() else [], max(ticks.values(), default=None))
    points = _shot_points(table, shots, ticks | ({ALL: apart[all_name]} if apart else {}))
    looks = _shot_looks(table)
    handles = [*_shot_handles(table, looks), *mark_handles(points, chance)]
    width = axis_width([*ticks.values(), *apart.values()], least=4.0 if alone else 2.4)
    beside = legend_width([str(handle.get_label()) for handle in handles], legend_title)
    with figure_of(width * across + beside, 4.6 if down == 1 else 0.6 + 3.2 * down) as figure:
        panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
        for axes, name in zip(panels, names or [None], strict=False):
            if name is not None:
                words = wrapped(f"{panel_title} {name}".strip(), width - 1.0, 10, "normal")
                axes.set_title(words, fontsize=10, loc="left")
            _shot_lines(axes, points if name is None else points[points["panel"] == name], looks)
            words = wrapped(shots_axis, width - 1.0, 11, "normal")
            horizontal_axis(axes, ticks, _apart_enough(ticks), apart, words)
            value_axis(axes, points, value_name if axes in panels[::across] else "", chance)
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
    names = series_of(table)
    beside = dict(zip(table["series"], table["beside"], strict=True)) if "beside" in table else {}
    own = [name for name in names if not beside.get(name)]
    looks = {}
    for name in names:
        place = own.index(beside.get(name) or name)
        dashed = {"linestyle": "--", "markerfacecolor": "white"} if beside.get(name) else {"linestyle": "-"}
        looks[name] = {"color": series_colour(place), "marker": marker(place), **dashed}
    return looks


def _shot_handles(table: pd.DataFrame, looks: Mapping[str, dict[str, Any]]) -> "list[Artist]":
    handles = series_handles(table)
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
        x = mine["x"] + sideways(number, len(present), gap / 2)
        axes.vlines(x, mine["lo"], mine["hi"], color=look["color"], lw=1.2, alpha=0.6)
        numbered = mine["number"].notna()
        axes.plot(x[numbered], mine["value"][numbered], ms=4.5, lw=1.4, **look)
        axes.plot(x[~numbered], mine["value"][~numbered], ms=5.5, **look | {"linestyle": ""})


def _log_places(shots: "pd.Series[int]", span: float) -> dict[str, float]:
    """Where each number stands, over so many inches from the least to the greatest."""
    numbers = sorted(shots.unique())
    if not numbers:
        return {}
    scale = span / max(np.log10(numbers[-1] / numbers[0]), 1.0)
    return {str(n): float(scale * np.log10(n / numbers[0])) for n in numbers}


def _apart_enough(ticks: Mapping[str, float]) -> list[str]:
    """Those words, from the right, that do not touch the one before."""
    kept: list[str] = []
    for word, place in reversed(list(ticks.items())):
        if not kept or ticks[kept[-1]] - place >= breadth([kept[-1]], 11) + 0.1:
            kept.append(word)
    return kept


def _whole_numbers(shots: "pd.Series[Any]") -> "pd.Series[int]":
    numbers = pd.to_numeric(shots, errors="coerce")
    wrong = shots[~((numbers >= 1) & (numbers % 1 == 0))]
    if len(wrong):
        raise UsageError(f"shots are {wrong.iloc[0]!r}, expected a whole number from 1 or {ALL!r}.")
    return numbers.astype(int)
