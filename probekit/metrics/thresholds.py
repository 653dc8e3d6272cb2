"""Thresholds: rules that find one on validation samples, and what one costs on samples that it was not found on.

A sample is called fake where its score is above the threshold, so that samples of equal score are called alike.
"""

from collections.abc import Callable

import numpy as np

from probekit.arrays import Labels, Scores
from probekit.errors import ProbeError
from probekit.metrics.curves import cuts, eer_threshold, passing, reals_allowed, reals_needed
from probekit.registry import unknown_name

THRESHOLDS = {
    "0.5": "probability one half",
    "val-eer": "where FPR = FNR",
    "val-fpr5": "the lowest with FPR ≤ 5 %",
    "val-youden": "where TPR − FPR is largest",
}


def find_threshold(name: str, labels: Labels, scores: Scores) -> float:
    """The threshold that a rule of `THRESHOLDS` finds on these samples, in the units of the scores.

    `0.5` is 0 of log-odds, whatever the samples.

    Raises:
        UnknownNameError: there is no such rule.
        ProbeError: the samples lack a class, or enough real samples.
    """
    if name not in THRESHOLDS:
        raise unknown_name("threshold", name, THRESHOLDS)
    if name == "0.5":
        return 0.0
    for label, missing in enumerate(("real", "fake")):
        if not np.any(labels == label):
            raise ProbeError(f"threshold {name}: there are no {missing} samples to find it on. Add some, or use 0.5.")
    return _RULES[name](labels, np.asarray(scores, dtype=np.float64))


def threshold_transfer(labels: Labels, scores: Scores, threshold: float) -> dict[str, float]:
    """What a threshold brought from elsewhere gives here, beside the best that these samples would allow.

    Returns:
        balanced_acc, fpr and fnr at the threshold; the same, with the threshold itself, at the samples' own EER
        threshold (`oracle_eer_…`) and at their own largest balanced accuracy (`oracle_best_…`); and how much balanced
        accuracy is lost against each (`loss_to_eer`, `loss_to_best`; the latter is never negative). NaN where a class
        is missing, but for the error rate of the other.
    """
    wide = np.asarray(scores, dtype=np.float64)
    both = all(np.any(labels == label) for label in (0, 1))
    found = _errors(labels, wide, threshold)
    for name, rule in (("eer", eer_threshold), ("best", _youden)):
        own = rule(labels, wide) if both else float("nan")
        oracle = {"threshold": own, **_errors(labels, wide, own)}
        found |= {f"oracle_{name}_{key}": value if both else float("nan") for key, value in oracle.items()}
    for name in ("eer", "best"):
        found[f"loss_to_{name}"] = found[f"oracle_{name}_balanced_acc"] - found["balanced_acc"]
    return found


def _errors(labels: Labels, scores: Scores, threshold: float) -> dict[str, float]:
    called = scores > threshold
    fpr, tpr = (float(called[labels == label].mean()) if np.any(labels == label) else np.nan for label in (0, 1))
    return {"balanced_acc": (1 - fpr + tpr) / 2, "fpr": fpr, "fnr": 1 - tpr}


def _youden(labels: Labels, scores: Scores) -> float:
    """Where TPR − FPR (Youden 1950), and with it balanced accuracy, is largest.

    It lies in the middle between neighbouring scores, the highest where several do equally well; at the highest score
    of all, so that nothing is called fake, where no other does better.
    """
    fakes, reals, thresholds = passing(labels, scores)
    best = int(np.argmax(fakes * reals[-1] - reals * fakes[-1]))  # whole numbers, so that equals are equal
    return float(cuts(thresholds)[best])


def _fpr5(labels: Labels, scores: Scores) -> float:
    """The lowest threshold that at most 5 % of the real scores are above.

    With m = ⌊0.05 n⌋ of n allowed it is the (m+1)-th highest: a lower one is below m+1 of them, and a tie there stays
    real as a whole.
    """
    reals = np.sort(scores[labels == 0])
    if len(reals) < reals_needed(0.05):
        raise ProbeError(
            f"threshold val-fpr5: {len(reals)} real samples cannot resolve an FPR of 5 %, which takes "
            f"{reals_needed(0.05)}. Add some, or use val-eer."
        )
    return float(reals[-1 - reals_allowed(0.05, len(reals))])


_RULES: dict[str, Callable[[Labels, Scores], float]] = {
    "val-eer": eer_threshold,
    "val-fpr5": _fpr5,
    "val-youden": _youden,
}
