"""A network with one hidden layer, trained on all rows at once so that neither their order nor a batch size matters."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Labels
from probekit.errors import ProbeError
from probekit.probes.classifier import Classifier, indicators, trainable_classes

if TYPE_CHECKING:
    import torch

MOMENTUM, SQUARES, EPSILON = 0.9, 0.999, 1e-8  # β₁, β₂, ε of Adam (Kingma & Ba 2015)


@probes.add("mlp")
@dataclass(frozen=True)
class MLPProbe(probes.Probe):
    """Lowers mean(log_loss) + weight_decay · (|W₁|² + |W₂|²) / 2 by Adam, for a fixed number of steps.

    Each step is on all rows, in float32, and its size falls from `learning_rate` to 0 along half a cosine: nothing is
    stopped early and no row is held out. Features are centred and divided by one number, their root mean square, so
    that their unit does not matter. W₁ starts as He et al. 2015 and W₂ at 0: no class is favoured.

    One seed on one machine gives one result, bit for bit; other thread counts and devices sum in another order, which
    moves decisions by about 1e-3 of their range.
    """

    parameter: ClassVar = "weight_decay"
    grid: ClassVar = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
    probabilistic: ClassVar = True

    weight_decay: float = 1e-3
    hidden: int = 256
    """ReLU units."""
    steps: int = 100
    learning_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if not (np.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise ProbeError(f"weight_decay is {self.weight_decay:g}: it must be a number from 0.")
        if not (np.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise ProbeError(f"learning_rate is {self.learning_rate:g}: it must be a positive number.")
        for name, least in {"hidden": 1, "steps": 1, "seed": 0}.items():
            value = getattr(self, name)
            if not (value >= least and float(value).is_integer()):
                raise ProbeError(f"{name} is {value:g}: it must be a whole number from {least}.")

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> "MLPClassifier":
        """The network after the last step; `converged` is always true: the number of steps is a setting.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        return self._train(features, labels, [self.weight_decay], device)[0]

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
        """Every weight decay of a division as one computation.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        decisions = []
        for division in divisions:
            rows = division.learned(len(labels))
            decays = [cls(weight_decay=value).weight_decay for value in grid]
            found = cls()._train(features[rows], labels[rows], decays, device)
            decisions.append(np.stack([one.decision_function(features[division.test]) for one in found]))
        return probes.Sweep(tuple(decisions), len(divisions) * len(grid), 0)

    def _train(self, features: Features, labels: Labels, decays: Sequence[float], device: str) -> list["MLPClassifier"]:
        """A network for every weight decay, all from one start."""
        import torch

        classes = trainable_classes(features, labels)
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        size = float(np.sqrt(np.mean(centred**2))) or 1.0
        x = torch.tensor(centred / size, dtype=torch.float32, device=device)
        y = torch.tensor(indicators(labels, classes).T, dtype=torch.float32, device=device)
        found = [part.cpu().double().numpy() for part in self._descend(x, y, decays)]
        networks = []
        for first, first_bias, second, second_bias in zip(*found, strict=True):
            weights = first / size
            networks.append(
                MLPClassifier(classes, True, True, weights, first_bias - mean @ weights, second, second_bias)
            )
        return networks

    def _descend(self, x: "torch.Tensor", y: "torch.Tensor", decays: Sequence[float]) -> list["torch.Tensor"]:
        """W₁ (g, d, h), b₁ (g, h), W₂ (g, h, k) and b₂ (g, k) after the last step."""
        d, g, h = x.shape[1], len(decays), int(self.hidden)
        start = np.random.default_rng(int(self.seed)).normal(size=(d, 1, h)) * np.sqrt(2 / d)
        first = x.new_tensor(start).repeat(1, g, 1)  # (d, g, h): one product with x for all networks
        second = x.new_zeros((g, h, y.shape[1]))
        parts = [first, x.new_zeros((g, h)), second, x.new_zeros((g, y.shape[1]))]
        decay = x.new_tensor(decays)[:, None]
        means = [part.new_zeros(part.shape) for part in parts]
        squares = [part.new_zeros(part.shape) for part in parts]
        for step in range(1, int(self.steps) + 1):
            rate = self.learning_rate * (1 + np.cos(np.pi * (step - 1) / self.steps)) / 2
            for part, slope, mean, square in zip(parts, _gradient(x, y, parts, decay), means, squares, strict=True):
                mean.lerp_(slope, 1 - MOMENTUM)
                square.mul_(SQUARES).addcmul_(slope, slope, value=1 - SQUARES)
                scale = (square / (1 - SQUARES**step)).sqrt_().add_(EPSILON)
                part.addcdiv_(mean, scale, value=-rate / (1 - MOMENTUM**step))
        return [first.transpose(0, 1), *parts[1:]]


def _gradient(
    x: "torch.Tensor", y: "torch.Tensor", parts: Sequence["torch.Tensor"], decay: "torch.Tensor"
) -> list["torch.Tensor"]:
    """Gradient of the objective in W₁, b₁, W₂ and b₂, for g networks at once."""
    import torch

    first, first_bias, second, second_bias = parts
    n, (d, g, h) = len(x), first.shape
    # a = max(x W₁ + b₁, 0),  z = a W₂ + b₂,  e = (p(z) − y)/n,  and back: ∂z = e,  ∂a = e W₂ᵀ where a > 0
    active = torch.addmm(first_bias.view(-1), x, first.view(d, -1)).clamp_(min=0).view(n, g, h)
    logits = torch.einsum("ngh,ghk->ngk", active, second) + second_bias
    chances = torch.sigmoid(logits) if y.shape[1] == 1 else torch.softmax(logits, dim=2)
    error = (chances - y[:, None]) / n
    back = torch.einsum("ngk,ghk->ngh", error, second).mul_(active > 0)
    return [
        (x.T @ back.reshape(n, -1)).view(d, g, h) + decay * first,
        back.sum(dim=0),
        torch.einsum("ngh,ngk->ghk", active, error) + decay[:, None] * second,
        error.sum(dim=0),
    ]


@dataclass(frozen=True, eq=False)
class MLPClassifier(Classifier):
    """Log-odds max(x W₁ + b₁, 0) W₂ + b₂ of the second of two classes, else logits."""

    hidden_weights: Float[np.ndarray, "d h"]
    hidden_bias: Float[np.ndarray, " h"]
    weights: Float[np.ndarray, "h k"]
    """k = 1 for two classes, else the number of classes."""
    bias: Float[np.ndarray, " k"]

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Log-odds of the second class (n,) for two classes, else logits (n, k)."""
        active = np.maximum(features @ self.hidden_weights + self.hidden_bias, 0.0)
        logits: Float[np.ndarray, "n k"] = active @ self.weights + self.bias
        return logits[:, 0] if len(self.classes) == 2 else logits
