"""What the probes share that keep all training rows and go by the nearest of them."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels, unit_rows
from probekit.errors import ProbeError
from probekit.probes.classifier import Classifier, contrasts, trainable_classes


@dataclass(frozen=True, eq=False)
class NeighbourClassifier(Classifier):
    """Rows kept at length 1: inner products are cosines."""

    bank: Float[np.ndarray, "m d"]
    """Training rows of length 1, float32."""
    numbers: Int[np.ndarray, " m"]
    """Place of their class in `classes`."""
    k: int
    """Neighbours that count."""

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n c"]:
        """For two classes (n,), positive for the second; else one column a class (n, c)."""
        found: Float[np.ndarray, " n"] | Float[np.ndarray, "n c"] = self.decisions(features, [self.k])[0]
        return found

    def decisions(self, features: Features, ks: Sequence[int]) -> Float[np.ndarray, "g n"] | Float[np.ndarray, "g n c"]:
        """What `decision_function` gives, for every k, from one search."""
        found = contrasts(self.scores(features, ks))
        return found[..., 0] if len(self.classes) == 2 else found

    @abstractmethod
    def scores(self, features: Features, ks: Sequence[int]) -> Float[np.ndarray, "g n c"]:
        """A score for every class, for every k; for two classes their difference decides."""

    @abstractmethod
    def most(self) -> int:
        """The largest k that the bank has rows for."""


@dataclass(frozen=True)
class NeighbourProbe(probes.Probe):
    """Keeps the training rows, scaled to length 1 by itself: after the condition `l2` it finds the same."""

    parameter: ClassVar = "k"

    k: int = 1

    def __post_init__(self) -> None:
        if not (self.k >= 1 and float(self.k).is_integer()):
            raise ProbeError(f"k is {self.k:g}: the number of neighbours must be a whole number from 1.")

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> NeighbourClassifier:
        """The training rows, kept; its `k` is the number of neighbours that count.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        return self.keep(classes, unit_rows(features).astype(np.float32), np.searchsorted(classes, labels))

    @abstractmethod
    def keep(
        self, classes: Int[np.ndarray, " c"], bank: Float[np.ndarray, "m d"], numbers: Int[np.ndarray, " m"]
    ) -> NeighbourClassifier:
        """The classifier of these rows; a k that they are too few for is lowered."""

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
        ks = [int(cls(k=value).k) for value in grid]  # type: ignore[arg-type]  # whole numbers, or refused
        decisions = []
        for division in divisions:
            rows = division.learned(len(labels))
            found = cls().fit(features[rows], labels[rows])
            decisions.append(found.decisions(features[division.test], [min(k, found.most()) for k in ks]))
        return probes.Sweep(tuple(decisions), len(divisions) * len(grid), 0)
