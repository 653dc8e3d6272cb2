"""Logistic regression, binary and multinomial, with an L2 penalty."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier, require_positive


@probes.add("logistic")
@dataclass(frozen=True)
class LogisticProbe(probes.Probe):
    """Minimises `C * sum(log_loss) + |w|^2 / 2`, scikit-learn's objective, bias unpenalised."""

    parameter: ClassVar = "C"
    grid: ClassVar = probes.GRID
    probabilistic: ClassVar = True
    libraries: ClassVar = ("torch",)

    C: float = 1.0
    """Inverse regularisation strength."""
    tol: float = 1e-8
    """On max |Xᵀ(p − y)/n + w/(C n)|.

    It is small because on separable samples the gradient nearly vanishes far from the minimum."""
    max_iterations: int = 1000

    def __post_init__(self) -> None:
        require_positive("C", self.C)

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """The minimum, found in float64; `gradient`, `iterations` and `converged` say how well.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        from probekit.probes.solver import linear, losses

        return linear.fit(features, labels, losses.LogLoss(), self, device=device)

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
        from probekit.probes.solver import linear, losses

        return linear.sweep(features, labels, divisions, grid, losses.LogLoss(), cls, device=device)
