"""Logistic regression, binary and multinomial, with an L2 penalty."""

from dataclasses import dataclass

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels
from probekit.errors import ProbeError
from probekit.probes.classifier import LinearClassifier
from probekit.probes.solver import log_loss, rotate, solve

SWEEP_TOL = 1e-5  # enough to choose C; the chosen fit is then made to `LogisticProbe.tol`
SWEEP_ITERATIONS = 300


@probes.add("logistic")
@dataclass(frozen=True)
class LogisticProbe:
    """Minimises `C * sum(log_loss) + |w|^2 / 2`, scikit-learn's objective, bias unpenalised."""

    C: float = 1.0
    """Inverse regularisation strength."""
    tol: float = 1e-8
    """On max |Xᵀ(p − y)/n + w/(C n)|.

    It is small because on separable samples the gradient nearly vanishes far from the minimum."""
    max_iterations: int = 1000

    def __post_init__(self) -> None:
        if not (np.isfinite(self.C) and self.C > 0):
            raise ProbeError(f"C is {self.C:g}: the inverse regularisation strength must be a positive number.")

    def fit(self, features: Features, labels: Labels) -> LinearClassifier:
        """The minimum, found in float64; `gradient`, `iterations` and `converged` say how well.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes, targets = _targets(features, labels)
        space = rotate(features)
        rows = np.ones((1, len(labels)), dtype=bool)
        found = solve(space, targets, rows, np.array([self.C]), tol=self.tol, max_iterations=self.max_iterations)
        weights = space.original(found.theta[0])  # (k, d)
        bias = found.theta[0, :, -1] - weights @ space.mean
        gradient = float(found.gradient[0])
        return LinearClassifier(weights.T, bias, classes, gradient, int(found.iterations[0]), gradient <= self.tol)

    @classmethod
    def sweep(
        cls, features: Features, labels: Labels, folds: Int[np.ndarray, " n"], grid: Float[np.ndarray, " c"]
    ) -> probes.Sweep:
        """Every C on every fold as one computation, in float32.

        A fold without which a class is missing is left out.

        Raises:
            ProbeError: one class only, a feature that is not finite, or no fold that can be held out.
        """
        classes, targets = _targets(features, labels)
        held_out = [fold for fold in np.unique(folds) if len(np.unique(labels[folds != fold])) == len(classes)]
        if not held_out:
            raise ProbeError(
                "C cannot be selected: whichever groups are held out, a class is missing from the rest. "
                "Give C, or samples of more groups."
            )
        rows = np.repeat([folds != fold for fold in held_out], len(grid), axis=0)
        space = rotate(features).astype(np.float32)
        C = np.tile(grid, len(held_out))
        found = solve(space, targets, rows, C, tol=SWEEP_TOL, max_iterations=SWEEP_ITERATIONS)
        losses = np.zeros(len(grid))
        for i, fold in enumerate(held_out):
            out = folds == fold
            theta = found.theta[i * len(grid) : (i + 1) * len(grid)]
            losses += log_loss(theta @ space.coordinates[out].T, targets[:, out]).sum(axis=1)
        count = np.isin(folds, held_out).sum()
        return probes.Sweep(losses / count, len(C), int(np.sum(found.gradient > SWEEP_TOL)))


def _targets(features: Features, labels: Labels) -> tuple[Int[np.ndarray, " c"], Float[np.ndarray, "k n"]]:
    """The classes, and 0/1 rows: one for the second of two classes, else one a class."""
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ProbeError(
            f"{np.sum(~finite)} of {len(finite)} rows have a feature that is not finite, the first is row "
            f"{np.argmin(finite)}: leave these samples out or extract them again."
        )
    classes = np.unique(labels)
    if len(classes) < 2:
        only = f"only class {classes[0]}" if len(classes) else "no samples"
        raise ProbeError(f"a probe needs two classes to learn from, the training rows hold {only}: add the other.")
    targets = (labels == classes[:, None]).astype(np.float64)
    return classes, targets[1:] if len(classes) == 2 else targets
