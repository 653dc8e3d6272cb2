"""Training a probe as a question does: condition, choice of C, fit, all from the training rows alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels, Mask
from probekit.errors import ProbeError
from probekit.fingerprint import JSONValue
from probekit.probes.classifier import LinearClassifier
from probekit.probes.conditions import Condition, fit_condition

GRID = tuple(np.logspace(-6, 5, 45).tolist())  # DINOv2's evaluation (Oquab et al. 2023)
PLATEAU = 1e-4  # losses this close, relatively, are equal: the smallest C among them is taken


@dataclass(frozen=True)
class Selection:
    """How C was chosen, to stand beside every number that the probe gives."""

    C: float
    by: str
    """`5-fold group cross-validation on train`, or `given`."""
    metric: str | None
    """`log-loss`, the mean over all held-out rows; None where C was given."""
    grid: tuple[float, ...]
    loss: float | None
    """The metric at the chosen C."""
    fits: int
    unconverged: int
    """How many of the fits on the grid had not converged when they were compared."""


@dataclass(frozen=True)
class TrainedProbe:
    """Raw features in, scores out, with the record of how it was made."""

    probe: str
    condition: Condition
    classifier: LinearClassifier
    selection: Selection

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Log-odds of the second class (n,) for two classes, else logits (n, k)."""
        return self.classifier.decision_function(self.condition.apply(features))

    def predict_proba(self, features: Features) -> Float[np.ndarray, "n c"]:
        """Probability of every class; rows sum to 1."""
        return self.classifier.predict_proba(self.condition.apply(features))

    def record(self) -> dict[str, JSONValue]:
        """How C was chosen and how well the fit converged, in JSON's own types; without the grid."""
        return {
            "C": self.selection.C,
            "by": self.selection.by,
            "loss": self.selection.loss,
            "fits": self.selection.fits,
            "unconverged_fits": self.selection.unconverged,
            "gradient": self.classifier.gradient,
            "iterations": self.classifier.iterations,
            "converged": self.classifier.converged,
        }


class Turn(Protocol):
    """What one probe learns from and what it scores."""

    @property
    def train(self) -> Mask:
        """Of all samples."""
        ...

    @property
    def folds(self) -> Int[np.ndarray, " m"]:
        """Of the training rows, for the choice of C; groups lie inside one fold."""
        ...

    @property
    def test(self) -> Mask:
        """Of all samples."""
        ...


def train_turns(
    features: Features,
    labels: Labels,
    turns: Sequence[Turn],
    *,
    probe: str,
    condition: str,
    widths: Sequence[int],
    C: float | None = None,
) -> tuple[list[TrainedProbe], Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]]:
    """A probe for every turn, and what it says of its test rows: log-odds or logits, NaN where no turn scores.

    Raises:
        ProbeError, UnknownNameError: as `train_probe`.
    """
    trained = [
        train_probe(
            features[turn.train],
            labels[turn.train],
            probe=probe,
            condition=condition,
            widths=widths,
            folds=turn.folds,
            C=C,
        )
        for turn in turns
    ]
    found = [one.decision_function(features[turn.test]) for one, turn in zip(trained, turns, strict=True)]
    decisions = np.full((len(labels), *found[0].shape[1:]), np.nan)
    for turn, values in zip(turns, found, strict=True):
        decisions[turn.test] = values
    return trained, decisions


def train_probe(
    features: Features,
    labels: Labels,
    *,
    probe: str,
    condition: str,
    widths: Sequence[int],
    folds: Int[np.ndarray, " n"],
    C: float | None = None,
    grid: Sequence[float] = GRID,
) -> TrainedProbe:
    """A probe fitted to these rows, with C from cross-validation over `folds` unless it is given.

    The condition is fitted once, to all rows given: within the cross-validation held-out rows share in column
    means and deviations (never labels), and no number that is reported comes from them.

    Args:
        features: raw features of the training rows.
        labels: class numbers.
        probe: a registered name.
        condition: a name in `CONDITIONS`.
        widths: columns of each block of the features.
        folds: a fold number for every row; groups must lie inside one fold.
        C: inverse regularisation strength; None chooses it.
        grid: the values of C to choose from.

    Raises:
        ProbeError: one class only, a feature that is not finite, or one fold and no C.
        UnknownNameError: there is no such probe or condition.
    """
    kind = probes.get(probe)
    fitted = fit_condition(condition, features, widths)
    conditioned = fitted.apply(features)
    if C is None:
        selection = select_C(kind, conditioned, labels, folds, grid)
    else:
        selection = Selection(C, "given", None, (C,), None, 0, 0)
    return TrainedProbe(probe, fitted, kind(C=selection.C).fit(conditioned, labels), selection)


def selection_record(trained: Mapping[str, Sequence[TrainedProbe]]) -> dict[str, JSONValue]:
    """The selection record of a run: what all probes share, and an entry for each of them.

    Args:
        trained: the probes of each training set by its name, one a partition.
    """
    every = [probe for probes_of in trained.values() for probe in probes_of]
    first = every[0]
    return {
        "by": "; ".join(dict.fromkeys(probe.selection.by for probe in every)),
        "metric": first.selection.metric,
        "grid": list(first.selection.grid),
        "condition": first.condition.name,
        "C": {name: [probe.selection.C for probe in probes_of] for name, probes_of in trained.items()},
        "converged": all(probe.classifier.converged for probe in every),
        "probes": [
            {"train": name, "part": part, **probe.record()}
            for name, probes_of in trained.items()
            for part, probe in enumerate(probes_of)
        ],
    }


def select_C(
    kind: type[probes.Probe],
    features: Features,
    labels: Labels,
    folds: Int[np.ndarray, " n"],
    grid: Sequence[float] = GRID,
) -> Selection:
    """The C of the grid with the lowest held-out log-loss; on a plateau the smallest.

    Raises:
        ProbeError: fewer than two folds, or a grid that is empty or not positive.
    """
    count = len(np.unique(folds))
    values = np.unique(np.asarray(grid, dtype=np.float64))
    if len(values) == 0 or not (np.isfinite(values).all() and values[0] > 0):
        raise ProbeError("the grid of C must hold positive numbers: the default is 45 values from 1e-6 to 1e5.")
    if count < 2:
        raise ProbeError(
            "C cannot be selected: all training samples are of one group, nothing can be held out. "
            "Give C, or samples of more groups."
        )
    sweep = kind.sweep(features, labels, folds, values)
    best = int(np.argmax(sweep.losses <= sweep.losses.min() * (1 + PLATEAU)))
    used = sweep.fits // len(values)
    by = f"{used}-fold group cross-validation on train"
    if used < count:
        by += f" ({count - used} of {count} folds left out: without them a class is missing)"
    return Selection(
        float(values[best]),
        by,
        "log-loss",
        tuple(values.tolist()),
        float(sweep.losses[best]),
        sweep.fits,
        sweep.unconverged,
    )
