"""The nearer of two banks, one of real and one of fake images (Ojha et al. 2023, UniversalFakeDetect)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels, unit_rows
from probekit.probes.classifier import Classifier, contrasts, trainable_classes
from probekit.probes.knn import refuse_uncountable
from probekit.probes.similarity import mean_nearest, similarities


@probes.add("bank")
@dataclass(frozen=True)
class BankProbe(probes.Probe):
    """Compares the mean cosine similarity with the k nearest rows of each class: fakes less reals.

    It scales rows to length 1 by itself: after the condition `l2` it finds the same.
    """

    parameter: ClassVar = "k"
    grid: ClassVar = (9, 5, 3, 1)
    criterion: ClassVar = "balanced_acc"

    k: int = 1
    """Rows of each class; as many as the smallest class has where that is fewer: means over more would be lower."""

    def __post_init__(self) -> None:
        refuse_uncountable(self.k)

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> "BankClassifier":
        """The training rows, kept; its `k` is the number of rows that count.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        bank, numbers = unit_rows(features).astype(np.float32), np.searchsorted(classes, labels)
        return BankClassifier(classes, False, True, bank, numbers, min(int(self.k), _smallest(numbers)))

    @classmethod
    def sweep(
        cls,
        features: Features,
        labels: Labels,
        divisions: Sequence[probes.Division],
        grid: Sequence[float],
        *,
        device: str = "cpu",
    ) -> probes.Sweep:
        """Every k from one search a division.

        Raises:
            ProbeError: one class only, a feature that is not finite, or a k that is not a count.
        """
        decisions = []
        for division in divisions:
            rows = division.learned(len(labels))
            found = cls().fit(features[rows], labels[rows])
            ks = [min(int(cls(k=value).k), _smallest(found.numbers)) for value in grid]
            decisions.append(found.decisions(features[division.test], ks))
        return probes.Sweep(tuple(decisions), len(divisions) * len(grid), 0)


@dataclass(frozen=True, eq=False)
class BankClassifier(Classifier):
    """Mean similarity with the nearest rows of each class; for two classes the second less the first."""

    bank: Float[np.ndarray, "m d"]
    """Training rows of length 1, float32."""
    numbers: Int[np.ndarray, " m"]
    """Place of their class in `classes`."""
    k: int

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n c"]:
        """Nearness to the second class rather than the first, −2 … 2; else to every class (n, c), −1 … 1."""
        return self.decisions(features, [self.k])[0]

    def decisions(self, features: Features, ks: Sequence[int]) -> Float[np.ndarray, "g n"] | Float[np.ndarray, "g n c"]:
        """What `decision_function` gives, for every k."""
        found = np.empty((len(ks), len(features), len(self.classes)))
        for number in range(len(self.classes)):
            for rows, similar in similarities(features, self.bank[self.numbers == number]):
                found[:, rows, number] = mean_nearest(similar, ks)
        found = contrasts(found)
        return found[..., 0] if len(self.classes) == 2 else found


def _smallest(numbers: Int[np.ndarray, " m"]) -> int:
    return int(np.bincount(numbers).min())
