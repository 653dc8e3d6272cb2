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
        lines.append(f"| {step} | {' | '.join(cells)} | {slope(of) if len(of) > 1 else float('nan'):.2f} |")
    return "\n".join(lines)


def growth(found: Measured, kind: Literal["cpu", "peak"]) -> bytes:
    """A line a step over the number of rows, both axes logarithmic, beside one of slope 1."""
    title, words, unit = WORDS[kind]
    beside = legend_width([f"{step}, slope 1.00" for step in found])
    with figure_of(6.4 + beside, 5.0) as figure:
        axes = figure.add_subplot()
        for place, (step, of) in enumerate(found.items()):
            sizes = sorted(map(int, of))
            label = f"{step}, slope {slope(of):.2f}" if kind == "cpu" and len(of) > 1 else step
            axes.plot(sizes, [of[str(n)][kind] / unit for n in sizes], label=label, markersize=5, **line_style(place))
        axes.set(xscale="log", yscale="log", xlabel="rows", ylabel=words)
        if kind == "cpu":
            low, high = axes.get_xlim()
            bottom, top = axes.get_ylim()
            axes.plot([low, high], [bottom, bottom * high / low], label="linear", **GUIDE)
            axes.set(xlim=(low, high), ylim=(bottom, top))
        ruled(axes)
        legend(figure, axes.lines, "step")
        headline(figure, title, 6.4 - GAP)
        return picture(figure)
