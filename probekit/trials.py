"""Trials: the probes of one training set, one for each partition, and what they say of the samples.

Every question that trains probes is made of trials: choose on held-out samples, fit, calibrate, score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import probes
from probekit.arrays import Float, Groups, Int, Labels, Mask, Scores
from probekit.errors import ProbeError, UsageError
from probekit.features import FeatureSet
from probekit.metrics.aggregate import aggregate, composite
from probekit.probes.calibration import CALIBRATIONS, Calibration, fit_calibration
from probekit.probes.criteria import Decisions
from probekit.probes.selection import Choice, Selection, fitted, given, select
from probekit.probes.trained import TrainedProbe
from probekit.protocols import SELECTIONS, Partition, Turn, leaked, learned_from, part_numbers, tested, turns
from probekit.registry import unknown_name

OnTrial = Callable[[int, int], None]
"""Called with (probes trained, all probes)."""

SAMPLE_COLUMNS = ("path", "generator", "domain", "label", "group")


@dataclass(frozen=True)
class TrialSettings:
    """How probes are trained and judged; all of it decides the numbers."""

    probe: str = "logistic"
    condition: str = "zscore"
    """A name in `probes.conditions.CONDITIONS`, or `best`, which chooses one."""
    C: float | None = None
    """Inverse regularisation strength of a probe that has one; None chooses it."""
    k: int | None = None
    """Neighbours of a probe that has them; None chooses it."""
    criterion: str | None = None
    """What choices are made by, a name in `probes.criteria.CRITERIA`; None takes the probe's own."""
    selection: str = "cv"
    """What choices are made on, a name in `protocols.SELECTIONS`."""
    calibration: str = "none"
    """A name in `probes.calibration.CALIBRATIONS`: fitted on val samples, without any on held-out training samples."""
    shots: int | None = None
    """Learn from so many samples of each generator (real images: of each domain) only; None learns from all."""
    folds: int = 0
    """0 uses the split of the manifest; K scores every sample out of fold by group."""
    seed: int = 0
    bootstrap: int = 1000
    """Replicates of the group bootstrap; 0 gives no intervals."""
    aggregate: str | None = None
    """Score videos, not frames: `mean`, `max` or `topK` of their frames' scores."""
    unit: str = "group"
    """The column that tells videos apart (within domain, generator and group) where scores are aggregated."""

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise unknown_name("selection", self.selection, SELECTIONS)
        if self.calibration not in CALIBRATIONS:
            raise unknown_name("calibration", self.calibration, CALIBRATIONS)
        if self.selection == "val" and self.folds:
            raise UsageError("selection by val needs a val split, and out of fold there is none: use cv, or folds 0.")
        if self.bootstrap < 0:
            raise UsageError(f"--bootstrap {self.bootstrap}: the number of replicates is 0 or more.")
        if self.shots is not None and self.shots < 1:
            raise UsageError(f"--shots {self.shots}: learn from at least one sample of each class.")
        self.choice  # noqa: B018  # refuses names and values that mean nothing

    @property
    def choice(self) -> Choice:
        """What is open and what is given of probe, condition and parameter.

        Raises:
            UnknownNameError: there is no such probe, condition or criterion.
            UsageError: a parameter that the probe does not have.
            ProbeError: a value that it cannot have.
        """
        kind = probes.get(self.probe)
        named = {"C": self.C, "k": self.k}
        for name, value in named.items():
            if value is not None and kind.parameter != name:
                has = f"it has {kind.parameter}" if kind.parameter else "it has nothing to choose"
                raise UsageError(f"--{name} {value:g}: probe {self.probe} has no {name}, {has}.")
        value = named.get(kind.parameter or "")
        if value is not None:
            kind.of(value)
        return Choice(self.probe, self.condition, value, self.criterion)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Scores of samples that a probe did not learn from and that nobody tests."""

    classes: Labels
    decisions: Decisions
    """Calibrated."""
    by: str
    """`the val split` or `held-out training samples`."""


@dataclass(frozen=True, eq=False)
class Trial:
    """The probes of one training set and what they say of every sample that is scored."""

    name: str
    """Of the training set."""
    probes: tuple[TrainedProbe, ...]
    """One a partition."""
    held_out: tuple[HeldOut | None, ...]
    """One a probe: what thresholds may be found on."""
    train: Mask
    """Samples that any of the probes learned from."""
    leaked: Mask
    """Scored samples whose group their probe learned from."""
    decisions: Decisions
    """Of every sample, NaN where none is asked for."""

    @property
    def probabilistic(self) -> bool:
        """Whether decisions are log-odds (logits) of probabilities."""
        return all(probe.probabilistic for probe in self.probes)

    @property
    def unconverged(self) -> int:
        """Probes whose fit had not converged."""
        return sum(not probe.classifier.converged for probe in self.probes)


@dataclass(frozen=True, eq=False)
class Units:
    """What is scored as one: each sample by itself, or all frames of a video."""

    rows: Mask
    """The samples that are scored."""
    table: pd.DataFrame
    """One row a unit: path, generator, domain, label, group of its first sample; frames where there are several."""
    part: Int[np.ndarray, " u"]
    """The number of the partition whose probe scores it."""
    keys: Groups | None
    how: str | None

    def combine(self, values: Decisions) -> Decisions:
        """One entry a unit from one a sample."""
        own = values[self.rows]
        return own if self.keys is None or self.how is None else aggregate(own, self.keys, self.how).scores

    def any(self, mask: Mask) -> Mask:
        """Whether any sample of the unit is in the mask."""
        own = mask[self.rows]
        if self.keys is None:
            return own
        names, first, number = np.unique(self.keys, return_index=True, return_inverse=True)
        found = np.bincount(number, weights=own, minlength=len(names)) > 0
        marked: Mask = found[np.argsort(first)]  # in the order in which units first appear, as `aggregate` has them
        return marked


def units_of(samples: pd.DataFrame, divided: Sequence[Partition], scored: Mask, settings: TrialSettings) -> Units:
    """The units among the scored samples.

    Raises:
        UsageError: there is no such column, or no such way to aggregate.
    """
    rows = scored & tested(divided)
    own = samples.loc[rows].reset_index(drop=True)
    part = part_numbers(divided)[rows]
    columns = list(SAMPLE_COLUMNS)
    if settings.aggregate is None:
        return Units(rows, own[columns], part, None, None)
    keys = composite(own, list(dict.fromkeys(["domain", "generator", "label", "group", settings.unit])))
    joined = aggregate(np.zeros(len(own)), keys, settings.aggregate)
    table = own.loc[joined.first, columns].reset_index(drop=True).assign(frames=joined.frames)
    return Units(rows, table, part[joined.first], keys, settings.aggregate)


def run_trial(
    name: str,
    features: FeatureSet,
    classes: Labels,
    rows: Mask,
    divided: Sequence[Partition],
    scored: Mask,
    settings: TrialSettings,
    *,
    needs_threshold: bool = False,
    device: str = "cpu",
) -> Trial:
    """A probe for every partition, and what it says of the scored samples of that partition's test part.

    Args:
        name: of the training set.
        features: of all samples.
        classes: what is learned of them, class numbers.
        rows: the samples that the training set is about: fakes and their real images, whatever their split.
        divided: the partitions.
        scored: samples whose scores are wanted.
        settings: how probes are chosen and fitted.
        needs_threshold: whether held-out scores are needed, even if nothing is chosen or calibrated.
        device: where to compute.

    Raises:
        ProbeError: one class only, nothing to choose or calibrate on, or fewer samples than shots.
    """
    taken = turns(
        features.samples,
        classes,
        rows,
        divided,
        scored=scored,
        selection=settings.selection,
        seed=settings.seed,
        by_group=settings.choice.kind.by_group,
        shots=settings.shots,
    )
    matrix = features.matrix
    trained, held, decisions = [], [], None
    for turn in taken:
        probe, scores = _train(matrix, features.widths, classes, turn, settings, needs_threshold, device)
        trained.append(probe)
        held.append(scores)
        found = probe.decision_function(matrix[turn.test])
        if decisions is None:
            decisions = np.full((len(classes), *found.shape[1:]), np.nan)
        decisions[turn.test] = found
    assert decisions is not None
    return Trial(
        name, tuple(trained), tuple(held), learned_from(taken), leaked(features.samples, taken), decisions
    )


def _train(
    matrix: Float[np.ndarray, "n d"],
    widths: Sequence[int],
    classes: Labels,
    turn: Turn,
    settings: TrialSettings,
    needs_threshold: bool,
    device: str,
) -> tuple[TrainedProbe, HeldOut | None]:
    """One probe, and scores for thresholds: of val samples where there are any, else of held-out training samples."""
    choice = settings.choice
    names = np.unique(classes[turn.train])
    has_val = bool(np.isin(names, classes[turn.val]).all())
    needs_held_out = needs_threshold or settings.calibration != "none"
    held: tuple[Labels, Decisions, str] | None = None
    if choice.open or (needs_held_out and not has_val):
        selection, held = _select(matrix, widths, classes, turn, settings, device)
    else:
        selection = given(choice)
    condition, probe = fitted(selection, choice, matrix[turn.train], widths)
    conditioned = condition.apply(matrix[turn.train])
    classifier = probe.fit(conditioned, classes[turn.train], device=device)
    if has_val:
        scores = classifier.decision_function(condition.apply(matrix[turn.val]))
        held = classes[turn.val], scores, "the val split"
    calibration, prior = Calibration("none"), classes[turn.train]
    if settings.calibration != "none":
        if held is None:
            raise ProbeError(f"calibration {settings.calibration}: {turn.by}; there are no samples to fit it on.")
        calibration, prior = fit_calibration(settings.calibration, np.searchsorted(names, held[0]), held[1]), held[0]
    counts = tuple(int(np.sum(prior == name)) for name in names)
    trained = TrainedProbe(settings.probe, condition, classifier, selection, calibration, counts)
    return trained, None if held is None else HeldOut(held[0], calibration.apply(held[1]), held[2])


def _select(
    matrix: Float[np.ndarray, "n d"],
    widths: Sequence[int],
    classes: Labels,
    turn: Turn,
    settings: TrialSettings,
    device: str,
) -> tuple[Selection, tuple[Labels, Decisions, str] | None]:
    if not turn.divisions and settings.shots is not None:  # one shot of a class leaves nothing to hold out
        return given(settings.choice, f"the probe's default: {turn.by}"), None
    own = classes[turn.seen]
    selection, held = select(
        settings.choice,
        matrix[turn.seen],
        own,
        turn.train[turn.seen],
        turn.divisions,
        widths=widths,
        by=turn.by,
        device=device,
    )
    return selection, (own[held.rows], held.decisions, "held-out training samples")


def log_odds_of_fake(decisions: Decisions) -> Scores:
    """Log-odds, log (1 − p(real)) − log p(real), with real the first class; margins of margins for what is no logit."""
    if decisions.ndim == 1:
        return decisions
    odds: Scores = np.logaddexp.reduce(decisions[:, 1:], axis=1) - decisions[:, 0]
    return odds
