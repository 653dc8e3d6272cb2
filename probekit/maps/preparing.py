"""Condition and principal components, of new samples as of old ones."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.maps.settings import MapSettings
from probekit.probes.conditions import fit_condition
from probekit.protocols import require_finite


@dataclass(frozen=True, eq=False)
class Prepared:
    """Features as a layout takes them, and how others are brought into the same space."""

    conditioned: Features
    """Float64, what the quality of a map is measured in."""
    components: Features
    """Coordinates along the axes of largest variance, what a layout is made of."""
    explained: float
    """Share of the variance that the components keep."""
    _condition: Callable[[Features], Features]
    _reduce: Callable[[Features], Features]

    def apply(self, features: FeatureSet) -> tuple[Features, Features]:
        """Other samples, conditioned and along the same axes, with nothing fitted to them.

        Raises:
            ModelError: a feature is not finite.
        """
        require_finite(features.samples, features.blocks)
        conditioned = self._condition(features.matrix)
        return conditioned, self._reduce(conditioned)


def prepare(features: FeatureSet, settings: MapSettings) -> Prepared:
    """These features, conditioned and reduced by PCA.

    Raises:
        UsageError: features that are all equal.
        ModelError: a feature is not finite.
        UnknownNameError: there is no such condition.
    """
    from sklearn.decomposition import PCA

    require_finite(features.samples, features.blocks)
    matrix = features.matrix
    condition = fit_condition(settings.condition, matrix, features.widths)
    conditioned = condition.apply(matrix)
    if np.ptp(conditioned, axis=0).max(initial=0.0) == 0:
        raise UsageError(
            f"all {len(matrix)} samples have the same features under the condition {settings.condition}: "
            "there is nothing to map."
        )
    pca = PCA(min(settings.pca, *conditioned.shape), svd_solver="auto", random_state=settings.seed)
    components = pca.fit_transform(conditioned)
    explained = float(pca.explained_variance_ratio_.sum())
    return Prepared(conditioned, components, explained, condition.apply, pca.transform)
