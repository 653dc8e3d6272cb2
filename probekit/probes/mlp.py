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
    libraries: ClassVar = ("torch",)

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
        import torch

        classes = trainable_classes(features, labels)
        mean = features.mean(axis=0, dtype=np.float64)
        centred = features - mean
        size = float(np.sqrt(np.mean(centred**2))) or 1.0
        x = torch.tensor(centred / size, dtype=torch.float32, device=device)
        y = torch.tensor(indicators(labels, classes).T, dtype=torch.float32, device=device)
        first, first_bias, second, second_bias = (part.cpu().double().numpy() for part in self._descend(x, y))
        weights = first / size
        return MLPClassifier(classes, True, True, weights, first_bias - mean @ weights, second, second_bias)

    def _descend(self, x: "torch.Tensor", y: "torch.Tensor") -> list["torch.Tensor"]:
        """W₁ (d, h), b₁ (h,), W₂ (h, k) and b₂ (k,) after the last step."""
        d, h, k = x.shape[1], int(self.hidden), y.shape[1]
        start = np.random.default_rng(int(self.seed)).normal(size=(d, h)) * np.sqrt(2 / d)
        parts = [x.new_tensor(start), x.new_zeros(h), x.new_zeros((h, k)), x.new_zeros(k)]
        means = [part.new_zeros(part.shape) for part in parts]
        squares = [part.new_zeros(part.shape) for part in parts]
        for step in range(1, int(self.steps) + 1):
            rate = self.learning_rate * (1 + np.cos(np.pi * (step - 1) / self.steps)) / 2
            for part, slope, mean, square in zip(
                parts, _gradient(x, y, parts, self.weight_decay), means, squares, strict=True
            ):
                mean.lerp_(slope, 1 - MOMENTUM)
                square.mul_(SQUARES).addcmul_(slope, slope, value=1 - SQUARES)
                scale = (square / (1 - SQUARES**step)).sqrt_().add_(EPSILON)
                part.addcdiv_(mean, scale, value=-rate / (1 - MOMENTUM**step))
        return parts


def _gradient(
    x: "torch.Tensor", y: "torch.Tensor", parts: Sequence["torch.Tensor"], decay: float
) -> list["torch.Tensor"]:
    """Gradient of the objective in W₁, b₁, W₂ and b₂."""
    import torch

    first, first_bias, second, second_bias = parts
    # a = max(x W₁ + b₁, 0),  z = a W₂ + b₂,  e = (p(z) − y)/n,  and back: ∂z = e,  ∂a = e W₂ᵀ where a > 0
    active = torch.addmm(first_bias, x, first).clamp_(min=0)  # (n, h)
    logits = torch.addmm(second_bias, active, second)  # (n, k)
    chances = torch.sigmoid(logits) if y.shape[1] == 1 else torch.softmax(logits, dim=1)
    error = (chances - y) / len(x)
    back = (error @ second.T).mul_(active > 0)
    return [x.T @ back + decay * first, back.sum(dim=0), active.T @ error + decay * second, error.sum(dim=0)]


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
