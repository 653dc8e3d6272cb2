"""Probes: classifiers on frozen features, one file each, found by scanning this folder."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from probekit.arrays import Features, Float, Int, Labels
from probekit.probes.classifier import LinearClassifier
from probekit.registry import Registry


@dataclass(frozen=True)
class Sweep:
    """How a probe does on held-out rows for every C of a grid."""

    losses: Float[np.ndarray, " c"]
    """Mean log-loss in nats over all held-out rows, each scored by a probe that did not see its fold."""
    fits: int
    unconverged: int
    """Fits that stopped before their gradient came below the tolerance."""


@runtime_checkable
class Probe(Protocol):
    """Settings of a probe; `fit` returns a new, frozen classifier."""

    def __init__(self, *, C: float) -> None: ...

    def fit(self, features: Features, labels: Labels) -> LinearClassifier:
        """Train on one row a sample.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        ...

    @classmethod
    def sweep(
        cls, features: Features, labels: Labels, folds: Int[np.ndarray, " n"], grid: Float[np.ndarray, " c"]
    ) -> Sweep:
        """Hold out one fold after another for every C of the grid.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        ...


_probes = Registry[type[Probe]]("probe", package=__name__, entry_points="probekit.probes")

add = _probes.add
get = _probes.get
names = _probes.names
