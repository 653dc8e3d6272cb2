"""What the probes share that the batched solver fits: a loss, a C, and a sweep as one computation."""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier, require_positive

if TYPE_CHECKING:
    from probekit.probes.solver.losses import Loss


@dataclass(frozen=True)
class LinearProbe(probes.Probe):
    """Minimises `C * sum(loss) + |w|^2 / 2`, bias unpenalised."""

    parameter: ClassVar = "C"
    grid: ClassVar = probes.GRID
    libraries: ClassVar = ("torch",)

    C: float = 1.0
    """Inverse regularisation strength."""
    tol: float = 1e-8
    """On the largest entry of the gradient over C n, n rows: max |Σ x loss'/n + w/(C n)|.

    It is small because on separable samples the gradient nearly vanishes far from the minimum."""
    max_iterations: int = 1000

    def __post_init__(self) -> None:
        require_positive("C", self.C)

    @classmethod
    @abstractmethod
    def loss(cls) -> "Loss":
        """What is summed over the rows."""

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """The minimum, found in float64; `gradient`, `iterations` and `converged` say how well.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        from probekit.probes.solver import linear

        return linear.fit(features, labels, self, device=device)

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
        """Every C on every division (and class, where the loss keeps them apart) as one computation, in float32.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        from probekit.probes.solver import linear

        return linear.sweep(features, labels, divisions, grid, cls, device=device)
