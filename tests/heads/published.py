"""Heads in the formats of their authors: torch modules of the same names and shapes, with random weights."""

from collections import OrderedDict
from itertools import pairwise

import torch
from torch import Tensor, nn


def _projection(widths: list[int]) -> nn.Sequential:
    """Dropout, then linear, ReLU and dropout for each layer: linear layers are numbers 1, 4, 7 …"""
    layers: list[nn.Module] = [nn.Dropout()]
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU(), nn.Dropout()]
    return nn.Sequential(*layers)


class RineModule(nn.Module):
    """RINE without CLIP, as its paper describes it: what the published checkpoints hold."""

    def __init__(self, depth: int, dimension: int, blocks: int = 24, width: int = 1024) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.randn(1, blocks, dimension))
        self.proj1 = _projection([width, *[dimension] * depth])
        self.proj2 = _projection([dimension] * (depth + 1))
        hidden = _projection([dimension] * 3)[1:]
        self.head = nn.Sequential(*hidden, nn.Linear(dimension, 1))
        for layer in (module for module in self.modules() if isinstance(module, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight)  # torch's own start shrinks what passes a dozen layers to nothing

    def forward(self, tokens: Tensor) -> Tensor:
        """Class tokens (n, blocks, width) → logits (n, 1)."""
        mixed = (self.alpha.softmax(dim=1) * self.proj1(tokens)).sum(dim=1)
        return self.head(self.proj2(mixed))


class GripModule(nn.Module):
    """A linear layer `fc` behind L2 normalisation; the backbone is no part of its state dictionary."""

    def __init__(self, outputs: int = 1, width: int = 1024) -> None:
        super().__init__()
        self.fc = nn.Linear(width, outputs)

    def forward(self, features: Tensor) -> Tensor:
        """(n, width) → (n,), two outputs as the second less the first."""
        out = self.fc(nn.functional.normalize(features, dim=-1))
        return out[:, 0] if out.shape[1] == 1 else out[:, 1] - out[:, 0]


def save_ufd(path, width: int = 768, seed: int = 0) -> nn.Linear:
    """A linear layer and its file, as `fc_weights.pth` is saved."""
    torch.manual_seed(seed)
    layer = nn.Linear(width, 1)
    torch.save(OrderedDict(layer.state_dict()), path)
    return layer


def save_grip(path, outputs: int = 1, seed: int = 0) -> GripModule:
    """The module and its training checkpoint, whose weights stand under `model`."""
    torch.manual_seed(seed)
    module = GripModule(outputs)
    torch.save({"model": module.state_dict(), "epoch": 3}, path)
    return module.eval()


def save_rine(path, depth: int = 2, dimension: int = 16, seed: int = 0, **changes: Tensor) -> RineModule:
    """The module and its trained part."""
    torch.manual_seed(seed)
    module = RineModule(depth, dimension)
    torch.save({**module.state_dict(), **changes}, path)
    return module.eval()
