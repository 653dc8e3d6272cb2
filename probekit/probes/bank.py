"""The nearer of two banks, one of real and one of fake images (Ojha et al. 2023, UniversalFakeDetect)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int
from probekit.probes.neighbourhood import NeighbourClassifier, NeighbourProbe
from probekit.probes.similarity import mean_nearest, similarities


@probes.add("bank")
@dataclass(frozen=True)
class BankProbe(NeighbourProbe):
    """Compares the mean cosine similarity with the k nearest rows of each class: fakes less reals.

    It scales rows to length 1 by itself: after the condition `l2` it finds the same.
    """

    grid: ClassVar = (9, 5, 3, 1)
    criterion: ClassVar = "balanced_acc"

    k: int = 1
    """Rows of each class. Where the smallest class has fewer, as many as it has: a mean over more rows of another
    class would reach farther, and be lower for that alone."""

    def keep(
        self, classes: Int[np.ndarray, " c"], bank: Float[np.ndarray, "m d"], numbers: Int[np.ndarray, " m"]
    ) -> "BankClassifier":
        """The classifier of these rows."""
        return BankClassifier(classes, False, True, bank, numbers, min(int(self.k), int(np.bincount(numbers).min())))


@dataclass(frozen=True, eq=False)
class BankClassifier(NeighbourClassifier):
    """Mean similarity with the nearest rows of each class, −1 … 1; for two classes the second less the first."""

    def scores(self, features: Features, ks: Sequence[int]) -> Float[np.ndarray, "g n c"]:
        """Mean similarity with the k nearest rows of every class, for every k."""
        found = np.empty((len(ks), len(features), len(self.classes)))
        for number in range(len(self.classes)):
            for rows, similar in similarities(features, self.bank[self.numbers == number]):
                found[:, rows, number] = mean_nearest(similar, ks)
        return found

    def most(self) -> int:
        """As many rows as the smallest class has."""
        return int(np.bincount(self.numbers).min())
