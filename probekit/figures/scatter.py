"""Maps of samples on a plane, coloured by class or by value."""

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.arrays import Float, Groups, Int, Mask
from probekit.figures.style import (
    FAINT,
    INK,
    Extension,
    axes_title,
    breadth,
    class_style,
    figure_of,
    legend,
    legend_width,
    picture,
    real_first,
    wrapped,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 60
"""Further classes, the smallest ones, are drawn as one."""
OTHER, MUTED = "#c9ccd1", "#dfe2e6"
OUTCOME_COLOURS = {
    "right": "#a9adb5", "wrong": "#d55e00", "missed": "#d55e00", "false alarm": "#0072b2", "not tested": "#dfe2e6",
}  # fmt: skip
"""What a probe made of a sample: mistakes stand out."""
NUMBERED = 12  # classes beyond which each is numbered in the legend and on the map
MOST_PATHS = 20_000  # points of an SVG that are shapes; of more a picture is made, and words stay words
SIDE = 6.0  # inches
CAPTION = 9.5  # points


def scatter_map(
    coordinates: Float[np.ndarray, "n 2"],
    classes: Groups,
    *,
    title: str,
    caption: str = "",
    colours: Mapping[str, str] | None = None,
    muted: Mask | None = None,
    seed: int = 0,
    extension: Extension = "png",
) -> bytes:
    """A map of samples coloured by class, a legend of counts outside, quality figures beneath the title.

    Points are drawn in a seeded random order, so that no class hides another by coming last. Where there are many
    classes each has a number, which stands at its middle; of more than `MOST_CLASSES` the smallest are one.

    Args:
        coordinates: where each sample lies.
        classes: the class of each sample; `real` is grey, the others get colours in alphabetical order.
        title: stands above the picture.
        caption: smaller lines beneath the title: trustworthiness, purity, perplexity.
        colours: of classes that have one of their own.
        muted: samples that are only background, of no class.
        seed: of the drawing order.
        extension: `png` or `svg`.
    """
    every, behind = np.asarray(classes, dtype=object).astype(str), _behind(muted, len(classes))
    names, rest = _largest(every[~behind])
    code = _codes(every, names, behind)
    counts = np.bincount(code[~behind], minlength=len(names) + 1).tolist()
    numbered = len(names) > NUMBERED
    words = [
        f"{place}  {name}  ({n})" if numbered else f"{name}  ({n})"
        for place, (name, n) in enumerate(zip(names, counts, strict=False), start=1)
    ]
    words += [f"{len(rest)} other classes  ({counts[-1]})"] if rest else []
    looks = [class_style(names, name) | _own_colour(name, colours) for name in names] + [
        {"color": OTHER, "linewidths": 0}
    ]
    with _plane(coordinates, title, caption, legend_width(words), extension) as (figure, axes):
        _background(axes, coordinates, behind)
        _points(axes, coordinates, code, looks, seed)
        legend(
            figure,
            [axes.scatter([], [], s=42, label=word, **look) for word, look in zip(words, looks, strict=False)],
        )
        if numbered:
            _number(axes, coordinates, code, len(names))
        return picture(figure, extension)


def scatter_values(
    coordinates: Float[np.ndarray, "n 2"],
    values: Float[np.ndarray, " n"],
    *,
    name: str,
    title: str,
    caption: str = "",
    muted: Mask | None = None,
    seed: int = 0,
    extension: Extension = "png",
) -> bytes:
    """A map of samples coloured by a number, with a colour bar outside.

    Args:
        coordinates: where each sample lies.
        values: a number a sample; those without one (NaN) are drawn pale.
        name: what the numbers are, beside the bar.
        title: as `scatter_map`, and so are the others.
        caption: beneath the title.
        muted: samples that are only background.
        seed: of the drawing order.
        extension: `png` or `svg`.
    """
    behind = _behind(muted, len(values))
    known = np.isfinite(values) & ~behind
    missing = int(np.sum(~np.isfinite(values) & ~behind))
    with _plane(coordinates, title, caption, 1.0, extension) as (figure, axes):
        _background(axes, coordinates, ~known)
        order = np.random.default_rng(seed).permutation(np.flatnonzero(known))
        x, y = coordinates[order].T
        drawn = axes.scatter(x, y, c=values[order], s=_size(len(values)), cmap="viridis", linewidths=0)
        bar = figure.colorbar(drawn, ax=axes, fraction=0.05, pad=0.03, aspect=30)
        bar.set_label(f"{name}  ({missing} without)" if missing else name)
        bar.outline.set_visible(False)
        return picture(figure, extension)


@contextmanager
def _plane(
    coordinates: Float[np.ndarray, "n 2"], title: str, caption: str, beside: float, extension: Extension
) -> "Iterator[tuple[Figure, Axes]]":
    """Empty axes of equal scales with title and caption, and so many inches beside them."""
    with figure_of(SIDE + 0.4 + beside, SIDE) as figure:
        axes = figure.add_subplot()
        axes.set_rasterization_zorder(2 if extension == "svg" and len(coordinates) > MOST_PATHS else None)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xticks=[], yticks=[])
        lines = [line for part in caption.splitlines() for line in _lines(part)]
        axes_title(axes, title, above=6 + 13 * len(lines) + (2 if lines else 0))
        if lines:
            axes.annotate("\n".join(lines), (0, 1), (0, 6), xycoords="axes fraction", textcoords="offset points",
                          fontsize=CAPTION, color=FAINT, linespacing=1.15)  # fmt: skip
        yield figure, axes


