"""The rows of a feature set as unit vectors that search one another."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Features, Groups, Int
from probekit.features import FeatureSet
from probekit.manifest import REAL
from probekit.neighbours import Indexed, IndexedRows, Neighbours, search
from probekit.probes.conditions import fit_condition
from probekit.projections import Fitted, Projection
from probekit.retrieval.rows import Turn
from probekit.retrieval.settings import RetrievalSettings


@dataclass(frozen=True)
class Bank:
    """All samples and their conditioned vectors; searches name rows of it."""

    samples: pd.DataFrame
    vectors: Features
    projected: Fitted | None
    """The projection that made the vectors, if any."""

    @classmethod
    def of(
        cls, features: FeatureSet, turn: Turn, settings: RetrievalSettings, projection: Projection | None = None
    ) -> "Bank":
        """Conditioned on the gallery's rows, every part then of length 1, so that none drowns another.

        Raises:
            ProbeError: the projection cannot be learned from these rows.
        """
        samples, matrix, widths = features.samples, features.matrix, features.widths
        vectors = fit_condition(settings.condition, matrix[turn.gallery], widths).apply(matrix)
        if settings.condition != "l2":
            vectors = fit_condition("l2", vectors, widths).apply(vectors)
        fitted = None
        if projection is not None:
            taught = samples.iloc[turn.learned]
            of, group = (taught[name].to_numpy(dtype=object) for name in ("generator", "group"))
            fitted = projection.fit(vectors[turn.learned], of, group)
            vectors = fitted.apply(vectors)
        return cls(samples, vectors.astype(np.float32), fitted)

    @property
    def width(self) -> int:
        """Columns of a vector."""
        return int(self.vectors.shape[1])

    def rows(self, numbers: Int[np.ndarray, " m"]) -> Features:
        """The vectors of some samples."""
        found: Features = self.vectors[numbers]
        return found

    @contextmanager
    def indexed(self, gallery: Int[np.ndarray, " n"], engine: str, seed: int) -> Iterator[Indexed]:
        """These rows in an index, numbered from 0, for as long as it is searched."""
        yield IndexedRows.of(self.rows(gallery), self.group[gallery], engine, seed=seed)

    @property
    def path(self) -> Groups:
        """Of every sample."""
        return self.samples["path"].to_numpy(dtype=object)

    @property
    def generator(self) -> Groups:
        """Of every sample."""
        return self.samples["generator"].to_numpy(dtype=object)

    @property
    def group(self) -> Groups:
        """Of every sample."""
        return self.samples["group"].to_numpy(dtype=object)

    def search(self, queries: Int[np.ndarray, " q"], gallery: Int[np.ndarray, " n"], k: int) -> Neighbours:
        """Neighbours as rows of the bank, -1 where there is none."""
        found = search(self.vectors[queries], self.vectors[gallery], k, self.group[queries], self.group[gallery])
        return Neighbours(np.append(gallery, -1)[found.indices], found.similarities)


def ordered(generators: Groups) -> list[str]:
    """Unique names, `real` first."""
    return sorted(set(generators), key=lambda name: (name != REAL, name))
