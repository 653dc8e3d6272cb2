"""Trials of features that are larger than memory: probes fitted and scored over blocks, many at once.

Each pass over the rows serves all training sets of a round; as many as the memory has matrices for make one round. What
comes out is what `run_trials` gives of the same features in memory, to the rounding that `probes.streamed` tells.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import probes
from probekit.arrays import Bool, Features, Float, Int, Mask
from probekit.errors import ProbeError, UsageError
from probekit.features import FeatureStream, spell_need
from probekit.files import spell_size
from probekit.probes import streamed
from probekit.probes.classifier import LinearClassifier
from probekit.probes.conditions import Condition
from probekit.probes.moments import NOT_TAUGHT, cell_moments
from probekit.probes.selection import Selection, given, require_divisions, select_from
from probekit.probes.trained import TrainedProbe
from probekit.protocols import Partition, Turn, leaked, learned_from, require_finite, turns
from probekit.trials.settings import TrialSettings
from probekit.trials.training import (
    COPIES,
    HeldOut,
    TrainingSet,
    Trial,
    finished,
    has_val,
    of_chosen,
    of_units,
    of_val,
)

HELD_OUT_ONCE = ("val", "oracle")
"""Selections that hold the same rows out of every fit; the others fit anew without some training rows."""


def memory_needed(samples: pd.DataFrame, width: int, folds: int) -> int:
    """Bytes that a question takes at most with features in memory: all as float32, and copies to fit a probe with.

    Args:
        samples: all of them.
        width: columns of a sample's features.
        folds: out of fold a probe learns from nearly all samples; with 0 from the train split.
    """
    taught = len(samples) if folds else int((samples["split"] == "train").sum())
    return width * (4 * len(samples) + 8 * COPIES * taught)


def require_streamable(stream: FeatureStream, settings: TrialSettings) -> None:
    """Nothing, if such probes can be fitted over blocks.

    Raises:
        UsageError: they cannot; what to do instead.
    """
    why = _why_not(settings)
    if why:
        needed = memory_needed(stream.samples, sum(stream.widths), settings.folds)
        sizes = spell_need(stream, needed, stream.memory)
        raise UsageError(f"{sizes}, and {why}; or give more --memory.")


def run_streamed_trials(
    asked: Sequence[TrainingSet],
    stream: FeatureStream,
    divided: Sequence[Partition],
    scored: Mask,
    settings: TrialSettings,
    *,
    needs_threshold: bool = False,
) -> Iterator[Trial]:
    """The trial of each training set, in their order, as `run_trials` gives them.

    Args:
        asked: the training sets.
        stream: the features of all samples.
        divided: the partitions.
        scored: samples whose scores are wanted.
        settings: how probes are chosen and fitted.
        needs_threshold: whether held-out scores are needed, even if nothing is chosen or calibrated.

    Raises:
        UsageError: what is asked is not fitted over blocks, or one training set alone takes more than the memory.
        ProbeError: one class only, nothing to choose or calibrate on, or fewer samples than shots.
        ModelError: a feature is not finite.
    """
    require_streamable(stream, settings)
    needs_held_out = needs_threshold or settings.calibration != "none"
    jobs = [
        _Job(one, turn, needs_held_out)
        for one in asked
        for turn in turns(
            stream.samples,
            one.classes,
            one.rows,
            divided,
            scored=scored,
            selection=settings.selection if settings.choice.open else "val",
            seed=settings.seed,
            shots=settings.shots,
        )
    ]
    for job in jobs:
        job.require(settings)
    done: list[_Done] = []
    parts = len(divided)
    for some in _rounds(jobs, stream, settings):
        done += _run(some, stream, settings)
        while len(done) >= parts:
            yield _trial(done[:parts], stream.samples, settings)
            del done[:parts]


@dataclass(frozen=True, eq=False)
class _Job:
    """One probe: of one training set and partition."""

    asked: TrainingSet
    turn: Turn
    needs_held_out: bool

    @property
    def taught(self) -> Int[np.ndarray, " n"]:
        """The class of every sample that is learned from, in as few bytes as hold it."""
        narrow = np.min_scalar_type(-1 - int(self.asked.classes.max(initial=0)))
        return np.where(self.turn.train, self.asked.classes, NOT_TAUGHT).astype(narrow)

    @property
    def compared_on(self) -> Int[np.ndarray, " c"]:
        """Numbers of the samples that values are compared on, ascending."""
        return np.sort(np.concatenate([self.turn.seen[division.test] for division in self.turn.divisions]))

    @property
    def decided_on(self) -> Int[np.ndarray, " r"]:
        """Numbers of the samples that the finished probe scores, ascending."""
        return np.flatnonzero(self.turn.test | self.turn.val)

    def bytes_of_rows(self, values: int) -> int:
        """What a round holds of it beside matrices: the class of every sample, numbers and scores of those held out.

        Args:
            values: how many are compared; 0 where nothing is chosen.
        """
        compared = sum(len(division.test) for division in self.turn.divisions) if values else 0
        decided = int(np.count_nonzero(self.turn.test | self.turn.val))
        return self.taught.nbytes + 8 * (compared * (values + 1) + decided * 2)

    def require(self, settings: TrialSettings) -> None:
        """Nothing, if there are samples to choose on and to find thresholds on, as far as that is asked.

        Raises:
            ProbeError: there are none.
        """
        if settings.choice.open:
            require_divisions(settings.choice, self.turn.divisions, self.turn.by)
        elif self.needs_held_out and not has_val(self.asked.classes, self.turn):
            raise ProbeError(
                f"{self.asked.name} has no val samples of every class for its threshold or calibration, and over "
                "blocks no training samples are held out: take a val split with --folds 0, or leave --threshold and "
                "--calibrate out."
            )


@dataclass(frozen=True, eq=False)
class _Done:
    """What came of a job."""

    job: _Job
    probe: TrainedProbe
    held: HeldOut | None
    decisions: Float[np.ndarray, " t"]
    """Of the samples that it tests, in their order."""


def _why_not(settings: TrialSettings) -> str | None:
    """Why such a probe is not fitted over blocks, and what to do instead."""
    choice = settings.choice
    if choice.kind not in streamed.PROBES:
        return f"{settings.probe} is not fitted over blocks: use ridge, lda or logistic"
    if settings.project:
        return "projections are not fitted over blocks: leave --project out"
    if settings.condition not in streamed.CONDITIONS:
        known = ", ".join(streamed.CONDITIONS)
        return f"--condition {settings.condition} is not fitted over blocks: use one of {known}"
    if choice.open and settings.selection not in HELD_OUT_ONCE:
        given_by = f" (or give --{choice.kind.parameter})" if choice.kind.parameter == "C" else ""
        instead = f"choose on --selection val with --folds 0{given_by}"
        return f"--selection {settings.selection} is not done over blocks: {instead}"
    return None


def _rounds(jobs: Sequence[_Job], stream: FeatureStream, settings: TrialSettings) -> Iterator[Sequence[_Job]]:
    """As many jobs at a time as there is memory for: matrices of each, two scatters a job at the most, and its rows.

    Raises:
        UsageError: there is not even memory for the matrices of one.
    """
    each = 8 * sum(stream.widths) ** 2 * (streamed.MATRICES + 2)
    if each > max(stream.memory, 1 << 26):
        raise UsageError(
            f"{stream.name}: to fit over blocks what is {sum(stream.widths):,} columns wide takes "
            f"{spell_size(each)} and --memory is {spell_size(stream.memory)}: give more, or ask a narrower tap."
        )
    values = len(settings.choice.values) if settings.choice.open else 0
    size = max(1, stream.memory // (each + max((job.bytes_of_rows(values) for job in jobs), default=0)))
    return (jobs[start : start + size] for start in range(0, len(jobs), size))


def _run(jobs: Sequence[_Job], stream: FeatureStream, settings: TrialSettings) -> list[_Done]:
    """The probes of one round: fitted together, chosen each by its own held-out samples, then scored."""
    choice = settings.choice
    cells, taught, pools = _cells([job.taught for job in jobs])

    def blocks(wanted: Bool[np.ndarray, " m"]) -> Iterable[tuple[Features, Int[np.ndarray, " b"]]]:
        found = ((rows, cells[numbers]) for numbers, rows in _finite(stream, (cells >= 0) & wanted[cells]))
        return streamed.condition_rows(found, settings.condition, stream.widths)

    moments = cell_moments(blocks(np.ones(taught.shape[1], dtype=bool)), dict(enumerate(pools.tolist())))
    fits = streamed.Fits.of(choice.kind, moments, taught, blocks, settings.condition, stream.widths)
    selections = [given(choice)] * len(jobs)
    compared: Sequence[Float[np.ndarray, "g r"] | None] = [None] * len(jobs)
    if choice.open:
        candidates = fits.sweep(choice.values)
        rows = [job.compared_on for job in jobs]
        found = _decide(stream, rows, fits.conditions, [_columns(own) for own in candidates])
        by_value = [decisions.T for decisions in found]
        selections = [_select(*one, settings) for one in zip(jobs, rows, candidates, by_value, strict=True)]
        compared = by_value
    classifiers = fits.finish([choice.kind.of(float(selection.value or 0.0)) for selection in selections])
    rows = [job.decided_on for job in jobs]
    decisions = _decide(stream, rows, fits.conditions, [_columns([one]) for one in classifiers])
    return [
        _finish(job, settings, *made)
        for job, *made in zip(jobs, selections, fits.conditions, classifiers, compared, decisions, strict=True)
    ]


def _cells(
    taught: Sequence[Int[np.ndarray, " n"]],
) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, "t m"], Int[np.ndarray, " m"]]:
    """The cell of every sample: samples of one cell are of the same class in every training set, or in none.

    Args:
        taught: the class of every sample in each training set, or `NOT_TAUGHT`.

    Returns:
        The cell of each sample, -1 where nobody learns from it; the class of each cell in each training set; and the
        pool of each cell: those of a pool are learned from by the same training sets.
    """
    cells = np.zeros(len(taught[0]), np.int64)
    for classes in taught:
        span = int(classes.max(initial=0)) + 2
        cells = pd.factorize(cells * span + classes + 1)[0]
    _, first, cells = np.unique(cells, return_index=True, return_inverse=True)
    known = np.stack([classes[first] for classes in taught]).astype(np.int64)
    some = (known != NOT_TAUGHT).any(axis=0)
    numbers = np.where(some, np.cumsum(some) - 1, -1)
    known = known[:, some]
    pools = np.unique(known != NOT_TAUGHT, axis=1, return_inverse=True)[1]
    return numbers[cells], known, pools.reshape(-1)


def _finite(stream: FeatureStream, among: Mask) -> Iterator[tuple[Int[np.ndarray, " b"], Features]]:
    """Some samples and their features, a block at a time.

    Raises:
        ModelError: a feature is not finite.
    """
    for numbers, rows in stream.blocks(among):
        require_finite(stream.samples.iloc[numbers], [rows])
        yield numbers, rows


def _columns(fitted: Sequence[LinearClassifier]) -> tuple[Float[np.ndarray, "d g"], Float[np.ndarray, " g"]]:
    """Weights and bias of several binary classifiers, a column each."""
    return np.hstack([one.weights for one in fitted]), np.concatenate([one.bias for one in fitted])


def _decide(
    stream: FeatureStream,
    rows: Sequence[Int[np.ndarray, " r"]],
    conditions: Sequence[Condition],
    columns: Sequence[tuple[Float[np.ndarray, "d g"], Float[np.ndarray, " g"]]],
) -> list[Float[np.ndarray, "r g"]]:
    """What every job's affine functions say of its samples, ascending, in one pass over all of them."""
    found = [np.empty((len(own), len(bias))) for own, (_, bias) in zip(rows, columns, strict=True)]
    among = np.zeros(len(stream.samples), dtype=bool)
    for own in rows:
        among[own] = True
    for numbers, features in _finite(stream, among):
        for own, condition, (weights, bias), decisions in zip(rows, conditions, columns, found, strict=True):
            at = np.searchsorted(own, numbers)
            mine = at < np.searchsorted(own, numbers, side="right")
            decisions[at[mine]] = condition.apply(features[mine]) @ weights + bias
    return found


