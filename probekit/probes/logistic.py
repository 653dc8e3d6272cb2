"""Logistic regression, binary and multinomial, with an L2 penalty."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from probekit import probes
from probekit.probes.linear import LinearProbe

if TYPE_CHECKING:
    from probekit.probes.solver.losses import LogLoss


@probes.add("logistic")
@dataclass(frozen=True)
class LogisticProbe(LinearProbe):
    """Minimises `C * sum(log_loss) + |w|^2 / 2`, scikit-learn's objective, bias unpenalised."""

    probabilistic: ClassVar = True

    @classmethod
    def loss(cls) -> "LogLoss":
        """Log-loss: the gradient is max |Xᵀ(p − y)/n + w/(C n)|."""
        from probekit.probes.solver.losses import LogLoss

        return LogLoss()
