"""Linear support vector machine, one class against the rest."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from probekit import probes
from probekit.probes.linear import LinearProbe

if TYPE_CHECKING:
    from probekit.probes.solver.losses import SquaredHinge


@probes.add("svm")
@dataclass(frozen=True)
class SVMProbe(LinearProbe):
    """Minimises `C * sum(max(0, 1 - y f)^2) + |w|^2 / 2` with y = ±1, bias unpenalised; one column a class for more.

    The squared hinge is LIBLINEAR's default (Fan et al. 2008, JMLR 9); LIBLINEAR itself penalises the bias.
    """

    criterion: ClassVar = "squared_hinge"

    @classmethod
    def loss(cls) -> "SquaredHinge":
        """Squared hinge: the gradient is max |−2 Σ x y max(0, 1 − y f)/n + w/(C n)|."""
        from probekit.probes.solver.losses import SquaredHinge

        return SquaredHinge()
