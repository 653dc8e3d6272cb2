"""The nearest class mean."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier, class_means, contrasts, trainable_classes


@probes.add("prototype")
@dataclass(frozen=True)
class PrototypeProbe(probes.Probe):
    """Goes by the Euclidean distance to the mean of each class: one row a class is all that it keeps."""

    criterion: ClassVar = "balanced_acc"

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """Half of what the squared distance to the first mean exceeds that to the second; for more a column a class.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        means = class_means(features, labels, classes)
        # −|x − μ|²/2 = x·μ − |μ|²/2 − |x|²/2, and the last term is the same for every class. Distances stay when the
        # origin moves: from the middle of the means, μ = m + a, the products are small and lose the fewest digits.
        middle = means.mean(axis=0)
        arms = means - middle
        bias = -np.einsum("kd,kd->k", arms, arms) / 2 - arms @ middle
        return LinearClassifier(classes, False, True, contrasts(arms.T), contrasts(bias))
