"""Metrics over all thresholds, tie-aware: samples with equal scores pass a threshold together."""

import math

import numpy as np

from probekit.arrays import Float, Int, Labels, Scores
from probekit.metrics import add


@add("auc", ranks=True)
def auc(labels: Labels, scores: Scores) -> float:
    """Probability that a fake scores above a real sample, ties counting half."""
    return float(weighted_auc(labels, scores, np.ones((1, len(labels))))[0])


@add("ap", ranks=True)
def ap(labels: Labels, scores: Scores) -> float:
    """Average precision: Σ (Rₖ − Rₖ₋₁) Pₖ over the distinct scores, as scikit-learn defines it."""
    if not _both(labels):
        return float("nan")
    fakes, reals, _ = passing(labels, scores)
    recall = fakes / fakes[-1]
    return float(np.sum(np.diff(recall) * fakes[1:] / (fakes[1:] + reals[1:])))


@add("eer", higher_is_better=False, ranks=True)
def eer(labels: Labels, scores: Scores) -> float:
    """Equal error rate: where FPR = FNR on the ROC curve, interpolated."""
    return _crossing(labels, scores)[0]


@add("tpr_at_fpr1", ranks=True)
def tpr_at_fpr1(labels: Labels, scores: Scores) -> float:
    """Largest TPR at an FPR of at most 1 %; undefined with fewer than 100 real samples."""
    return _tpr_at(0.01, labels, scores)


@add("tpr_at_fpr5", ranks=True)
def tpr_at_fpr5(labels: Labels, scores: Scores) -> float:
    """Largest TPR at an FPR of at most 5 %; undefined with fewer than 20 real samples."""
    return _tpr_at(0.05, labels, scores)


def reals_needed(fpr: float) -> int:
    """Real samples below which this FPR cannot be resolved: 1/n must be at most `fpr`."""
    return math.ceil(1 / fpr - 1e-9)


def reals_allowed(fpr: float, reals: int) -> int:
    """How many of these many real samples may be called fake at this FPR."""
    return math.floor(fpr * reals + 1e-9)


def eer_threshold(labels: Labels, scores: Scores) -> float:
    """The threshold where FPR = FNR, interpolated between neighbouring `cuts`; NaN when a class is missing."""
    return _crossing(labels, scores)[1]


