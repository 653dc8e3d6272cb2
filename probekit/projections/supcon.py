"""Supervised contrastive projection."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from probekit import projections
from probekit.errors import UsageError
from probekit.projections.descent import Descent

if TYPE_CHECKING:
    import torch


@projections.add("supcon")
@dataclass(frozen=True)
class SupCon(Descent):
    """Lowers L_out of Khosla et al. 2020, Supervised Contrastive Learning, eq. 2.

    L = mean over anchors i of −1/|P(i)| Σ_{p ∈ P(i)} log( exp(zᵢ·z_p/τ) / Σ_{a ≠ i} exp(zᵢ·z_a/τ) )

    P(i) are the other rows of the anchor's class; a row that is alone in its class is no anchor.
    """

    kind: ClassVar[str] = "supcon"

    temperature: float = 0.1
    """τ, as in the paper."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.temperature > 0:
            raise UsageError(f"temperature is {self.temperature:g}: it must be a positive number.")

    def loss(self, embedded: "torch.Tensor", classes: "torch.Tensor") -> "torch.Tensor":
        """L of one batch; 0 without any anchor."""
        return contrastive_loss(embedded, classes, self.temperature)


def contrastive_loss(embedded: "torch.Tensor", classes: "torch.Tensor", temperature: float) -> "torch.Tensor":
    """L_out of `SupCon` for rows (b, m) of length 1 and their class numbers (b,); 0 without any anchor."""
    import torch

    # −1/|P| Σ_p log(…) = log Σ_{a ≠ i} exp(zᵢ·z_a/τ) − zᵢ·(S − zᵢ)/(τ |P|), S the sum of the rows of i's class
    count = classes.bincount()[classes] - 1
    sums = embedded.new_zeros((int(classes.max()) + 1, embedded.shape[1])).index_add(0, classes, embedded)
    alike = (embedded * (sums[classes] - embedded)).sum(dim=1) / count.clamp(min=1) / temperature
    itself = torch.eye(len(embedded), dtype=torch.bool, device=embedded.device)
    others = (embedded @ embedded.T / temperature).masked_fill(itself, -torch.inf).logsumexp(dim=1)
    anchors = count > 0
    return (others - alike)[anchors].sum() / anchors.sum().clamp(min=1)
