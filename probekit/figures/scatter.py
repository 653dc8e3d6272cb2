"""Maps of samples on a plane, coloured by class."""

import numpy as np

from probekit.arrays import Float, Groups
from probekit.figures.style import Extension, axes_title, class_style, figure_of, picture, real_first


def scatter_map(
    coordinates: Float[np.ndarray, "n 2"],
    classes: Groups,
    *,
    title: str,
    caption: str = "",
    seed: int = 0,
    extension: Extension = "png",
) -> bytes:
    """A map of samples coloured by class, a legend of counts outside, quality figures beneath the title.

    Points are drawn in a seeded random order, so that no class hides another by coming last.

    Args:
        coordinates: where each sample lies.
        classes: the class of each sample; `real` is grey, the others get colours in alphabetical order.
        title: stands above the picture.
        caption: a smaller line beneath the title: trustworthiness, purity, perplexity.
        seed: of the drawing order.
        extension: `png` or `svg`.
    """
    names = real_first(classes)
    n = len(classes)
    size = float(np.clip(9000 / max(n, 1), 3, 34))
    order = np.random.default_rng(seed).permutation(n)
    label = np.asarray(classes, dtype=object)
    columns = 1 + (len(names) - 1) // 24
    with figure_of(6.0 + 2.2 * columns, 6.0) as figure:
        axes = figure.add_subplot()
        for chunk in np.array_split(order, min(24, max(1, n))):
            for name in names:
                rows = chunk[label[chunk] == name]
                axes.scatter(coordinates[rows, 0], coordinates[rows, 1], s=size, alpha=0.8, **class_style(names, name))
        handles = [
            axes.scatter([], [], s=42, label=f"{name}  ({int((label == name).sum())})", **class_style(names, name))
            for name in names
        ]
        figure.legend(
            handles=handles, loc="outside right upper", frameon=False, ncols=columns,
            handletextpad=0.2, borderaxespad=0.8, fontsize=10 if len(names) <= 24 else 8,
        )  # fmt: skip
        axes.set_aspect("equal", adjustable="datalim")
        axes.set(xticks=[], yticks=[])
        axes_title(axes, title, caption)
        return picture(figure, extension)
