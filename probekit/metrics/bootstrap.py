"""Intervals by bootstrap over groups: samples of one source photo are drawn together or not at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Groups, Int, Labels, Scores
from probekit.metrics.curves import weighted_auc

LEVEL = 0.95
FEWEST_GROUPS = 10  # below this an interval would promise more than the groups hold
MAX_ELEMENTS = 2**22  # weights held at once

Interval = tuple[float, float]
UNDEFINED: Interval = (float("nan"), float("nan"))

Statistic = Callable[[Float[np.ndarray, "r n"]], Float[np.ndarray, " r"]]
"""Sample weights, one row a replicate → the statistic under each row; NaN where it is undefined."""


@dataclass(frozen=True)
class Resampling:
    """How often each group was drawn in each replicate: the same draws for every statistic of the samples."""

    counts: Int[np.ndarray, "r g"]
    members: Int[np.ndarray, " n"]
    """The group number of each sample."""

    def interval(self, statistic: Statistic) -> Interval:
        """Central 95 % of the statistic over the replicates; NaN with under 10 groups or no replicate."""
        if self.counts.shape[1] < FEWEST_GROUPS or len(self.counts) == 0:
            return UNDEFINED
        values = np.concatenate([statistic(weights) for weights in self._weights()])
        defined = values[np.isfinite(values)]
        if len(defined) == 0:
            return UNDEFINED
        low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        return float(low), float(high)

    def auc(self, labels: Labels, scores: Scores, folds: Int[np.ndarray, " n"] | None = None) -> Interval:
        """Interval of the tie-aware AUC within folds; NaN also when one class alone has fewer than 10 groups."""
        if min(len(np.unique(self.members[labels == label])) for label in (0, 1)) < FEWEST_GROUPS:
            return UNDEFINED
        return self.interval(lambda weights: weighted_auc(labels, scores, weights, folds))

    def mean(self, values: Float[np.ndarray, " n"]) -> Interval:
        """Interval of the mean of a value per sample, such as right or wrong."""
        return self.interval(lambda weights: _ratio(weights @ values, weights.sum(axis=1)))

    def class_mean(self, values: Float[np.ndarray, " n"], classes: Int[np.ndarray, " n"]) -> Interval:
        """Interval of the mean over classes of each class's mean: balanced accuracy when values say right."""
        members = (classes[:, None] == np.unique(classes)).astype(np.float64)  # (n, c)
        return self.interval(
            lambda weights: _ratio(weights @ (members * values[:, None]), weights @ members).mean(axis=1)
        )

    def _weights(self) -> Iterator[Float[np.ndarray, "r n"]]:
        at_once = max(1, MAX_ELEMENTS // max(1, len(self.members)))
        for start in range(0, len(self.counts), at_once):
            yield self.counts[start : start + at_once, self.members].astype(np.float64)


def resample(groups: Groups, replicates: int, seed: int) -> Resampling:
    """As many groups drawn with replacement as there are, `replicates` times.

    The draws depend on the names of the groups and the seed, not on the order of the samples.
    """
    names, members = np.unique(groups, return_inverse=True)
    count = len(names)
    if count == 0:
        return Resampling(np.zeros((0, 0), dtype=np.int64), members)
    draws = np.random.default_rng(seed).integers(count, size=(replicates, count))
    draws += count * np.arange(replicates)[:, None]  # a range of its own for each replicate: one bincount for all
    counts = np.bincount(draws.ravel(), minlength=replicates * count).reshape(replicates, count)
    return Resampling(counts, members)


def _ratio(above: Float[np.ndarray, "..."], below: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    ratio: Float[np.ndarray, "..."] = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return ratio
