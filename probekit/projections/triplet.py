"""Triplet projection with the hardest examples of a batch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from probekit import projections
from probekit.errors import UsageError
from probekit.projections.descent import Descent

if TYPE_CHECKING:
    import torch

NEVER_ZERO = 1e-12  # under a root, whose slope at 0 has no bound


@projections.add("triplet")
@dataclass(frozen=True)
class Triplet(Descent):
    """Lowers the batch-hard loss of Hermans et al. 2017, In Defense of the Triplet Loss, eq. 5.

    L = mean over anchors i of max(0, α + max_p |zᵢ − z_p| − min_n |zᵢ − z_n|)

    p runs over the other rows of the anchor's class, n over rows of other classes; α and rows of length 1 are those of
    Schroff et al. 2015, FaceNet. A row without one of the two is no anchor.
    """

    kind: ClassVar[str] = "triplet"

    batch: int = 72
    """18 classes of 4 rows, as in the paper; fewer classes have more rows."""
    margin: float = 0.2
    """α."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.margin > 0:
            raise UsageError(f"margin is {self.margin:g}: it must be a positive number.")

    def loss(self, embedded: "torch.Tensor", classes: "torch.Tensor") -> "torch.Tensor":
        """L of one batch; 0 without any anchor."""
        return batch_hard_loss(embedded, classes, self.margin)


def batch_hard_loss(embedded: "torch.Tensor", classes: "torch.Tensor", margin: float) -> "torch.Tensor":
    """L of `Triplet` for rows (b, m) of length 1 and their class numbers (b,); 0 without any anchor."""
    import torch

    # rows of length 1: |a − b|² = 2 − 2 a·b
    distance = (2 - 2 * embedded @ embedded.T).clamp(min=NEVER_ZERO).sqrt()
    same = classes[:, None] == classes
    positive = same & ~torch.eye(len(embedded), dtype=torch.bool, device=embedded.device)
    anchors = positive.any(dim=1) & ~same.all(dim=1)
    farthest = distance.masked_fill(~positive, -torch.inf).amax(dim=1)
    nearest = distance.masked_fill(same, torch.inf).amin(dim=1)
    loss = (margin + farthest - nearest)[anchors].clamp(min=0)
    return loss.sum() / anchors.sum().clamp(min=1)
