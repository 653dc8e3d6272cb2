"""What a probe learns: something that scores features, and how well its fit converged."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, Int, Labels
from probekit.errors import ProbeError


@dataclass(frozen=True, eq=False)
class Classifier(ABC):
    """Scores features of the kind it was fitted to. Its fields are arrays and plain values, so that it can be saved."""

    classes: Int[np.ndarray, " c"]
    """Class numbers, ascending."""
    probabilistic: bool
    """Whether decisions are log-odds (logits) of probabilities; if not, only their order and sign mean something."""
    converged: bool
    """Whether the fit ended where it should; always so for a closed form."""

    @abstractmethod
    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """For two classes (n,), positive for the second; else one column a class (n, k), the highest wins."""

    def predict_proba(self, features: Features) -> Float[np.ndarray, "n c"]:
        """Probability of every class, in the order of `classes`; rows sum to 1."""
        return probabilities(self.decision_function(features))

    def predict(self, features: Features) -> Labels:
        """The class of every row; a tie goes to the earlier one."""
        decisions = self.decision_function(features)
        best = (decisions > 0).astype(np.int64) if decisions.ndim == 1 else decisions.argmax(axis=1)
        predicted: Labels = self.classes[best]
        return predicted


@dataclass(frozen=True, eq=False)
class LinearClassifier(Classifier):
    """Scores are affine in the features: one column for two classes, one column a class for more."""

    weights: Float[np.ndarray, "d k"]
    """k = 1 for two classes (positive means the second), else the number of classes."""
    bias: Float[np.ndarray, " k"]
    gradient: float = 0.0
    """The largest entry of the gradient where the fit stopped, over all weights and the bias; 0 for a closed form."""
    iterations: int = 0

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Log-odds of the second class (n,) for two classes, else logits (n, k)."""
        logits: Float[np.ndarray, "n k"] = features @ self.weights + self.bias
        return logits[:, 0] if len(self.classes) == 2 else logits


def probabilities(decisions: Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n c"]:
    """Softmax of logits (n, k), or of the log-odds (n,) of the second of two classes; rows sum to 1."""
    logits = np.stack([np.zeros_like(decisions), decisions], axis=1) if decisions.ndim == 1 else decisions
    odds: Float[np.ndarray, "n c"] = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds


def refuse_nonfinite(features: Features) -> None:
    """Nothing, where every feature is finite.

    Raises:
        ProbeError: one is not; the message names the first row.
    """
    finite = np.isfinite(features).all(axis=1)
    if not finite.all():
        raise ProbeError(
            f"{np.sum(~finite)} of {len(finite)} rows have a feature that is not finite, the first is row "
            f"{np.argmin(finite)}: leave these samples out or extract them again."
        )


def trainable_classes(features: Features, labels: Labels) -> Int[np.ndarray, " c"]:
    """The classes among the labels, ascending.

    Raises:
        ProbeError: one class only, or a feature that is not finite.
    """
    refuse_nonfinite(features)
    classes = np.unique(labels)
    require_two(classes)
    return classes


def require_two(classes: Int[np.ndarray, " c"]) -> None:
    """Nothing, where there are two classes or more.

    Raises:
        ProbeError: there are fewer.
    """
    if len(classes) < 2:
        only = f"only class {classes[0]}" if len(classes) else "no samples"
        raise ProbeError(f"a probe needs two classes to learn from, the training rows hold {only}: add the other.")


def require_positive(name: str, value: float) -> None:
    """Nothing, where a parameter is a positive number.

    Raises:
        ProbeError: it is not.
    """
    if not (np.isfinite(value) and value > 0):
        raise ProbeError(f"{name} is {value:g}: the inverse regularisation strength must be a positive number.")


def indicators(labels: Labels, classes: Int[np.ndarray, " c"]) -> Float[np.ndarray, "k n"]:
    """0/1 rows: one for the second of two classes, else one a class."""
    targets: Float[np.ndarray, "k n"] = (labels == classes[:, None]).astype(np.float64)
    return targets[1:] if len(classes) == 2 else targets


def contrasts(columns: Float[np.ndarray, "*m c"]) -> Float[np.ndarray, "*m k"]:
    """One column a class; for two classes only what the second has more than the first (k = 1)."""
    found: Float[np.ndarray, "*m k"] = np.diff(columns, axis=-1) if columns.shape[-1] == 2 else columns
    return found


def class_means(features: Features, labels: Labels, classes: Int[np.ndarray, " c"]) -> Float[np.ndarray, "c d"]:
    """Mean features of every class, float64."""
    return np.stack([features[labels == label].mean(axis=0, dtype=np.float64) for label in classes])
