"""UMAP (McInnes, Healy and Melville 2018, arXiv:1802.03426) by umap-learn."""

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from probekit.arrays import Features
from probekit.maps import methods
from probekit.maps.methods import Layout, Plane, Progress

if TYPE_CHECKING:
    import umap


@methods.add("umap")
@dataclass(frozen=True)
class UMAP(methods.Method):
    """Minimises the cross-entropy of two fuzzy neighbour graphs, that of the features and that of the plane."""

    title: ClassVar[str] = "UMAP"

    n_neighbors: int = 15
    """umap-learn's own default, as the next."""
    min_dist: float = 0.1
    """Least distance of two points on the plane."""

    def fit(self, x: Features, seed: int, progress: Progress | None = None) -> Layout:
        """As `Method.fit`, begun at the principal axes and not at the graph's, which there are not always."""
        model = self._model(len(x), seed, progress, init=methods.principal_axes(x, seed))
        coordinates = model.fit_transform(x).astype(np.float64)
        k = int(model.n_neighbors)
        return Layout(coordinates, f"{k} neighbours", parameters={"n_neighbors": k, "min_dist": self.min_dist})

    def place(self, x: Features, coordinates: Plane, new: Features, seed: int, progress: Progress | None) -> Plane:
        """umap-learn's `transform`: at the weighted mean of its nearest samples' places, then optimised.

        The graph of the old samples is made anew, with no step of optimisation; their places are those of the map.
        """
        model = self._model(len(x), seed, progress, init=coordinates, n_epochs=0)
        model.fit(x)
        model.embedding_ = np.ascontiguousarray(coordinates, dtype=np.float32)
        model.n_epochs = None
        placed: Plane = model.transform(new).astype(np.float64)
        return placed

    def _model(self, n: int, seed: int, progress: Progress | None, **more: Any) -> "umap.UMAP":  # noqa: ANN401  # umap's
        library = methods.require("umap", self.title, "umap")
        bar = {"disable": progress is None, "file": _Bar(progress), "bar_format": _Bar.FORM, "mininterval": 0.2}
        return library.UMAP(
            n_neighbors=min(self.n_neighbors, n - 1),
            min_dist=self.min_dist,
            n_jobs=1,
            random_state=seed,
            transform_seed=seed,
            tqdm_kwds=bar,
            **more,
        )


class _Bar(io.StringIO):
    """The file that umap-learn's progress bar is written to: what it says goes to our own."""

    FORM = "{n_fmt} {total_fmt}"

    def __init__(self, progress: Progress | None) -> None:
        super().__init__()
        self._progress = progress

    def write(self, text: str) -> int:
        words = text.split()
        if self._progress is not None and len(words) == 2 and all(word.isdigit() for word in words):
            self._progress(int(words[0]), int(words[1]))
        return len(text)
