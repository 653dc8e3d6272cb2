"""Metrics of scores and of rankings, one file each, found by scanning this folder.

A metric of the binary task takes labels (1 fake) and margins: scores less their threshold, so that a sample is called
fake where its margin is positive. Metrics that need no decision do not change when all scores move together. A metric
that is undefined, because a class is missing, is NaN here and null in JSON.
"""

import math
from collections.abc import Callable

from probekit.arrays import Labels, Scores
from probekit.registry import Registry

Metric = Callable[[Labels, Scores], float]
"""(labels, margins) → a number, NaN where it is undefined."""

_metrics = Registry[Metric]("metric", package=__name__, entry_points="probekit.metrics")

add = _metrics.add
get = _metrics.get
names = _metrics.names


def measure(labels: Labels, margins: Scores) -> dict[str, float]:
    """Every registered metric of the binary task, by name."""
    return {name: get(name)(labels, margins) for name in names()}


def null_if_undefined(value: float) -> float | None:
    """The number as JSON can hold it: None for NaN and infinities."""
    return float(value) if math.isfinite(value) else None
