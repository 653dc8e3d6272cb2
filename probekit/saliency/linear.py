"""Linear scores: a fitted probe as one weight vector for each class, and what a token adds to its score.

Every condition but its normalisation of rows is affine and folds into the weights. With u the normalised row
(raw, zscore, whiten: u = x; l2: u = x/‖x‖; layernorm: u = (x − x̄)/σ(x)), shift m, rotation R and scales s,

    score = ((u − m) R / s) · w + b = u · g + c        g = R (w/s),  c = b − m · g

If x is the mean of tokens z_p, then u is the mean of z_p, of z_p/‖x‖, or of (z_p − z̄_p)/σ(x): the norm and the
deviation are those of x, and known. So the score is a mean over tokens plus a bias, under every condition:

    score = mean_p share(z_p) + c

A projection x ↦ (x − a) P behind the condition is affine, too: w becomes P w, b becomes b − a · P w. One that scales
projected rows to length 1 is not, and is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, unit_rows
from probekit.errors import ProbeError
from probekit.probes.calibration import Calibration
from probekit.probes.classifier import Classifier, LinearClassifier
from probekit.probes.conditions import Condition, deviations

EXACT = ("raw", "zscore", "whiten", "l2", "layernorm")
"""Conditions that fold."""

Vector = Float[np.ndarray, " d"]


@dataclass(frozen=True, eq=False)
class LinearScore:
    """u · `weights` + `bias`, u being the normalised raw features."""

    condition: str
    weights: Vector
    bias: float

    def values(self, features: Features) -> Float[np.ndarray, " n"]:
        """The score of every row of raw features."""
        scores: Float[np.ndarray, " n"] = self._normalised(features.astype(np.float64)) @ self.weights + self.bias
        return scores

    def gradient(self, x: Vector) -> Vector:
        """∂ score / ∂ x at one row of raw features.

        l2: (g − u (u·g))/‖x‖.  layernorm: (g − ḡ − u mean(u g))/σ.
        """
        g = self.weights
        if self.condition not in ("l2", "layernorm"):
            return g
        u, scale = self._normalised(x[None])[0], self._scale(x)
        across: Vector = u * (u @ g) if self.condition == "l2" else g.mean() + u * (u @ g) / len(x)
        slope: Vector = (g - across) / scale
        return slope

    def shares(self, tokens: Float[np.ndarray, "p d"], x: Vector) -> Float[np.ndarray, " p"]:
        """What each token adds to the score of their mean x: `mean(shares) + bias` is that score."""
        tokens = tokens.astype(np.float64)
        if self.condition == "layernorm":
            tokens = tokens - tokens.mean(axis=1, keepdims=True)
        found: Float[np.ndarray, " p"] = tokens @ self.weights / self._scale(x)
        return found

    def _normalised(self, x: Features) -> Features:
        if self.condition == "l2":
            return unit_rows(x)
        if self.condition == "layernorm":
            normal: Features = (x - x.mean(axis=1, keepdims=True)) / deviations(x)
            return normal
        return x

    def _scale(self, x: Vector) -> float:
        """What the row is divided by."""
        if self.condition == "l2":
            return float(np.linalg.norm(x)) or 1.0
        return float(deviations(x[None])[0, 0]) if self.condition == "layernorm" else 1.0


@dataclass(frozen=True, eq=False)
class ProbeScore:
    """The scores of one probe that a map can be made of."""

    classes: tuple[LinearScore, ...]
    """Of a binary probe one: log-odds of fake. Of attribution one a class: its logit less the mean of all logits, which
    orders classes as the logits do and, like probabilities, does not move when all of them rise together."""
    names: tuple[str, ...]
    """What each of them speaks for: `fake`, or the classes."""
    of: int | None = None
    """The class that is explained; None for the predicted one."""

    def chosen(self, x: Vector) -> int:
        """The number of the class that is explained of an image with these features."""
        return self.predicted(x) if self.of is None else self.of

    def predicted(self, x: Vector) -> int:
        """The number of the class with the highest score; a tie goes to the earlier one."""
        return int(np.argmax([score.values(x[None])[0] for score in self.classes]))


def fold(
    condition: Condition,
    classifier: Classifier,
    calibration: Calibration | None,
    names: Sequence[str],
    probe: str,
    of: int | None = None,
) -> ProbeScore:
    """The scores of a fitted probe.

    Args:
        condition: of one block of features.
        classifier: linear.
        calibration: slope and offset of its decisions, if any.
        names: of the classes, `real` first.
        probe: its name, for the error.
        of: number of the class that is explained; None for the predicted one.

    Raises:
        ProbeError: the probe is not linear, or its condition or projection cannot be folded.
    """
    if not isinstance(classifier, LinearClassifier):
        raise ProbeError(
            f"probe {probe} is not linear: nothing says where it looks. Train logistic, svm, ridge or lda."
        )
    if condition.name not in EXACT or len(condition.widths) > 1:
        raise ProbeError(
            f"condition {condition.name!r} of {len(condition.widths)} blocks cannot be folded into weights: train on "
            f"one kind of features under {', '.join(EXACT)}."
        )
    columns, biases = _before_projection(condition, classifier)
    columns = columns / condition.scale[:, None]  # (m, k)
    if condition.rotation is not None:
        columns = condition.rotation[:, : len(columns)] @ columns
    biases = biases - condition.shift @ columns
    if calibration is not None:
        columns, biases = calibration.slope * columns, calibration.slope * biases + calibration.offset
    if len(names) > 2:
        columns, biases = columns - columns.mean(axis=1, keepdims=True), biases - biases.mean()
    scores = tuple(
        LinearScore(condition.name, column, float(bias)) for column, bias in zip(columns.T, biases, strict=True)
    )
    return ProbeScore(scores, tuple(names[1:]) if len(names) == 2 else tuple(names), of)


def _before_projection(
    condition: Condition, classifier: LinearClassifier
) -> tuple[Float[np.ndarray, "m k"], Float[np.ndarray, " k"]]:
    """Weights and biases for conditioned rows that are not projected yet.

    Raises:
        ProbeError: projected rows are scaled to length 1.
    """
    projection = condition.projection
    if projection is None:
        return classifier.weights, classifier.bias
    if condition.unit:
        kind = projection.record["kind"]
        raise ProbeError(
            f"projection {kind} scales rows to length 1, which no weights can do: train with --project lda or whiten, "
            "or without one."
        )
    weights: Float[np.ndarray, "m k"] = projection.weights @ classifier.weights
    return weights, classifier.bias - projection.shift @ weights
