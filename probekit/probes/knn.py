"""The weighted vote of the nearest training rows, as DINOv2 is evaluated (Oquab et al. 2023)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels, unit_rows
from probekit.errors import ProbeError
from probekit.probes.classifier import Classifier, contrasts, trainable_classes
from probekit.probes.similarity import similarities, votes


@probes.add("knn")
@dataclass(frozen=True)
class KNNProbe(probes.Probe):
    """Lets the k nearest rows by cosine vote, each with weight exp(similarity / temperature).

    It scales rows to length 1 by itself: after the condition `l2` it finds the same. A class has the probability
    (k · its share of the vote + 1/c) / (k + 1), as if one more neighbour had voted for all c classes alike: the order
    of DINOv2's scores, and never less than 1 / (c (k + 1)) for a class without a vote. Rows that tie for the last
    places share them.
    """

    parameter: ClassVar = "k"
    grid: ClassVar = (200, 100, 50, 20, 10, 5, 3, 1)
    probabilistic: ClassVar = True

    k: int = 20
    """How many vote; all training rows where they are fewer."""
    temperature: float = 0.07

    def __post_init__(self) -> None:
        refuse_uncountable(self.k)
        if not (np.isfinite(self.temperature) and self.temperature > 0):
            raise ProbeError(f"temperature is {self.temperature:g}: it must be a positive number.")

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> "KNNClassifier":
        """The training rows, kept; its `k` is the number of rows that vote.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        bank, numbers = unit_rows(features).astype(np.float32), np.searchsorted(classes, labels)
        return KNNClassifier(classes, True, True, bank, numbers, min(int(self.k), len(bank)), self.temperature)

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
            ks = [min(int(cls(k=value).k), len(found.bank)) for value in grid]
            decisions.append(found.decisions(features[division.test], ks))
        return probes.Sweep(tuple(decisions), len(divisions) * len(grid), 0)


@dataclass(frozen=True, eq=False)
class KNNClassifier(Classifier):
    """The log-odds of the vote; for more than two classes the log-probability of each."""

    bank: Float[np.ndarray, "m d"]
    """Training rows of length 1, float32."""
    numbers: Int[np.ndarray, " m"]
    """Place of their class in `classes`."""
    k: int
    temperature: float

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n c"]:
        """Log-odds of the second class (n,) for two classes, else log-probabilities (n, c)."""
        return self.decisions(features, [self.k])[0]

    def decisions(self, features: Features, ks: Sequence[int]) -> Float[np.ndarray, "g n"] | Float[np.ndarray, "g n c"]:
        """What `decision_function` gives, for every k."""
        found = np.empty((len(ks), len(features), len(self.classes)))
        for rows, similar in similarities(features, self.bank):
            found[:, rows] = votes(similar, self.numbers, len(self.classes), ks, self.temperature)
        count = np.asarray(ks)[:, None, None]
        logs = contrasts(np.log((count * found + 1 / len(self.classes)) / (count + 1)))
        return logs[..., 0] if len(self.classes) == 2 else logs


def refuse_uncountable(k: float) -> None:
    """Nothing, where k is a whole number from 1.

    Raises:
        ProbeError: it is not.
    """
    if not (k >= 1 and float(k).is_integer()):
        raise ProbeError(f"k is {k:g}: the number of neighbours must be a whole number from 1.")
