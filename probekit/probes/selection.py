"""Selection: which condition and which value of its parameter a probe gets, chosen on held-out rows."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels, Mask
from probekit.errors import ProbeError
from probekit.fingerprint import JSONValue
from probekit.probes.classifier import Classifier
from probekit.probes.conditions import CONDITIONS, Condition, Makers, fit_condition, fit_projected
from probekit.probes.criteria import CRITERIA, Decisions
from probekit.projections import Projection
from probekit.registry import unknown_name

PLATEAU = 1e-4  # losses this close, relatively, are equal: the most regularised among them is taken
DEFAULT = "the probe's default"
ORACLE = "ORACLE"  # begins the words of a choice on test samples
AXES_FITS = 5  # principal axes are found so many times, however many single groups are held out
BEST = "best"
"""A condition that is none: all of them are tried."""


@dataclass(frozen=True)
class Selection:
    """How a probe's choices were made, to stand beside every number that it gives."""

    parameter: str | None
    """`C`, `k` …; None for a probe that has nothing to choose."""
    value: float | None
    condition: str
    by: str
    """`5-fold group cross-validation on train`, or `given`."""
    metric: str | None
    """What the choice was made by, a name in `probes.criteria`; None where everything was given."""
    grid: tuple[float, ...]
    loss: float | None
    """The criterion at the choice; lower is better."""
    fits: int
    unconverged: int
    """How many of the fits on the grid had not converged when they were compared."""

    @property
    def default(self) -> bool:
        """Whether the probe's own value was taken, because there was nothing to choose on."""
        return self.by.startswith(DEFAULT)

    @property
    def oracle(self) -> bool:
        """Whether the choice was made on test samples."""
        return self.by.startswith(ORACLE)

    def record(self) -> dict[str, JSONValue]:
        """The choice in JSON's own types, without the grid."""
        return {
            **({self.parameter: self.value} if self.parameter else {}),
            "condition": self.condition,
            "by": self.by,
            "loss": self.loss,
            "fits": self.fits,
            "unconverged_fits": self.unconverged,
        }


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What probes of the chosen kind say of rows that they did not learn from."""

    rows: Int[np.ndarray, " h"]
    """Positions among the rows that choices may look at; a row may be held out more than once."""
    decisions: Decisions


@dataclass(frozen=True, eq=False)
class Selected:
    """A choice that was made, and what else came of making it."""

    selection: Selection
    held_out: HeldOut
    fit: Callable[[], tuple[Condition, Classifier]] | None
    """The chosen condition and classifier of all rows that choices looked at, where that is quicker than anew."""


@dataclass(frozen=True)
class Choice:
    """What is to be chosen, and from what."""

    probe: str
    condition: str
    """A name in `CONDITIONS`, or `best`."""
    value: float | None = None
    """Of the probe's parameter; None chooses it."""
    criterion: str | None = None
    """A name in `CRITERIA`; None takes the probe's own."""
    grid: tuple[float, ...] | None = None
    """None takes the probe's own."""
    projection: Projection | None = None
    """Of the conditioned features; it is not chosen, and learned anew wherever a condition is fitted."""

    def __post_init__(self) -> None:
        if self.criterion is not None and self.criterion not in CRITERIA:
            raise unknown_name("criterion", self.criterion, CRITERIA)
        if self.condition != BEST and self.condition not in CONDITIONS:
            raise unknown_name("condition", self.condition, [*CONDITIONS, BEST])
        probes.get(self.probe)

    @property
    def kind(self) -> type[probes.Probe]:
        """The probe."""
        return probes.get(self.probe)

    @property
    def conditions(self) -> tuple[str, ...]:
        """The conditions to try."""
        return tuple(CONDITIONS) if self.condition == BEST else (self.condition,)

    @property
    def values(self) -> tuple[float, ...]:
        """The values to try, the most regularised first.

        Raises:
            ProbeError: a grid that is empty or not positive.
        """
        if self.value is not None:
            return (self.value,)
        if self.kind.parameter is None:
            return (float("nan"),)
        if self.grid is None:
            return self.kind.grid
        if not self.grid or not all(np.isfinite(value) and value > 0 for value in self.grid):
            raise ProbeError(f"the grid of {self.kind.parameter} must hold positive numbers.")
        falling = self.kind.grid[0] > self.kind.grid[-1]
        return tuple(sorted(set(self.grid), reverse=falling))

    @property
    def measure(self) -> str:
        """The criterion that values are compared by."""
        return self.criterion or self.kind.criterion

    @property
    def libraries(self) -> tuple[str, ...]:
        """Heavy modules that a fit imports."""
        return self.kind.libraries + (self.projection.libraries if self.projection else ())

    @property
    def open(self) -> bool:
        """Whether anything is left to choose."""
        return len(self.values) > 1 or len(self.conditions) > 1


