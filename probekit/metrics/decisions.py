"""Metrics of decisions: a sample is called fake where its margin is positive."""

import numpy as np

from probekit.arrays import Labels, Mask, Scores
from probekit.metrics import add


@add("acc")
def acc(labels: Labels, margins: Scores) -> float:
    """Share of samples called right."""
    return _share(_right(labels, margins))


@add("real_acc")
def real_acc(labels: Labels, margins: Scores) -> float:
    """Share of real samples called real (TNR)."""
    return _share(_right(labels, margins)[labels == 0])


@add("fake_acc")
def fake_acc(labels: Labels, margins: Scores) -> float:
    """Share of fake samples called fake (TPR)."""
    return _share(_right(labels, margins)[labels == 1])


@add("balanced_acc")
def balanced_acc(labels: Labels, margins: Scores) -> float:
    """Mean of `real_acc` and `fake_acc`; undefined when either class is missing."""
    return (real_acc(labels, margins) + fake_acc(labels, margins)) / 2


def _right(labels: Labels, margins: Scores) -> Mask:
    right: Mask = (margins > 0) == (labels == 1)
    return right


def _share(right: Mask) -> float:
    return float(np.mean(right)) if len(right) else float("nan")
