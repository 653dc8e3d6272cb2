"""Intervals by bootstrap over groups: samples of one source photo are drawn together or not at all."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Groups, Int, Labels, Scores
from probekit.metrics.group_aucs import group_aucs

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
        return central(self.replicates(statistic))

    def replicates(self, statistic: Statistic) -> Float[np.ndarray, " r"]:
        """The statistic in every replicate, of which there is at least one."""
        return np.concatenate([statistic(weights) for weights in self._weights()])

    def auc(self, labels: Labels, scores: Scores, folds: Int[np.ndarray, " n"] | None = None) -> Interval:
        """Interval of the tie-aware AUC within folds; NaN also when one class alone has fewer than 10 groups."""
        return self.aucs(labels, scores[:, None], folds)[0]

    def aucs(
        self, labels: Labels, scores: Float[np.ndarray, "n k"], folds: Int[np.ndarray, " n"] | None = None
    ) -> list[Interval]:
        """`auc` of every column of scores, such as those of several training sets, under the same draws."""
        return [central(values) for values in self._replicates(labels, scores, folds)]

    def auc_difference(
        self, labels: Labels, a: Scores, b: Scores, folds: Int[np.ndarray, " n"] | None = None
    ) -> Interval:
        """Interval of AUC(a) − AUC(b), both under the same draws; NaN where either has no interval."""
        of_a, of_b = self._replicates(labels, np.stack([a, b], axis=1), folds)
        return central(of_a - of_b)

    def mean(self, values: Float[np.ndarray, " n"]) -> Interval:
        """Interval of the mean of a value per sample, such as right or wrong."""
        return self.interval(lambda weights: ratio(weights @ values, weights.sum(axis=1)))

    def class_mean(self, values: Float[np.ndarray, " n"], classes: Int[np.ndarray, " n"]) -> Interval:
        """Interval of the mean over classes of each class's mean: balanced accuracy when values say right."""
        members = (classes[:, None] == np.unique(classes)).astype(np.float64)  # (n, c)
        return self.interval(
            lambda weights: ratio(weights @ (members * values[:, None]), weights @ members).mean(axis=1)
        )

    def _replicates(
        self, labels: Labels, scores: Float[np.ndarray, "n k"], folds: Int[np.ndarray, " n"] | None
    ) -> Float[np.ndarray, "k r"]:
        """The AUC of every column in every replicate; all NaN when a class has fewer than 10 groups."""
        if min(len(np.unique(self.members[labels == label])) for label in (0, 1)) < FEWEST_GROUPS:
            return np.full((scores.shape[1], len(self.counts)), np.nan)
        return group_aucs(self.counts, self.members, labels, scores, folds)

    def _weights(self) -> Iterator[Float[np.ndarray, "r n"]]:
        at_once = max(1, MAX_ELEMENTS // max(1, len(self.members)))
        for start in range(0, len(self.counts), at_once):
            yield self.counts[start : start + at_once, self.members].astype(np.float64)


def resample(groups: Groups, replicates: int, seed: int) -> Resampling:
    """As many groups drawn with replacement as there are, `replicates` times.

    The draws depend on the names of the groups and the seed, not on the order of the samples.
    """
    names, members = np.unique(groups, return_inverse=True)
    count, generator = len(names), np.random.default_rng(seed)
    counts = np.zeros((replicates if count else 0, count), dtype=np.int16 if count < 2**15 else np.int32)
    at_once = max(1, MAX_ELEMENTS // max(1, count))
    for start in range(0, len(counts), at_once):
        block = counts[start : start + at_once]
        draws = generator.integers(count, size=block.shape)
        draws += count * np.arange(len(block))[:, None]  # a range of its own for each replicate: one bincount for all
        block[:] = np.bincount(draws.ravel(), minlength=block.size).reshape(block.shape)
    return Resampling(counts, members)


def central(values: Float[np.ndarray, " r"]) -> Interval:
    """The central 95 % of the values that are defined; NaN without any."""
    defined = values[np.isfinite(values)]
    if len(defined) == 0:
        return UNDEFINED
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def ratio(above: Float[np.ndarray, "..."], below: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Above / below, NaN where nothing is below."""
    found: Float[np.ndarray, "..."] = np.divide(above, below, out=np.full(np.shape(below), np.nan), where=below > 0)
    return found
