"""PaCMAP (Wang, Huang, Rudin and Shaposhnik 2021, Journal of Machine Learning Research 22) by pacmap."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from probekit.arrays import Features
from probekit.errors import UsageError
from probekit.maps import methods
from probekit.maps.methods import Layout, Plane, Progress

if TYPE_CHECKING:
    import pacmap

FEWEST = 8  # samples


@methods.add("pacmap")
@dataclass(frozen=True)
class PaCMAP(methods.Method):
    """Pulls near and mid-near pairs together, the latter in the beginning only, and pushes further pairs apart."""

    title: ClassVar[str] = "PaCMAP"
    tells_progress: ClassVar[bool] = False

    def fit(self, x: Features, seed: int, progress: Progress | None = None) -> Layout:
        """As `Method.fit`; 10 neighbours, or by its authors' formula more for more than 10,000 samples."""
        with self._library() as library:
            model = _model(library, len(x), seed)
            coordinates = model.fit_transform(x, init=methods.principal_axes(x, seed)).astype(np.float64)
        k = int(model.n_neighbors)
        return Layout(coordinates, f"{k} neighbours", parameters={"n_neighbors": k})

    def place(self, x: Features, coordinates: Plane, new: Features, seed: int, progress: Progress | None) -> Plane:
        """Pacmap's `transform`: pulled towards its nearest samples' places from its own along the principal axes.

        The pairs of the old samples are made anew, with no step of optimisation; their places are those of the map.
        """
        with self._library() as library:
            model = _model(library, len(x), seed, num_iters=(0, 0, 0))
            model.fit(x)
            model.embedding_ = np.ascontiguousarray(coordinates, dtype=np.float32)
            model.num_iters = (100, 100, 250)  # its own
            placed: Plane = model.transform(new, basis=x).astype(np.float64)
        return placed

    @contextmanager
    def _library(self) -> Iterator[Any]:
        """The module, in one thread and without its notes: that there is a seed, and no PCA of its own."""
        library = methods.require("pacmap", self.title, "pacmap")
        import numba

        logger = logging.getLogger("pacmap.pacmap")
        level, threads = logger.level, numba.get_num_threads()
        logger.setLevel(logging.ERROR)
        numba.set_num_threads(1)
        try:
            yield library
        finally:
            logger.setLevel(level)
            numba.set_num_threads(threads)


def _model(library: Any, n: int, seed: int, **more: Any) -> "pacmap.PaCMAP":  # noqa: ANN401  # pacmap's
    if n < FEWEST:  # it would look for six others of each sample without an end
        raise UsageError(f"PaCMAP needs at least {FEWEST} samples, and there are {n}: use --method tsne.")
    few = (n - 1) // 2 if n < 22 else None  # its own 10 neighbours leave fewer samples no further pairs
    return library.PaCMAP(n_neighbors=few, apply_pca=False, random_state=seed, **more)
