"""Logistic regression, binary and multinomial, with an L2 penalty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.errors import ProbeError
from probekit.probes.classifier import LinearClassifier, indicators, trainable_classes
from probekit.probes.solver import rotate, solve

SWEEP_TOL = 1e-5  # enough to choose C; the chosen fit is then made to `LogisticProbe.tol`
SWEEP_ITERATIONS = 300


@probes.add("logistic")
@dataclass(frozen=True)
class LogisticProbe(probes.Probe):
    """Minimises `C * sum(log_loss) + |w|^2 / 2`, scikit-learn's objective, bias unpenalised."""

    parameter: ClassVar = "C"
    grid: ClassVar = probes.GRID
    probabilistic: ClassVar = True

    C: float = 1.0
    """Inverse regularisation strength."""
    tol: float = 1e-8
    """On max |Xᵀ(p − y)/n + w/(C n)|.

    It is small because on separable samples the gradient nearly vanishes far from the minimum."""
    max_iterations: int = 1000

    def __post_init__(self) -> None:
        if not (np.isfinite(self.C) and self.C > 0):
            raise ProbeError(f"C is {self.C:g}: the inverse regularisation strength must be a positive number.")

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """The minimum, found in float64; `gradient`, `iterations` and `converged` say how well.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        space = rotate(features)
        rows = np.ones((1, len(labels)), dtype=bool)
        found = solve(
            space,
            indicators(labels, classes),
            rows,
            np.array([self.C]),
            tol=self.tol,
            max_iterations=self.max_iterations,
        )
        weights = space.original(found.theta[0])  # (k, d)
        bias = found.theta[0, :, -1] - weights @ space.mean
        gradient = float(found.gradient[0])
        return LinearClassifier(
            classes, True, gradient <= self.tol, weights.T, bias, gradient, int(found.iterations[0])
        )

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
        """Every C on every division as one computation, in float32.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        rows = np.repeat([division.learned(len(labels)) for division in divisions], len(grid), axis=0)
        space = rotate(features).astype(np.float32)
        C = np.tile(np.asarray(grid, np.float64), len(divisions))
        found = solve(space, indicators(labels, classes), rows, C, tol=SWEEP_TOL, max_iterations=SWEEP_ITERATIONS)
        decisions = []
        for number, division in enumerate(divisions):
            theta = found.theta[number * len(grid) : (number + 1) * len(grid)]
            logits = theta @ space.coordinates[division.test].T  # (g, k, t)
            decisions.append(logits[:, 0] if len(classes) == 2 else logits.transpose(0, 2, 1))
        return probes.Sweep(tuple(decisions), len(C), int(np.sum(found.gradient > SWEEP_TOL)))
