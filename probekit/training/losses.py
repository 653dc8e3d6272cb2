"""Losses of a batch.

ce          cross-entropy of the classifier's logits
supcon      `projections.supcon` of the projector's rows, scaled to length 1, τ = .1 (Khosla et al. 2020)
ce+supcon   the sum of both
triplet     `projections.triplet` of the same rows, α = .2 (Hermans et al. 2017)
"""

from typing import TYPE_CHECKING

from probekit.projections.supcon import SupCon, contrastive_loss
from probekit.projections.triplet import Triplet, batch_hard_loss
from probekit.training.mixing import Mixed
from probekit.training.settings import Loss

if TYPE_CHECKING:
    from torch import Tensor


def of(kind: Loss, logits: "Tensor | None", mixed: Mixed, projected: "Tensor | None", classes: "Tensor") -> "Tensor":
    """The loss of one batch, float32.

    Args:
        kind: which.
        logits: of the mixed rows (m, c), where there is a classifier.
        mixed: the classes that they stand for.
        projected: of the rows themselves (b, d), where there is a projector.
        classes: of the rows.
    """
    import torch

    total = torch.zeros((), device=classes.device)
    if logits is not None:
        total = total + cross_entropy(logits.float(), mixed)
    if projected is not None:
        rows = torch.nn.functional.normalize(projected.float(), dim=1)
        if kind == "triplet":
            total = total + batch_hard_loss(rows, classes, Triplet.margin)
        else:
            total = total + contrastive_loss(rows, classes, SupCon.temperature)
    return total


def cross_entropy(logits: "Tensor", mixed: Mixed) -> "Tensor":
    """Mean over rows of w CE(·, first) + (1 − w) CE(·, second)."""
    import torch

    each = torch.nn.functional.cross_entropy
    first, second = (each(logits, classes, reduction="none") for classes in (mixed.first, mixed.second))
    return (mixed.weight * first + (1 - mixed.weight) * second).mean()
