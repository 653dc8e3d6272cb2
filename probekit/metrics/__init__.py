"""Metrics of scores and of rankings, one file each, found by scanning this folder.

A metric of the binary task takes labels (1 fake) and margins: scores less their threshold, so that a sample
is called fake where its margin is positive. Metrics that need no decision do not change when all scores move
together. A metric that is undefined, because a class is missing, is NaN here and null in JSON.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from typing import TypeVar

from probekit.arrays import Labels, Scores
from probekit.fingerprint import JSONValue
from probekit.registry import Registry

K = TypeVar("K", bound=Hashable)

Metric = Callable[[Labels, Scores], float]
"""(labels, margins) → a number, NaN where it is undefined."""

_metrics = Registry[Metric]("metric", package=__name__, entry_points="probekit.metrics")

add = _metrics.add
get = _metrics.get
names = _metrics.names


def measure(labels: Labels, margins: Scores) -> dict[str, float]:
    """Every registered metric of the binary task, by name."""
    return {name: get(name)(labels, margins) for name in names()}


def json_row(row: Mapping[K, JSONValue]) -> dict[str, JSONValue]:
    """The row as JSON can hold it: null for NaN, and `x_lo` with `x_hi` as `x_ci`, null when undefined."""
    found = {str(name): _null_if_undefined(value) for name, value in row.items()}
    for name in [name.removesuffix("_lo") for name in found if name.endswith("_lo")]:
        low, high = found.pop(f"{name}_lo"), found.pop(f"{name}_hi")
        found[f"{name}_ci"] = None if low is None else [low, high]
    return found


def _null_if_undefined(value: JSONValue) -> JSONValue:
    return None if isinstance(value, float) and not math.isfinite(value) else value
