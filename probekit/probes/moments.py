"""Counts, means and scatter of rows that come a block at a time, in float64: all that closed forms need of them.

Rows are told apart by cells, so that one pass serves many training sets: each set takes some of the cells, and says of
which class their rows are. Moments of blocks are joined as Chan, Golub and LeVeque (1979) join them, about their own
means, so that nothing is lost where a column's mean is large beside its deviation.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from probekit.arrays import Features, Float, Int
from probekit.probes.classifier import refuse_nonfinite, require_two
from probekit.probes.conditions import Condition, epsilon_of

NOT_TAUGHT = -1
"""In place of a class: the rows of this cell are not learned from."""


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """Counts, means and scatter of the rows of each class."""

    classes: Int[np.ndarray, " c"]
    """Ascending."""
    counts: Int[np.ndarray, " c"]
    means: Float[np.ndarray, "c d"]
    within: Float[np.ndarray, "d d"]
    """Σ (x − μ)(x − μ)ᵀ about the mean of each row's own class."""
    largest: Float[np.ndarray, " d"]
    """The largest magnitude of each column, or more: below what rounding makes of that, nothing varies."""
    epsilon: float
    """Rounding of the features' own number format."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.counts.sum())

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """Of all rows."""
        mean: Float[np.ndarray, " d"] = self.counts @ self.means / self.n
        return mean

    @property
    def total(self) -> Float[np.ndarray, "d d"]:
        """Scatter of all rows about their common mean."""
        off = self.means - self.mean
        total: Float[np.ndarray, "d d"] = self.within + (off.T * self.counts) @ off
        return total

    def conditioned(self, condition: Condition) -> "ClassMoments":
        """The moments of the features once shifted and scaled; of the largest magnitudes, what they are at most."""
        shift, scale = condition.shift, condition.scale
        return replace(
            self,
            means=(self.means - shift) / scale,
            within=self.within / np.outer(scale, scale),
            largest=(self.largest + np.abs(shift)) / scale,
        )


@dataclass(frozen=True, eq=False)
class CellMoments:
    """Counts and means of the rows of each cell; scatter of each pool of cells."""

    cells: Int[np.ndarray, " m"]
    """Those that have rows, ascending."""
    counts: Int[np.ndarray, " m"]
    means: Float[np.ndarray, "m d"]
    largest: Float[np.ndarray, "m d"]
    """The largest magnitude of each column."""
    pools: Int[np.ndarray, " m"]
    """The pool of each cell. A training set takes all cells of a pool or none."""
    within: Mapping[int, Float[np.ndarray, "d d"]]
    """Of each pool, Σ (x − μ)(x − μ)ᵀ about the mean of each row's own cell."""
    epsilon: float

    def of_classes(self, taught: Int[np.ndarray, " m"]) -> ClassMoments:
        """The moments of one training set.

        Args:
            taught: the class of each of `cells`, `NOT_TAUGHT` where its rows are not learned from.

        Raises:
            ProbeError: fewer than two classes.
        """
        own = taught != NOT_TAUGHT
        classes, numbers = np.unique(taught[own], return_inverse=True)
        require_two(classes)
        of_cells, means = self.counts[own], self.means[own]
        member = (numbers == np.arange(len(classes))[:, None]) * of_cells  # (classes, cells): rows
        counts = member.sum(axis=1)
        of_classes = member @ means / counts[:, None]
        off = means - of_classes[numbers]
        within = (off.T * of_cells) @ off
        for pool in np.unique(self.pools[own]).tolist():
            within += self.within[pool]
        return ClassMoments(classes, counts, of_classes, within, self.largest[own].max(axis=0), self.epsilon)


def cell_moments(
    blocks: Iterable[tuple[Features, Int[np.ndarray, " b"]]], pools: Mapping[int, int] | None = None
) -> CellMoments:
    """The moments of all rows, in one pass.

    Args:
        blocks: rows and the cell of each.
        pools: the pool of each cell; None: all are of one.

    Raises:
        ProbeError: a feature that is not finite.
    """
    found: dict[int, _Cell] = {}
    within: dict[int, Float[np.ndarray, "d d"]] = {}
    epsilon = 0.0
    for features, cells in blocks:
        refuse_nonfinite(features)
        epsilon = max(epsilon, epsilon_of(features))
        for cell in np.unique(cells).tolist():
            pool = pools[cell] if pools else 0
            if pool not in within:
                within[pool] = np.zeros((features.shape[1],) * 2)
            found.setdefault(cell, _Cell.empty(features.shape[1])).take(
                features[cells == cell].astype(np.float64), within[pool]
            )
    ordered = sorted(found)
    shape = (len(ordered), len(found[ordered[0]].mean) if ordered else 0)
    return CellMoments(
        np.array(ordered, np.int64),
        np.array([found[cell].count for cell in ordered], np.int64),
        np.array([found[cell].mean for cell in ordered]).reshape(shape),
        np.array([found[cell].largest for cell in ordered]).reshape(shape),
        np.array([pools[cell] if pools else 0 for cell in ordered], np.int64),
        within,
        epsilon,
    )


@dataclass(eq=False)
class _Cell:
    count: int
    mean: Float[np.ndarray, " d"]
    largest: Float[np.ndarray, " d"]

    @classmethod
    def empty(cls, width: int) -> "_Cell":
        return cls(0, np.zeros(width), np.zeros(width))

    def take(self, rows: Float[np.ndarray, "b d"], within: Float[np.ndarray, "d d"]) -> None:
        """Add rows, and to `within` what they vary; the rows are changed."""
        count, mean = len(rows), rows.mean(axis=0)
        self.largest = np.maximum(self.largest, np.abs(rows).max(axis=0))
        off = mean - self.mean if self.count else np.zeros(len(mean))
        rows -= mean
        within += rows.T @ rows
        within += np.outer(off, off) * (self.count * count / (self.count + count))
        self.mean = mean - off * (self.count / (self.count + count))
        self.count += count
