"""One training set: choose on held-out samples, fit, calibrate, score; once for each partition."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Labels, Mask
from probekit.errors import ProbeError
from probekit.features import FeatureSet
from probekit.metrics.aggregate import aggregate
from probekit.parallel import side_by_side, workers_for
from probekit.probes.calibration import Calibration, fit_calibration
from probekit.probes.classifier import Classifier
from probekit.probes.conditions import Condition, Makers
from probekit.probes.criteria import Decisions
from probekit.probes.selection import DEFAULT, Selection, fit_choice, given, select
from probekit.probes.trained import TrainedProbe
from probekit.protocols import Partition, Turn, leaked, learned_from, partitions, turns
from probekit.trials.settings import TrialSettings
from probekit.trials.units import unit_keys

COPIES = 4
"""Float64 matrices of its samples that fitting a probe holds at once: conditioned, centred, rotated, decomposed."""

Fit = Callable[[], tuple[Condition, Classifier]]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Scores of samples that a probe did not learn from and, unless chosen by oracle, nobody tests."""

    rows: Int[np.ndarray, " h"]
    """Numbers of the samples, of a video its first; one may be held out, and scored, more than once."""
    classes: Labels
    decisions: Decisions
    by: str
    """`the val split`, `held-out training samples`, or that it was an oracle."""


@dataclass(frozen=True, eq=False)
class Trial:
    """The probes of one training set and what they say of every sample that is scored."""

    name: str
    """Of the training set."""
    probes: tuple[TrainedProbe, ...]
    """One a partition."""
    held_out: tuple[HeldOut | None, ...]
    """One a probe, calibrated: what thresholds may be found on, of every class; None where there is nothing."""
    train: Mask
    """Samples that any of the probes learned from."""
    leaked: Mask
    """Scored samples whose group their probe learned from."""
    tests: tuple[Mask, ...]
    """One a probe: the samples that it scores."""
    decisions: Decisions
    """Of every sample, NaN where none is asked for."""

    @property
    def probabilistic(self) -> bool:
        """Whether decisions are log-odds (logits) of probabilities."""
        return all(probe.probabilistic for probe in self.probes)

    def decide(self, matrix: Float[np.ndarray, "n d"]) -> Decisions:
        """What the probes say of the same samples with these raw features, such as those of perturbed images."""
        return _decide(self.probes, self.tests, matrix)


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """What one probe, or one for each partition, learns from."""

    name: str
    classes: Labels
    """Class numbers of all samples; each class of `rows` has training samples in every partition."""
    rows: Mask
    """The samples that it is about, whatever their split."""


def run_trials(
    asked: Sequence[TrainingSet],
    features: FeatureSet,
    divided: Sequence[Partition],
    scored: Mask,
    settings: TrialSettings,
    *,
    needs_threshold: bool = False,
    device: str = "cpu",
) -> Iterator[Trial]:
    """The trial of each training set, in their order, as they come; on the CPU several at once.

    Args:
        asked: the training sets.
        features: of all samples.
        divided: the partitions.
        scored: samples whose scores are wanted.
        settings: how probes are chosen and fitted.
        needs_threshold: whether held-out scores are needed, even if nothing is chosen or calibrated.
        device: where to compute.

    Raises:
        ProbeError: one class only, nothing to choose or calibrate on, or fewer samples than shots.
    """
    most = max((int(one.rows.sum()) for one in asked), default=0)
    workers = workers_for(COPIES * 8 * most * sum(features.widths)) if device == "cpu" else 1
    tasks = [
        partial(
            _run_trial,
            one,
            features,
            divided,
            scored,
            settings,
            needs_threshold=needs_threshold,
            device=device,
            workers=workers if len(asked) == 1 else 1,  # of a single one, the partitions side by side
        )
        for one in asked
    ]
    yield from side_by_side(tasks, workers=workers, libraries=settings.choice.libraries)


