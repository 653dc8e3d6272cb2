"""Linear support vector machine, one class against the rest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier, require_positive


@probes.add("svm")
@dataclass(frozen=True)
class SVMProbe(probes.Probe):
    """Minimises `C * sum(max(0, 1 - y f)^2) + |w|^2 / 2` with y = ±1, bias unpenalised; one column a class for more.

    The squared hinge is LIBLINEAR's default (Fan et al. 2008, JMLR 9); LIBLINEAR itself penalises the bias.
    """

    parameter: ClassVar = "C"
    grid: ClassVar = probes.GRID
    criterion: ClassVar = "squared_hinge"
    libraries: ClassVar = ("torch",)

    C: float = 1.0
    """Inverse regularisation strength."""
    tol: float = 1e-8
    """On max |−2 Σ x y max(0, 1 − y f)/n + w/(C n)|."""
    max_iterations: int = 1000

    def __post_init__(self) -> None:
        require_positive("C", self.C)

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """The minimum, found in float64; `gradient`, `iterations` and `converged` say how well.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        from probekit.probes.solver import linear, losses

        return linear.fit(features, labels, losses.SquaredHinge(), self, device=device)

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
        """Every C on every division and class as one computation, in float32.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        from probekit.probes.solver import linear, losses

        return linear.sweep(features, labels, divisions, grid, losses.SquaredHinge(), cls, device=device)