def _lines(words: str) -> list[str]:
    """The words as they are if they fit over the map, else folded."""
    return [words] if breadth([words], CAPTION) <= SIDE else wrapped(words, SIDE, CAPTION, "normal").splitlines()


def _largest(label: Groups) -> tuple[list[str], list[str]]:
    """Names of the classes that get a look of their own, real first, and those that do not."""
    names = real_first(label)
    if len(names) <= MOST_CLASSES:
        return names, []
    found, counts = np.unique(label.astype(str), return_counts=True)
    kept = set(found[np.argsort(-counts, kind="stable")][: MOST_CLASSES - 1].tolist())
    return [name for name in names if name in kept], [name for name in names if name not in kept]


def _codes(label: Groups, names: Sequence[str], behind: Mask) -> Int[np.ndarray, " n"]:
    """The number of each sample's class, one more for the other classes, −1 for the background."""
    number = {name: place for place, name in enumerate(names)}
    code = np.array([number.get(name, len(names)) for name in label.tolist()], dtype=np.int64)
    code[behind] = -1
    return code


def _points(
    axes: "Axes",
    coordinates: Float[np.ndarray, "n 2"],
    code: Int[np.ndarray, " n"],
    looks: Sequence[dict[str, Any]],
    seed: int,
) -> None:
    """All classes in turn, a share of the points at a time."""
    order = np.random.default_rng(seed).permutation(np.flatnonzero(code >= 0))
    for chunk in np.array_split(order, min(24, max(1, len(order)))):
        for number, look in enumerate(looks):
            own = chunk[code[chunk] == number]
            if len(own):
                x, y = coordinates[own].T
                axes.scatter(x, y, s=_size(len(code)), alpha=0.8, zorder=1.5, **look)


def _own_colour(name: str, colours: Mapping[str, str] | None) -> dict[str, str]:
    return {"color": colours[name]} if colours and name in colours else {}


def _background(axes: "Axes", coordinates: Float[np.ndarray, "n 2"], behind: Mask) -> None:
    x, y = coordinates[behind].T
    axes.scatter(x, y, s=_size(len(behind)), color=MUTED, linewidths=0, zorder=1)


def _number(axes: "Axes", coordinates: Float[np.ndarray, "n 2"], code: Int[np.ndarray, " n"], classes: int) -> None:
    """The number of each class at the middle of its points."""
    from matplotlib.patheffects import withStroke

    for number in range(classes):
        x, y = np.median(coordinates[code == number], axis=0)
        axes.text(x, y, str(number + 1), fontsize=8, weight="bold", color=INK, ha="center", va="center", zorder=3,
                  path_effects=[withStroke(linewidth=2.2, foreground="white")])  # fmt: skip


def _behind(muted: Mask | None, n: int) -> Mask:
    return np.zeros(n, dtype=bool) if muted is None else muted


def _size(n: int) -> float:
    return float(np.clip(9000 / max(n, 1), 3, 34))
