"""Metrics of scores that came from several probes, each of which scored one fold."""

import math

import numpy as np

from probekit import metrics
from probekit.arrays import Int, Labels, Scores
from probekit.metrics.curves import weighted_auc

INCOMPARABLE = "no fold holds both real and fake samples, AUC, AP and EER are undefined: use fewer folds."


def measure_folds(labels: Labels, margins: Scores, folds: Int[np.ndarray, " n"]) -> dict[str, float]:
    """Every metric of the binary task, by name; of one fold, those of `metrics.measure`.

    The AUC compares only samples of the same fold, because the scores of different probes have no common zero:
    Σ pairs in order / Σ pairs, over folds. AP, EER and the accuracies pool the samples of all folds as they are:
    folds of equal class shares (`protocols.group_folds`) keep them near chance on mere noise, and centring the
    scores of each fold brings them no nearer. Where no fold holds both classes nothing can be compared, and
    AUC, AP and EER are NaN.
    """
    values = metrics.measure(labels, margins)
    values["auc"] = float(weighted_auc(labels, margins, np.ones((1, len(labels))), folds)[0])
    if math.isnan(values["auc"]):
        values |= {"ap": math.nan, "eer": math.nan}
    return values