def roc(
    labels: Labels, scores: Scores
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """False and true positive rates and thresholds, from (0, 0) at +∞ to (1, 1) at the lowest score.

    Both classes must be present.
    """
    fakes, reals, thresholds = passing(labels, scores)
    return reals / reals[-1], fakes / fakes[-1], thresholds


def passing(
    labels: Labels, scores: Scores
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """Fakes and reals at or above each threshold; thresholds fall from +∞ over the distinct scores."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # the last sample of each run of ties
    fakes = np.cumsum(labels[order] == 1)[last]
    thresholds = ordered[last].astype(np.float64)
    return np.append(0.0, fakes), np.append(0.0, last + 1 - fakes), np.append(np.inf, thresholds)


def weighted_auc(
    labels: Labels, scores: Scores, weights: Float[np.ndarray, "r n"], folds: Int[np.ndarray, " n"] | None = None
) -> Float[np.ndarray, " r"]:
    """AUC under each row of sample weights; NaN where there is no pair to compare.

    AUC = Σ_fake w (W_real below + W_real equal / 2) / (W_fake W_real), with W a sum of weights. With folds, only
    samples of the same fold are compared: both sides of the fraction are sums over folds.
    """
    wins, pairs = np.zeros((2, len(weights)))
    numbers = np.zeros(len(labels), dtype=np.int64) if folds is None else folds
    for fold in np.unique(numbers):
        own = numbers == fold
        won, compared = _wins(labels[own], scores[own], weights[:, own])
        wins += won
        pairs += compared
    areas: Float[np.ndarray, " r"] = np.divide(wins, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
    return areas


def weighted_eer(labels: Labels, scores: Scores, weights: Float[np.ndarray, "r n"]) -> Float[np.ndarray, " r"]:
    """`eer` under each row of sample weights; NaN where a class has none."""
    order = np.argsort(-scores, kind="stable")
    ordered, fake = scores[order], labels[order] == 1
    last = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))  # the last sample of each run of ties
    found = np.full(len(weights), np.nan)
    for number, row in enumerate(weights[:, order]):
        fakes, reals = np.cumsum(row * fake)[last], np.cumsum(row * ~fake)[last]
        if fakes[-1] > 0 and reals[-1] > 0:
            fpr, tpr = np.append(0.0, reals / reals[-1]), np.append(0.0, fakes / fakes[-1])
            found[number] = _between(fpr, *_where_equal(fpr, tpr))
    return found


def _wins(
    labels: Labels, scores: Scores, weights: Float[np.ndarray, "r n"]
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """Weight of the pairs whose fake scores higher, ties counting half, and of all pairs of a fake and a real."""
    real = labels == 0
    order = np.argsort(scores[real], kind="stable")
    sorted_reals = scores[real][order]
    below = np.searchsorted(sorted_reals, scores[~real], side="left")
    up_to = np.searchsorted(sorted_reals, scores[~real], side="right")
    real_weights = weights[:, real][:, order]
    cumulated = np.hstack([np.zeros((len(weights), 1)), np.cumsum(real_weights, axis=1)])
    fake_weights = weights[:, ~real]
    wins: Float[np.ndarray, " r"] = np.sum(fake_weights * (cumulated[:, below] + cumulated[:, up_to]), axis=1) / 2
    return wins, fake_weights.sum(axis=1) * cumulated[:, -1]


def cuts(thresholds: Float[np.ndarray, " t"]) -> Float[np.ndarray, " t"]:
    """What samples must score above to be those that pass each of the thresholds of `passing`.

    It is the middle between neighbouring scores; at the ends, which have no neighbour, the highest and lowest score.
    """
    levels = thresholds[1:]
    upper, lower = levels[:-1], levels[1:]
    middle = upper / 2 + lower / 2
    inside = np.where((lower <= middle) & (middle < upper), middle, lower)  # rounding must not lift it to the upper one
    return np.concatenate([levels[:1], inside, levels[-1:]])


def _tpr_at(fpr: float, labels: Labels, scores: Scores) -> float:
    """Largest TPR among the thresholds whose FPR is at most this, the one above all scores included."""
    if not _both(labels) or np.sum(labels == 0) < reals_needed(fpr):
        return float("nan")
    fakes, reals, _ = passing(labels, scores)
    return float(fakes[reals <= reals_allowed(fpr, int(reals[-1]))].max() / fakes[-1])


def _crossing(labels: Labels, scores: Scores) -> tuple[float, float]:
    """Rate and score where FPR − FNR, which rises from −1 to 1, is 0, on straight lines between points."""
    if not _both(labels):
        return float("nan"), float("nan")
    fpr, tpr, thresholds = roc(labels, scores)
    right, share = _where_equal(fpr, tpr)
    upper, lower = cuts(thresholds)[[right - 1, right]]
    return _between(fpr, right, share), float((1 - share) * upper + share * lower)


def _where_equal(fpr: Float[np.ndarray, " t"], tpr: Float[np.ndarray, " t"]) -> tuple[int, float]:
    """The first point where FPR − FNR is 0 or above, and how far along the line to it it is 0."""
    excess = fpr + tpr - 1.0
    right = int(np.argmax(excess >= 0))
    return right, float(-excess[right - 1] / (excess[right] - excess[right - 1]))


def _between(values: Float[np.ndarray, " t"], right: int, share: float) -> float:
    """The value so far along the line to the point `right`."""
    return float(values[right - 1] + share * (values[right] - values[right - 1]))


def _both(labels: Labels) -> bool:
    return bool(np.any(labels == 0) and np.any(labels == 1))