def _run_trial(
    asked: TrainingSet,
    features: FeatureSet,
    divided: Sequence[Partition],
    scored: Mask,
    settings: TrialSettings,
    *,
    needs_threshold: bool,
    device: str,
    workers: int,
) -> Trial:
    """A probe for every partition, and what it says of the scored samples of that partition's test part."""
    classes = asked.classes
    taken = turns(
        features.samples,
        classes,
        asked.rows,
        divided,
        scored=scored,
        selection=settings.selection if settings.choice.open else "cv",
        seed=settings.seed,
        by_group=settings.choice.kind.by_group,
        shots=settings.shots,
    )
    matrix, widths, makers = features.matrix, features.widths, _makers(features.samples)
    tasks = [
        partial(_train, matrix, widths, classes, makers, turn, settings, needs_threshold, device) for turn in taken
    ]
    trained, held = [], []
    for probe, scores in side_by_side(tasks, workers=workers, libraries=settings.choice.libraries):
        trained.append(probe)
        held.append(of_units(scores, features.samples, settings))
    tests = tuple(turn.test for turn in taken)
    return Trial(
        asked.name,
        tuple(trained),
        tuple(held),
        learned_from(taken),
        leaked(features.samples, taken),
        tests,
        _decide(trained, tests, matrix),
    )


def _makers(samples: pd.DataFrame) -> Makers:
    """Of all samples."""
    return Makers(samples["generator"].to_numpy(dtype=object), samples["group"].to_numpy(dtype=object))


def given_trial(
    asked: TrainingSet, probe: TrainedProbe, features: FeatureSet, scored: Mask, settings: TrialSettings
) -> Trial:
    """The trial of a probe that was trained elsewhere, on what the training set has in the train split.

    Args:
        asked: what it learned from.
        probe: of classes 0 …, as the training set numbers them.
        features: of all samples.
        scored: samples whose scores are wanted.
        settings: how it is judged.
    """
    samples, classes = features.samples, asked.classes
    divided = partitions(samples, folds=0, seed=settings.seed)
    (turn,) = turns(samples, classes, asked.rows, divided, scored=scored, selection="val", seed=settings.seed)
    held = None
    if np.isin(probe.classifier.classes, classes[turn.val]).all():
        held = of_val(classes, turn, probe.decision_function(features.matrix[turn.val]))
    return Trial(
        asked.name,
        (probe,),
        (of_units(held, samples, settings),),
        turn.train,
        leaked(samples, [turn]),
        (turn.test,),
        _decide([probe], [turn.test], features.matrix),
    )


def _decide(probes: Sequence[TrainedProbe], tests: Sequence[Mask], matrix: Float[np.ndarray, "n d"]) -> Decisions:
    """Every probe scores its own test samples; NaN elsewhere."""
    found = [probe.decision_function(matrix[test]) for probe, test in zip(probes, tests, strict=True)]
    decisions = np.full((len(matrix), *found[0].shape[1:]), np.nan)
    for test, values in zip(tests, found, strict=True):
        decisions[test] = values
    return decisions


def _train(
    matrix: Float[np.ndarray, "n d"],
    widths: Sequence[int],
    classes: Labels,
    makers: Makers,
    turn: Turn,
    settings: TrialSettings,
    needs_threshold: bool,
    device: str,
) -> tuple[TrainedProbe, HeldOut | None]:
    """One probe, and its scores of val samples where they have every class, else of held-out training samples."""
    choice, by_val = settings.choice, has_val(classes, turn)
    needs_held_out = needs_threshold or settings.calibration != "none"
    selection, held, fit = given(choice), None, None
    if choice.open or (needs_held_out and not by_val):
        selection, held, fit = _select(matrix, widths, classes, makers, turn, settings, device)
    if fit is not None:
        condition, classifier = fit()
    else:
        own, train = makers.of(turn.train), classes[turn.train]
        condition, classifier = fit_choice(selection, choice, matrix[turn.train], train, widths, device, own)
    if by_val:
        held = of_val(classes, turn, classifier.decision_function(condition.apply(matrix[turn.val])))
    return finished(classes, turn, settings, selection, condition, classifier, held)


