"""Training curves: the loss of networks by step, and that of the val split after each epoch."""

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

VAL = "val split, after an epoch"


def training_curves(steps: pd.DataFrame, epochs: pd.DataFrame, *, title: str, extension: Extension = "png") -> bytes:
    """Lines of the loss over the steps, and a dot for the val split after each epoch.

    Args:
        steps: a row a point: `series`, `step` (from 1), `loss`.
        epochs: a row an epoch: `series`, `step`, the last of the epoch, `val_loss` (NaN: there is no val split).
        title: stands above the picture.
        extension: `png` or `svg`.
    """
    from matplotlib.lines import Line2D

    names = [str(name) for name in dict.fromkeys(steps["series"])]
    width = 5.6
    with figure_of(width + legend_width([*names, VAL]), 4.0) as figure:
        axes = figure.add_subplot()
        for place, name in enumerate(names):
            points, ends = steps[steps["series"] == name], epochs[epochs["series"] == name]
            look = line_style(place)
            axes.plot(points["step"], points["loss"], label=name, **look | {"lw": 1.2})
            axes.plot(ends["step"], ends["val_loss"], ls="none", marker="o", ms=5, mec="white", color=look["color"])
        _axes(axes, steps)
        dot = Line2D([], [], ls="none", marker="o", ms=5, color="0.35", label=VAL)
        lines = [line for line in axes.lines if line.get_label() in names]
        legend(figure, [*lines, dot] if epochs["val_loss"].notna().any() else lines)
        headline(figure, title, width)
        return picture(figure, extension)


def _axes(axes: "Axes", steps: pd.DataFrame) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlim(0, max(int(steps["step"].max()) if len(steps) else 1, 2) * 1.03)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    ruled(axes)
    bare(axes, "top", "right")
    if steps["loss"].isna().all():
        say_empty(axes)
