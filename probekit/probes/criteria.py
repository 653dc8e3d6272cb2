"""Criteria: what a parameter, a condition or a tap is chosen by, computed on held-out rows of the training side.

Each is a loss, lower is better, of decisions as `Classifier.decision_function` gives them.
"""

from collections.abc import Callable, Mapping

import numpy as np

from probekit import metrics
from probekit.arrays import Float, Int
from probekit.errors import ProbeError
from probekit.probes.classifier import indicators

Decisions = Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]

Criterion = Callable[[Int[np.ndarray, " n"], Decisions], float]
"""(class numbers 0…k−1, decisions) → loss; NaN where it is undefined."""


def log_losses(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> Float[np.ndarray, " n"]:
    """−log probability of each row's own class, in nats."""
    losses: Float[np.ndarray, " n"]
    if decisions.ndim == 1:
        losses = np.logaddexp(0.0, np.where(numbers == 1, -decisions, decisions).astype(np.float64))
    else:
        logits = decisions.astype(np.float64)
        losses = np.logaddexp.reduce(logits, axis=1) - logits[np.arange(len(logits)), numbers]
    return losses


def log_loss(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> float:
    """Mean negative log-likelihood in nats."""
    return float(log_losses(numbers, decisions).mean())


def squared_error(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> float:
    """Mean squared distance from targets ±1, over classes too where there are more than two."""
    columns, signs = _columns(numbers, decisions)
    return float(np.mean((columns - signs) ** 2))


def squared_hinge(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> float:
    """Mean of max(0, 1 − y f)² with y = ±1, over classes too where there are more than two."""
    columns, signs = _columns(numbers, decisions)
    return float(np.mean(np.maximum(0.0, 1 - signs * columns) ** 2))


def auc(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> float:
    """1 − AUC of two classes.

    Raises:
        ProbeError: there are more than two.
    """
    if decisions.ndim == 2:
        raise ProbeError("auc compares two classes: choose by log_loss, acc or balanced_acc.")
    return 1 - metrics.get("auc")(numbers, decisions)


def acc(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> float:
    """Share of rows called wrong."""
    return float(np.mean(_called(decisions) != numbers))


def balanced_acc(numbers: Int[np.ndarray, " n"], decisions: Decisions) -> float:
    """1 − mean recall of the classes that are there."""
    wrong = _called(decisions) != numbers
    return float(np.mean([wrong[numbers == number].mean() for number in np.unique(numbers)]))


CRITERIA: Mapping[str, Criterion] = {
    "log_loss": log_loss,
    "squared_error": squared_error,
    "squared_hinge": squared_hinge,
    "auc": auc,
    "acc": acc,
    "balanced_acc": balanced_acc,
}


def _columns(
    numbers: Int[np.ndarray, " n"], decisions: Decisions
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """Decisions, one column for two classes and else one a class, and their targets ±1."""
    columns = decisions.reshape(len(decisions), -1)
    return columns, 2 * indicators(numbers, np.arange(max(2, columns.shape[1]))).T - 1


def _called(decisions: Decisions) -> Int[np.ndarray, " n"]:
    called: Int[np.ndarray, " n"] = decisions.argmax(axis=1) if decisions.ndim == 2 else (decisions > 0).astype(int)
    return called
