"""What a linear probe learns: a matrix, a bias, and how well its fit converged."""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, Int, Labels


@dataclass(frozen=True)
class LinearClassifier:
    """Scores are affine in the features: one column for two classes, one column a class for more."""

    weights: Float[np.ndarray, "d k"]
    """k = 1 for two classes (positive means the second), else the number of classes."""
    bias: Float[np.ndarray, " k"]
    classes: Int[np.ndarray, " c"]
    gradient: float
    """max |Xᵀ(p − y)/n + w/(C n)| where the fit stopped, over all weights and the bias."""
    iterations: int
    converged: bool
    """Whether the gradient came below the probe's tolerance."""

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Log-odds of the second class (n,) for two classes, else logits (n, k)."""
        logits = self._logits(features)
        return logits[:, 0] if len(self.classes) == 2 else logits

    def predict_proba(self, features: Features) -> Float[np.ndarray, "n c"]:
        """Probability of every class, in the order of `classes`; rows sum to 1."""
        return probabilities(self.decision_function(features))

    def predict(self, features: Features) -> Labels:
        """The most probable class of every row; a tie goes to the earlier class."""
        predicted: Labels = self.classes[self.predict_proba(features).argmax(axis=1)]
        return predicted

    def _logits(self, features: Features) -> Float[np.ndarray, "n k"]:
        logits: Float[np.ndarray, "n k"] = features @ self.weights + self.bias
        return logits


def probabilities(decisions: Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n c"]:
    """Softmax of logits (n, k), or of the log-odds (n,) of the second of two classes; rows sum to 1."""
    logits = np.stack([np.zeros_like(decisions), decisions], axis=1) if decisions.ndim == 1 else decisions
    odds: Float[np.ndarray, "n c"] = np.exp(logits - logits.max(axis=1, keepdims=True))
    odds /= odds.sum(axis=1, keepdims=True)
    return odds