def _select(
    job: _Job,
    rows: Int[np.ndarray, " r"],
    candidates: Sequence[LinearClassifier],
    decisions: Float[np.ndarray, "g r"],
    settings: TrialSettings,
) -> Selection:
    """The value that did best on the samples that were held out."""
    unconverged = sum(not one.converged for one in candidates)
    sweep = probes.Sweep((decisions,), len(candidates), unconverged)
    return select_from(settings.choice, sweep, job.asked.classes[rows], job.turn.by)


def _finish(
    job: _Job,
    settings: TrialSettings,
    selection: Selection,
    condition: Condition,
    classifier: LinearClassifier,
    compared: Float[np.ndarray, "g r"] | None,
    decisions: Float[np.ndarray, "s 1"],
) -> _Done:
    """The calibrated probe, its held-out scores, and what it says of the samples that it tests."""
    turn, classes = job.turn, job.asked.classes
    rows, found = job.decided_on, decisions[:, 0]
    held = None
    if has_val(classes, turn):
        held = of_val(classes, turn, found[turn.val[rows]])
    elif compared is not None:
        best = settings.choice.values.index(selection.value) if selection.value is not None else 0
        held = of_chosen(classes, turn, selection, job.compared_on, compared[best])
    probe, held = finished(classes, turn, settings, selection, condition, classifier, held)
    return _Done(job, probe, held, probe.calibration.apply(found[turn.test[rows]]))


def _trial(done: Sequence[_Done], samples: pd.DataFrame, settings: TrialSettings) -> Trial:
    """The probes of one training set, one a partition."""
    taken = [one.job.turn for one in done]
    decisions = np.full(len(samples), np.nan)
    for one in done:
        decisions[one.job.turn.test] = one.decisions
    return Trial(
        done[0].job.asked.name,
        tuple(one.probe for one in done),
        tuple(of_units(one.held, samples, settings) for one in done),
        learned_from(taken),
        leaked(samples, taken),
        tuple(turn.test for turn in taken),
        decisions,
    )
