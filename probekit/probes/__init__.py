"""Probes: classifiers on frozen features, one file each, found by scanning this folder."""

from typing import Protocol

from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier
from probekit.registry import Registry


class Probe(Protocol):
    """Settings of a probe; `fit` returns a new, frozen classifier."""

    def fit(self, features: Features, labels: Labels) -> LinearClassifier:
        """Train on one row a sample.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        ...


_probes = Registry[type[Probe]]("probe", package=__name__, entry_points="probekit.probes")

add = _probes.add
get = _probes.get
names = _probes.names
