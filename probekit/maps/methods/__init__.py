"""Layouts: principal components become places on a plane, and new samples find theirs among them.

    tsne.py      openTSNE: t-SNE with Gaussian neighbourhoods of one or several perplexities
    umap.py      UMAP, the extra `umap`
    pacmap.py    PaCMAP, the extra `pacmap`

A layout is one file, found by scanning this folder. All begin at the first two principal axes, so that what they make
of the same data can be compared (Kobak and Linderman 2021, Nature Biotechnology 39, 156–157), and all are computed in
a fixed order: the same seed gives the same bytes.
"""

import importlib
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from probekit.arrays import Features, Float
from probekit.errors import UsageError
from probekit.fingerprint import JSONValue
from probekit.maps.settings import MapSettings, Perplexity
from probekit.registry import Registry

FEWEST = 5  # samples; t-SNE needs a perplexity above 1, and a perplexity of p needs 3p neighbours

Plane = Float[np.ndarray, "n 2"]

Progress = Callable[[int, int], None]
"""Called with iterations done and in all."""


@dataclass(frozen=True, eq=False)
class Layout:
    """Where samples lie, and what was chosen for so many of them."""

    coordinates: Plane
    """float64."""
    words: str
    """What was chosen, for a caption: `perplexity 30`."""
    perplexity: float | tuple[float, ...] | None = None
    kl_divergence: float | None = None
    parameters: Mapping[str, JSONValue] = field(default_factory=dict)
    """What else was chosen."""


@dataclass(frozen=True)
class Method(ABC):
    """Settings of a layout."""

    title: ClassVar[str]
    """As its authors spell it."""
    tells_progress: ClassVar[bool] = True
    """Whether it can say how far it is."""

    @abstractmethod
    def fit(self, x: Features, seed: int, progress: Progress | None = None) -> Layout:
        """The layout of these rows, of which there are at least `FEWEST`.

        Raises:
            UsageError: a setting that does not fit so many samples, or an extra that is not installed.
        """

    @abstractmethod
    def place(self, x: Features, coordinates: Plane, new: Features, seed: int, progress: Progress | None) -> Plane:
        """Where new rows lie among old ones, which stay at their places.

        Args:
            x: the rows of the existing map.
            coordinates: their places.
            new: further rows along the same axes; each is placed by itself, none pushes another.
            seed: of the map.
            progress: called as it goes on.

        Raises:
            UsageError: an extra is not installed.
        """


_methods = Registry[type[Method]]("--method", package=__name__, entry_points="probekit.maps")

add = _methods.add
get = _methods.get
names = _methods.names


def create(settings: MapSettings) -> Method:
    """The method that the settings name.

    Raises:
        UnknownNameError: there is none of that name.
        UsageError: a perplexity for a method that has none.
    """
    kind = get(settings.method)
    given: dict[str, Perplexity] = {} if settings.perplexity is None else {"perplexity": settings.perplexity}
    if given and "perplexity" not in kind.__dataclass_fields__:
        raise UsageError(f"--perplexity is of t-SNE, {kind.title} has none: leave it out, or use --method tsne.")
    return kind(**given)


def require(module: str, title: str, extra: str) -> Any:  # noqa: ANN401  # a module without types
    """The module of an extra.

    Raises:
        UsageError: it is not installed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=ImportWarning)  # of extras of the extra, which nobody asked for
        try:
            return importlib.import_module(module)
        except ImportError as error:
            raise UsageError(f"{title} is an extra: pip install 'probekit[{extra}]', or use --method tsne.") from error


def principal_axes(x: Features, seed: int, spread: float = 1e-4) -> Plane:
    """The first two principal axes at this spread, equal samples set apart by a hundredth of it."""
    axes = np.zeros((len(x), 2))
    axes[:, : x.shape[1]] = x[:, :2] / x[:, 0].std() * spread
    return axes + np.random.default_rng(seed).normal(scale=spread / 100, size=axes.shape)
