"""What was measured, as a table and as lines in a plane of logarithms: a slope of 1 is linear."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from probekit.figures.style import GAP, GUIDE, figure_of, headline, legend, legend_width, line_style, picture, ruled

Measured = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Step → rows → `cpu`, `seconds` (of the step) and `peak` (bytes)."""

GIB = 1 << 30
WORDS = {
    "cpu": ("Processor time over rows", "processor seconds", 1.0),
    "peak": ("Peak memory over rows", "peak memory of the process, GiB", GIB),
}


def slope(of: Mapping[str, Mapping[str, float]]) -> float:
    """Of processor time between the two largest sizes, in the plane of logarithms."""
    (before, after) = sorted(map(int, of))[-2:]
    return float(np.log(of[str(after)]["cpu"] / of[str(before)]["cpu"]) / np.log(after / before))


def to_markdown(found: Measured) -> str:
    """A row a step: processor seconds and GiB at every size, and the slope."""
    sizes = sorted({int(size) for of in found.values() for size in of})
    head = ["step", *(f"{size:,} rows" for size in sizes), "slope"]
    lines = [f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}"]
    for step, of in found.items():
        cells = [
            f"{of[str(n)]['cpu']:.2f} s, {of[str(n)]['peak'] / GIB:.2f} GiB" if str(n) in of else "" for n in sizes
        ]
        lines.append(f"| {step} | {' | '.join(cells)} | {f'{slope(of):.2f}' if len(of) > 1 else ''} |")
    return "\n".join(lines)


def growth(found: Measured, kind: Literal["cpu", "peak"]) -> bytes:
    """A line a step over the number of rows, both axes logarithmic, beside one of slope 1."""
    title, words, unit = WORDS[kind]
    beside = legend_width([f"{step}, slope 1.00" for step in found])
    with figure_of(6.4 + beside, 5.0) as figure:
        axes = figure.add_subplot()
        highest_first = sorted(found.items(), key=lambda each: -max(each[1].values(), key=lambda one: one["cpu"])[kind])
        for step, of in highest_first:
            sizes, look = sorted(map(int, of)), line_style(list(found).index(step))
            label = f"{step}, slope {slope(of):.2f}" if kind == "cpu" and len(of) > 1 else step
            axes.plot(sizes, [of[str(n)][kind] / unit for n in sizes], label=label, marker="o", ms=4, **look)
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=words)
        low, high = axes.get_ylim()
        if high / low < 100:  # powers of ten alone would be one tick or two
            axes.set_yticks([tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50) if low <= tick <= high])
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:,.10g}")
            axis.set_minor_formatter(lambda _value, _: "")
        if kind == "cpu":
            low, high = axes.get_xlim()
            bottom, top = axes.get_ylim()
            axes.plot([low, high], [bottom, bottom * high / low], label="linear", **GUIDE)
            axes.set(xlim=(low, high), ylim=(bottom, top))
        ruled(axes)
        legend(figure, axes.lines, "step")
        headline(figure, title, 6.4 - GAP)
        return picture(figure)
