"""Metrics of scores and of rankings, one file each, found by scanning this folder.

A metric of the binary task takes labels (1 fake) and either margins or log-odds. Margins are scores less their
threshold, so that a sample is called fake where its margin is positive; metrics that need no decision do not change
when all margins move together. Log-odds of fake are what a probability is made of: such metrics exist only for probes
whose scores mean one. A metric that is undefined, because a class is missing, is NaN here and null in JSON.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from probekit.arrays import Int, Labels, Scores
from probekit.fingerprint import JSONValue
from probekit.registry import Registry

K = TypeVar("K", bound=Hashable)

INCOMPARABLE = (
    "no fold holds both real and fake samples, AUC, AP, EER and TPR at a given FPR are undefined: use fewer folds."
)

Compute = Callable[[Labels, Scores], float]
"""(labels, margins or log-odds) → a number, NaN where it is undefined."""


@dataclass(frozen=True)
class Metric:
    """A registered metric: what computes it, from what, and which way is better."""

    compute: Compute
    of: Literal["margins", "log_odds"] = "margins"
    higher_is_better: bool = True
    ranks: bool = False
    """It compares reals with fakes, so that there must be samples of both whose scores can be compared."""

    def __call__(self, labels: Labels, values: Scores) -> float:
        """The metric of these samples."""
        return self.compute(labels, values)


_metrics = Registry[Metric]("metric", package=__name__, entry_points="probekit.metrics")

get = _metrics.get
names = _metrics.names


def add(
    name: str, *, of: Literal["margins", "log_odds"] = "margins", higher_is_better: bool = True, ranks: bool = False
) -> Callable[[Compute], Compute]:
    """Register the function below as a metric; the arguments are the fields of `Metric`."""

    def register(compute: Compute) -> Compute:
        _metrics.add(name)(Metric(compute, of, higher_is_better, ranks))
        return compute

    return register


def higher_is_better(name: str) -> bool:
    """Whether a selection takes the largest value of this metric; else the smallest.

    Raises:
        UnknownNameError: there is no such metric.
    """
    return get(name).higher_is_better


def measure(
    labels: Labels,
    log_odds: Scores,
    thresholds: Scores | float = 0.0,
    folds: Int[np.ndarray, " n"] | None = None,
    *,
    probabilistic: bool = True,
) -> dict[str, float]:
    """Every registered metric of the binary task, by name.

    With folds, the scores came from several probes, each of which scored one fold. The AUC then compares only samples
    of the same fold, because the scores of different probes have no common zero: Σ pairs in order / Σ pairs, over
    folds. Everything else pools the samples of all folds as they are: folds of equal class shares
    (`protocols.group_folds`) keep AP, EER and TPR near chance on mere noise, and centring the scores of each fold
    brings them no nearer. Where no fold holds both classes nothing can be compared, and they and the AUC are NaN.

    Args:
        labels: 1 for fake.
        log_odds: of fake; any scores that are higher for fakes where not `probabilistic`.
        thresholds: a sample is called fake above its threshold.
        folds: the number of the probe that scored a sample.
        probabilistic: whether the scores mean probabilities; metrics of log-odds are NaN where they do not.
    """
    from probekit.metrics.curves import weighted_auc  # here: its metrics are registered with this module

    margins: Scores = log_odds.astype(np.float64) - thresholds  # in float32 a threshold would be rounded
    values = {}
    for name in names():
        metric = get(name)
        if metric.of == "margins":
            values[name] = metric(labels, margins)
        else:
            values[name] = metric(labels, log_odds) if probabilistic else math.nan
    if folds is not None:
        values["auc"] = float(weighted_auc(labels, margins, np.ones((1, len(labels))), folds)[0])
        if math.isnan(values["auc"]):
            values |= {name: math.nan for name in names() if get(name).ranks}
    return values


def json_row(row: Mapping[K, JSONValue]) -> dict[str, JSONValue]:
    """The row as JSON can hold it: null for NaN, and `x_lo` with `x_hi` as `x_ci`, null when undefined."""
    found = {str(name): _null_if_undefined(value) for name, value in row.items()}
    for name in [name.removesuffix("_lo") for name in found if name.endswith("_lo")]:
        low, high = found.pop(f"{name}_lo"), found.pop(f"{name}_hi")
        found[f"{name}_ci"] = None if low is None else [low, high]
    return found


def _null_if_undefined(value: JSONValue) -> JSONValue:
    return None if isinstance(value, float) and not math.isfinite(value) else value
