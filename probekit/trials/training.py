"""One training set: choose on held-out samples, fit, calibrate, score; once for each partition."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Labels, Mask
from probekit.errors import ProbeError
from probekit.features import FeatureSet
from probekit.probes.calibration import Calibration, fit_calibration
from probekit.probes.criteria import Decisions
from probekit.probes.selection import DEFAULT, Selection, fitted, given, select
from probekit.probes.trained import TrainedProbe
from probekit.protocols import Partition, Turn, leaked, learned_from, turns
from probekit.trials.settings import TrialSettings


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
    trained, held = [], []
    for turn in taken:
        probe, scores = _train(matrix, features.widths, classes, turn, settings, needs_threshold, device)
        trained.append(probe)
        held.append(scores)
    tests = tuple(turn.test for turn in taken)
    return Trial(
        name,
        tuple(trained),
        tuple(held),
        learned_from(taken),
        leaked(features.samples, taken),
        tests,
        _decide(trained, tests, matrix),
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
        return given(settings.choice, f"{DEFAULT}: {turn.by}"), None
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
