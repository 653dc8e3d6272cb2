"""The AUC of many score columns under many drawings of groups, in time proportional to samples × drawings.

With c the number of times that each sample's group was drawn, and only pairs of one fold compared,

    AUC = Σ_fake c · (Σ_real, score < c + ½ Σ_real, score = c) / Σ_folds Σ_fake c Σ_real c

The samples are walked in ascending order of score, each step being one vector operation over all drawings: a real adds
its c to what was passed, a fake adds c · passed to the wins. Fakes before reals of equal score count the pairs won,
reals before fakes those won or tied, and the mean of the two walks gives ties their half. All sums are of whole
numbers, so float32 is exact while they are small, and the result does not depend on the order of the samples.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Int, Labels, Scores

MAX_ELEMENTS = 2**22  # counts held at once: they stay in the processor's caches


@dataclass(frozen=True)
class _Walk:
    """The samples of one fold in ascending order of score."""

    groups: list[int]
    real: list[bool]

    def wins(self, drawn: Float[np.ndarray, "g r"]) -> Float[np.ndarray, " r"]:
        """Weight of the pairs of a fake and a real that comes before it."""
        wins = np.zeros(drawn.shape[1])
        passed, product = np.zeros((2, drawn.shape[1]), dtype=drawn.dtype)
        for group, real in zip(self.groups, self.real, strict=True):
            if real:
                passed += drawn[group]
            else:
                wins += np.multiply(passed, drawn[group], out=product)
        return wins


def group_aucs(
    counts: Int[np.ndarray, "r g"],
    members: Int[np.ndarray, " n"],
    labels: Labels,
    scores: Float[np.ndarray, "n k"],
    folds: Int[np.ndarray, " n"] | None = None,
) -> Float[np.ndarray, "k r"]:
    """The AUC within folds of every column under every drawing; NaN where a drawing has no pair to compare.

    Args:
        counts: how often each group was drawn, one row a drawing.
        members: the group number of each sample.
        labels: 1 for fake.
        scores: one column a probe.
        folds: only samples of one fold are compared.
    """
    numbers = np.zeros(len(labels), dtype=np.int64) if folds is None else folds
    own = [np.flatnonzero(numbers == fold) for fold in np.unique(numbers)]
    walks = [[list(_walks(members[rows], labels[rows], column[rows])) for rows in own] for column in scores.T]
    sizes = np.array(
        [[np.bincount(members[rows][labels[rows] == k], minlength=counts.shape[1]) for rows in own] for k in (0, 1)]
    )  # (2, f, g) reals and fakes of each fold and group
    most = int(counts.max(initial=0))
    dtype = np.float32 if most**2 * len(labels) < 2**24 else np.float64  # the largest number that a walk can meet

    areas = np.full((scores.shape[1], len(counts)), np.nan)
    at_once = max(1, MAX_ELEMENTS // max(1, counts.shape[1]))
    for start in range(0, len(counts), at_once):
        drawn = np.ascontiguousarray(counts[start : start + at_once].T, dtype=dtype)
        reals, fakes = (of_class.astype(np.float64) @ drawn for of_class in sizes)
        pairs = np.sum(reals * fakes, axis=0)
        for of_folds, area in zip(walks, areas[:, start : start + at_once], strict=True):
            wins = np.sum([np.mean([walk.wins(drawn) for walk in of_fold], axis=0) for of_fold in of_folds], axis=0)
            np.divide(wins, pairs, out=area, where=pairs > 0)
    return areas


def _walks(groups: Int[np.ndarray, " m"], labels: Labels, scores: Scores) -> Iterator[_Walk]:
    """Fakes first among equals and, if that makes a difference, reals first."""
    real = labels == 0
    fakes_first, reals_first = (np.lexsort((first, scores)) for first in (real, ~real))
    yield _Walk(groups[fakes_first].tolist(), real[fakes_first].tolist())
    if not np.array_equal(real[fakes_first], real[reals_first]):
        yield _Walk(groups[reals_first].tolist(), real[reals_first].tolist())
