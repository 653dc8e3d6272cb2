"""The weighted vote of the nearest training rows, as DINOv2 is evaluated (Oquab et al. 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int
from probekit.errors import ProbeError
from probekit.probes.neighbourhood import NeighbourClassifier, NeighbourProbe
from probekit.probes.similarity import similarities, votes


@probes.add("knn")
@dataclass(frozen=True)
class KNNProbe(NeighbourProbe):
    """Lets the k nearest rows by cosine vote, each with weight exp(similarity / temperature).

    It scales rows to length 1 by itself: after the condition `l2` it finds the same. A class has the probability
    (k · its share of the vote + 1/c) / (k + 1), as if one more neighbour had voted for all c classes alike: the order
    of DINOv2's scores, and never less than 1 / (c (k + 1)) for a class without a vote. Rows that tie for the last
    places share them.
    """

    grid: ClassVar = (200, 100, 50, 20, 10, 5, 3, 1)
    probabilistic: ClassVar = True

    k: int = 20
    """How many vote; all training rows where they are fewer."""
    temperature: float = 0.07

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ProbeError(f"temperature is {self.temperature:g}: it must be a positive number.")

    def keep(
        self, classes: Int[np.ndarray, " c"], bank: Float[np.ndarray, "m d"], numbers: Int[np.ndarray, " m"]
    ) -> "KNNClassifier":
        """The classifier of these rows; all of them vote where there are fewer than k."""
        return KNNClassifier(classes, True, True, bank, numbers, min(int(self.k), len(bank)), self.temperature)


@dataclass(frozen=True, eq=False)
class KNNClassifier(NeighbourClassifier):
    """The log-odds of the vote; for more than two classes the log-probability of each."""

    temperature: float

    def scores(self, features: Features, ks: Sequence[int]) -> Float[np.ndarray, "g n c"]:
        """Log-probabilities, for every k."""
        count = len(self.classes)
        found = np.empty((len(ks), len(features), count))
        for rows, similar in similarities(features, self.bank):
            found[:, rows] = votes(similar, self.numbers, count, ks, self.temperature)
        k = np.asarray(ks)[:, None, None]
        scores: Float[np.ndarray, "g n c"] = np.log((k * found + 1 / count) / (k + 1))
        return scores

    def most(self) -> int:
        """All rows can vote."""
        return len(self.bank)