def has_val(classes: Labels, turn: Turn) -> bool:
    """Whether val samples have every class that is learned."""
    return bool(np.isin(classes[turn.train], classes[turn.val]).all())


def of_val(classes: Labels, turn: Turn, decisions: Decisions) -> HeldOut:
    """The scores of the val samples."""
    return HeldOut(np.flatnonzero(turn.val), classes[turn.val], decisions, "the val split")


def of_chosen(
    classes: Labels, turn: Turn, selection: Selection, rows: Int[np.ndarray, " h"], decisions: Decisions
) -> HeldOut | None:
    """The scores, by the probes of the value that was chosen, of the samples that it was chosen on.

    None where these do not have every class.
    """
    if not np.isin(classes[turn.seen], classes[rows]).all():
        return None
    return HeldOut(rows, classes[rows], decisions, turn.by if selection.oracle else "held-out training samples")


def finished(
    classes: Labels,
    turn: Turn,
    settings: TrialSettings,
    selection: Selection,
    condition: Condition,
    classifier: Classifier,
    held: HeldOut | None,
) -> tuple[TrainedProbe, HeldOut | None]:
    """The probe, calibrated, and the held-out scores as it then gives them.

    Raises:
        ProbeError: there is nothing to calibrate on.
    """
    prior = classes[turn.train]
    names = np.unique(prior)
    calibration = _calibrate(settings.calibration, names, held, turn.by)
    if held is not None and calibration.kind != "none":
        held, prior = replace(held, decisions=calibration.apply(held.decisions)), held.classes
    counts = tuple(int(np.sum(prior == name)) for name in names)
    return TrainedProbe(settings.probe, condition, classifier, selection, calibration, counts), held


def of_units(held: HeldOut | None, samples: pd.DataFrame, settings: TrialSettings) -> HeldOut | None:
    """The scores of held-out videos from those of their frames, as the tested ones are made."""
    if held is None or settings.aggregate is None:
        return held
    joined = aggregate(held.decisions, unit_keys(samples.iloc[held.rows], settings.unit), settings.aggregate)
    return HeldOut(held.rows[joined.first], held.classes[joined.first], joined.scores, held.by)


def _calibrate(kind: str, names: Int[np.ndarray, " c"], held: HeldOut | None, why_none: str) -> Calibration:
    if kind == "none":
        return Calibration(kind)
    if held is None:
        raise ProbeError(f"calibration {kind}: there are no held-out samples of every class to fit it on ({why_none}).")
    return fit_calibration(kind, np.searchsorted(names, held.classes), held.decisions)


def _select(
    matrix: Float[np.ndarray, "n d"],
    widths: Sequence[int],
    classes: Labels,
    makers: Makers,
    turn: Turn,
    settings: TrialSettings,
    device: str,
) -> tuple[Selection, HeldOut | None, Fit | None]:
    """What is chosen, the scores of the samples that were held out for that, and the quickest way to fit it."""
    choice = settings.choice
    if not turn.divisions and not choice.open:
        return given(choice), None, None
    if not turn.divisions and settings.shots is not None and settings.selection == "cv":
        return given(choice, f"{DEFAULT}: {turn.by}"), None, None  # one shot of a class leaves nothing to hold out
    own = classes[turn.seen]
    selected = select(
        choice,
        matrix[turn.seen],
        own,
        turn.train[turn.seen],
        turn.divisions,
        widths=widths,
        by=turn.by,
        device=device,
        makers=makers.of(turn.seen),
    )
    selection, held_out = selected.selection, selected.held_out
    held = of_chosen(classes, turn, selection, turn.seen[held_out.rows], held_out.decisions)
    return selection, held, selected.fit