@dataclass(frozen=True, eq=False)
class _Tried:
    condition: str
    fitted: Condition | None
    """To all rows that may be learned from; None where it was fitted without those held out."""
    sweep: probes.Sweep
    losses: Float[np.ndarray, " g"]
    values: tuple[float, ...]

    @property
    def fit(self) -> Callable[[], tuple[Condition, Classifier]] | None:
        """The best of it, on all rows that the sweep was given."""
        condition, fit, value = self.fitted, self.sweep.fit, self.values[self.best]
        if condition is None or fit is None:
            return None
        return lambda: (condition, fit(value))

    @property
    def best(self) -> int:
        """The first value whose loss is on the plateau of the lowest."""
        return int(np.argmax(self.losses <= np.nanmin(self.losses) * (1 + PLATEAU)))


def given(choice: Choice, by: str = "given") -> Selection:
    """The record of a choice that leaves nothing open, or of the probe's defaults for what it does."""
    parameter = choice.kind.parameter
    value = None
    if parameter is not None:
        value = choice.values[0] if len(choice.values) == 1 else getattr(choice.kind(), parameter)
    condition = choice.conditions[0] if choice.condition != BEST else "zscore"
    return Selection(parameter, value, condition, by, None, () if value is None else (value,), None, 0, 0)


def select(
    choice: Choice,
    features: Features,
    labels: Labels,
    learned: Mask,
    divisions: Sequence[probes.Division],
    *,
    widths: Sequence[int],
    by: str,
    device: str = "cpu",
    makers: Makers | None = None,
) -> Selected:
    """The condition and value with the lowest held-out loss, and what its probes say of the held-out rows.

    `zscore` is fitted once, to all rows that may be learned from: within a cross-validation, held-out rows share in
    column means and deviations, never labels (at 100 rows of 400 columns the held-out AUC is the same within .002).
    `whiten` is fitted without the rows held out: few rows for their columns would be told apart by the axes that they
    helped to find (.05 of AUC at 300 rows of 200 columns). So is whatever comes before a projection, and the
    projection itself, which learns from the classes too.

    Where more rows are left out than are scored, as a whole generator is, each division has a `zscore` or `whiten` of
    its own, fitted without any of them: a generator that had a part in the axes is no unseen one (at 180 rows of 200
    columns .67 of AUC came out as .97).

    Args:
        choice: what is open.
        features: raw features of the rows that choices may look at.
        labels: their class numbers.
        learned: those of them that the final probe is fitted to.
        divisions: ways to hold rows out, each with every class left to learn from.
        widths: columns of each block of the features.
        by: how rows are held out, in words; why none can be, where there are no divisions.
        device: where to compute.
        makers: of the rows, where the choice has a projection.

    Raises:
        ProbeError: there are no divisions, one class only, a feature that is not finite, or a criterion that is
            undefined on every division.
    """
    require_divisions(choice, divisions, by)
    numbers = np.unique(labels, return_inverse=True)[1]
    tried = []
    for name in choice.conditions:
        fitted, sweep = _swept(choice, name, features, labels, learned, divisions, widths, device, makers)
        losses = _defined_losses(choice, numbers, divisions, sweep, by)
        tried.append(_Tried(name, fitted, sweep, losses, choice.values))
    best = min(tried, key=lambda one: float(one.losses[one.best]))
    selection = _selection(choice, tried, best, by)
    rows = np.concatenate([division.test for division in divisions])
    held_out = HeldOut(rows, np.concatenate([part[best.best] for part in best.sweep.decisions]))
    return Selected(selection, held_out, best.fit if learned.all() else None)


def require_divisions(choice: Choice, divisions: Sequence[probes.Division], by: str) -> None:
    """Nothing, if rows can be held out.

    Raises:
        ProbeError: there is no way to; `by` says why.
    """
    if not divisions:
        what = choice.kind.parameter or "condition"
        raise ProbeError(f"{what} cannot be selected: {by}. Give {what}, or samples of more groups.")


def select_from(choice: Choice, sweep: probes.Sweep, labels: Labels, by: str) -> Selection:
    """The value with the lowest loss on held-out rows of which every fit has decided already, as fits over blocks have.

    Args:
        choice: what is open, of one condition.
        sweep: decisions on one division.
        labels: class numbers of its rows.
        by: how rows are held out, in words.

    Raises:
        ProbeError: the criterion is undefined there.
    """
    numbers, every = np.unique(labels, return_inverse=True)[1], np.arange(len(labels))
    losses = _defined_losses(choice, numbers, [probes.Division(every, every)], sweep, by)
    tried = _Tried(choice.condition, None, sweep, losses, choice.values)
    return _selection(choice, [tried], tried, by)


