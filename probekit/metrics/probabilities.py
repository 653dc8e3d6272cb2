"""Metrics of probabilities, computed from log-odds s of fake, where no probability rounds to 0 or 1 before its time.

With y = 1 for fakes and −1 for reals, a sample's probability of the wrong class is e = 1 / (1 + exp(y s)).
"""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Int, Labels, Scores
from probekit.metrics import add

BINS = 15  # Guo et al. 2017


@dataclass(frozen=True)
class Reliability:
    """What was predicted and what was true, in bins of equal width of the probability of fake."""

    edges: Float[np.ndarray, " b+1"]
    """Bin i holds edges[i] < p ≤ edges[i + 1]; the first also p = 0."""
    counts: Int[np.ndarray, " b"]
    predicted: Float[np.ndarray, " b"]
    """Mean probability of fake; NaN in an empty bin."""
    observed: Float[np.ndarray, " b"]
    """Share of fakes; NaN in an empty bin."""


@add("log_loss", of="log_odds", higher_is_better=False)
def log_loss(labels: Labels, log_odds: Scores) -> float:
    """Mean of −log (1 − e) = log (1 + exp(−y s)), in nats."""
    return _mean(np.logaddexp(0.0, -_towards_truth(labels, log_odds)))


@add("brier", of="log_odds", higher_is_better=False)
def brier(labels: Labels, log_odds: Scores) -> float:
    """Mean of e², between 0 and 1: Brier's score of one of two classes, as scikit-learn defines it."""
    return _mean(_share(-_towards_truth(labels, log_odds)) ** 2)


@add("ece", of="log_odds", higher_is_better=False)
def ece(labels: Labels, log_odds: Scores) -> float:
    """Expected calibration error: Σ over bins of n_bin / n · |mean probability of fake − share of fakes|.

    The bins are those of the probability of fake (Naeini et al. 2015), not of the confidence in the class called
    (Guo et al. 2017), which cannot tell a probe that is sure of reals from one that is sure of fakes.
    """
    if len(labels) == 0:
        return float("nan")
    found = reliability(labels, log_odds)
    full = found.counts > 0
    gaps = np.abs(found.predicted[full] - found.observed[full])
    return float(found.counts[full] @ gaps / len(labels))


def reliability(labels: Labels, log_odds: Scores, bins: int = BINS) -> Reliability:
    """The reliability diagram, as numbers."""
    edges, order = np.linspace(0.0, 1.0, bins + 1), np.argsort(log_odds)
    shares = _share(log_odds[order])
    numbers = np.searchsorted(edges[1:-1], shares, side="left")
    counts = np.bincount(numbers, minlength=bins)
    predicted, observed = np.full((2, bins), np.nan)
    for mean, values in ((predicted, shares), (observed, labels[order])):
        np.divide(np.bincount(numbers, weights=values, minlength=bins), counts, out=mean, where=counts > 0)
    return Reliability(edges, counts, predicted, observed)


def _towards_truth(labels: Labels, log_odds: Scores) -> Scores:
    """The log-odds y s of the true class."""
    towards: Scores = np.where(labels == 1, 1.0, -1.0) * log_odds
    return towards


def _share(log_odds: Scores) -> Scores:
    """1 / (1 + exp(−s)) without overflow."""
    small = np.exp(-np.abs(log_odds.astype(np.float64)))
    shares: Scores = np.where(log_odds >= 0, 1.0, small) / (1.0 + small)
    return shares


def _mean(values: Scores) -> float:
    return float(np.mean(np.sort(values))) if len(values) else float("nan")  # sorted: no order of samples changes it
