"""Losses of linear probes: what they add to the gradient and to the Hessian, row by row."""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch

from probekit.arrays import Float


class Loss(ABC):
    """A convex loss of the logits; targets are 1 for the class of a column and 0 for others."""

    coupled: ClassVar[bool]
    """Whether the columns know each other; if not, each is a problem of its own."""
    probabilistic: ClassVar[bool]
    """Whether the logits at its minimum are those of probabilities."""

    @abstractmethod
    def slope(
        self, logits: Float[torch.Tensor, "p k n"], targets: Float[torch.Tensor, "#p k n"]
    ) -> Float[torch.Tensor, "p k n"]:
        """First derivative by each logit."""

    @abstractmethod
    def curvature(self, slope: Float[torch.Tensor, "p k n"]) -> Float[torch.Tensor, "p k n"]:
        """Second derivative by each logit alone, told from the first; 0 where that is 0."""


class LogLoss(Loss):
    """−log probability of the class: one column of log-odds, or a softmax over the columns."""

    coupled = True
    probabilistic = True

    def slope(
        self, logits: Float[torch.Tensor, "p k n"], targets: Float[torch.Tensor, "#p k n"]
    ) -> Float[torch.Tensor, "p k n"]:
        """Probability − target."""
        chances = logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)
        return chances.sub_(targets)

    def curvature(self, slope: Float[torch.Tensor, "p k n"]) -> Float[torch.Tensor, "p k n"]:
        """Probability · (1 − probability), whichever of the two the slope is."""
        size = slope.abs()
        return size.sub_(size * size)


class SquaredHinge(Loss):
    """max(0, 1 − y f)² with y = ±1, LIBLINEAR's default (Fan et al. 2008, JMLR 9); one class against the rest."""

    coupled = False
    probabilistic = False

    def slope(
        self, logits: Float[torch.Tensor, "p k n"], targets: Float[torch.Tensor, "#p k n"]
    ) -> Float[torch.Tensor, "p k n"]:
        """−2 y max(0, 1 − y f)."""
        signs = 2 * targets - 1
        return (1 - signs * logits).clamp_(min=0).mul_(signs).mul_(-2)

    def curvature(self, slope: Float[torch.Tensor, "p k n"]) -> Float[torch.Tensor, "p k n"]:
        """2 inside the margin, 0 outside."""
        return 2.0 * (slope != 0)