def _selection(choice: Choice, tried: Sequence[_Tried], best: _Tried, by: str) -> Selection:
    """The record of a choice."""
    return Selection(
        choice.kind.parameter,
        choice.values[best.best] if choice.kind.parameter else None,
        best.condition,
        by if choice.open else "given",
        choice.measure if choice.open else None,
        choice.values if choice.kind.parameter else (),
        float(best.losses[best.best]),
        sum(one.sweep.fits for one in tried),
        sum(one.sweep.unconverged for one in tried),
    )


def _swept(
    choice: Choice,
    condition: str,
    features: Features,
    labels: Labels,
    learned: Mask,
    divisions: Sequence[probes.Division],
    widths: Sequence[int],
    device: str,
    makers: Makers | None,
) -> tuple[Condition | None, probes.Sweep]:
    """The condition, if one serves all divisions, and decisions on all held-out rows in that condition."""
    unscored = any(len(division.left_out) > len(division.test) for division in divisions)
    shared = condition != "whiten" and not (condition == "zscore" and unscored)
    if shared and choice.projection is None:
        fitted = fit_condition(condition, features[learned], widths)
        return fitted, choice.kind.sweep(fitted.apply(features), labels, divisions, choice.values, device=device)
    parts = len(divisions) if unscored else _few_parts(labels, learned, divisions)
    decisions: list[Decisions] = [np.empty(0)] * len(divisions)
    fits = unconverged = 0
    for start in range(parts):
        part = divisions[start::parts]
        rows = _outside(part, learned)
        own = makers.of(rows) if makers else None
        conditioned = fit_projected(condition, choice.projection, features[rows], widths, own).apply(features)
        sweep = choice.kind.sweep(conditioned, labels, part, choice.values, device=device)
        decisions[start::parts] = sweep.decisions
        fits, unconverged = fits + sweep.fits, unconverged + sweep.unconverged
    return None, probes.Sweep(tuple(decisions), fits, unconverged)


def _few_parts(labels: Labels, learned: Mask, divisions: Sequence[probes.Division]) -> int:
    """`AXES_FITS`, if so many parts of the divisions each leave rows of every class; else one a division."""
    few, classes = min(AXES_FITS, len(divisions)), len(np.unique(labels[learned]))
    left = (labels[_outside(divisions[start::few], learned)] for start in range(few))
    return few if all(len(np.unique(own)) == classes for own in left) else len(divisions)


def _outside(divisions: Sequence[probes.Division], learned: Mask) -> Mask:
    """Rows that may be learned from and that none of the divisions leaves out."""
    rows = learned.copy()
    rows[np.concatenate([division.left_out for division in divisions])] = False
    return rows


def _defined_losses(
    choice: Choice,
    numbers: Int[np.ndarray, " n"],
    divisions: Sequence[probes.Division],
    sweep: probes.Sweep,
    by: str,
) -> Float[np.ndarray, " g"]:
    """The criterion of every value.

    Raises:
        ProbeError: it is undefined on every division.
    """
    losses = _losses(choice.measure, numbers, divisions, sweep, pooled=choice.kind.by_group)
    if np.isnan(losses).all():
        raise ProbeError(
            f"{choice.measure} is undefined on every held-out part ({by}): choose by log_loss, or use fewer folds."
        )
    return losses


def _losses(
    criterion: str,
    numbers: Int[np.ndarray, " n"],
    divisions: Sequence[probes.Division],
    sweep: probes.Sweep,
    pooled: bool,
) -> Float[np.ndarray, " g"]:
    """The criterion of every value: the mean over divisions by their rows, or over all rows at once."""
    loss = CRITERIA[criterion]
    rows = [division.test for division in divisions]
    parts = list(sweep.decisions)
    if pooled:  # single groups: a ranking within one of them says nothing
        rows, parts = [np.concatenate(rows)], [np.concatenate(parts, axis=1)]
    values = np.array(
        [[loss(numbers[test], decisions) for decisions in part] for test, part in zip(rows, parts, strict=True)]
    )
    defined = ~np.isnan(values)
    weights = np.array([len(test) for test in rows], dtype=np.float64)[:, None] * defined
    total, sums = weights.sum(axis=0), np.sum(np.where(defined, values, 0.0) * weights, axis=0)
    losses: Float[np.ndarray, " g"] = np.divide(sums, total, out=np.full(len(total), np.nan), where=total > 0)
    return losses


def fit_choice(
    selection: Selection,
    choice: Choice,
    features: Features,
    labels: Labels,
    widths: Sequence[int],
    device: str = "cpu",
    makers: Makers | None = None,
) -> tuple[Condition, Classifier]:
    """The chosen condition and probe, fitted to these training rows, with the projection between them if there is one.

    Raises:
        ProbeError: one class only, a feature that is not finite, or nothing that the projection could learn.
    """
    condition = fit_projected(selection.condition, choice.projection, features, widths, makers)
    probe = choice.kind.of(selection.value) if selection.value is not None else choice.kind()
    return condition, probe.fit(condition.apply(features), labels, device=device)
