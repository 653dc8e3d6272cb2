"""The train/test matrix: a probe for each training set, scored on the images of each test set."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import pandas as pd

from probekit.arrays import Float, Mask
from probekit.errors import ProbeError, UsageError
from probekit.features import FeatureSet, FeatureStream
from probekit.fingerprint import JSONValue
from probekit.metrics.bootstrap import resample
from probekit.metrics.thresholds import THRESHOLDS, find_threshold, threshold_transfer
from probekit.pairs.result import PairResult
from probekit.pairs.seeds import mean_over_seeds
from probekit.pairs.settings import PairSettings
from probekit.probes.trained import selection_record
from probekit.protocols import (
    ALL,
    Partition,
    Pool,
    across_domains,
    describe,
    evaluation,
    fakes,
    members,
    parse_pools,
    partitions,
    reals_of,
    remarks_on_sources,
    require_finite,
    tested,
    trainable_pools,
)
from probekit.trials import (
    BinaryScores,
    TrainingSet,
    Trial,
    Units,
    judge,
    learned,
    macro_means,
    members_of,
    remarks_on_pairs,
    remarks_on_probes,
    run_streamed_trials,
    run_trials,
    units_of,
)

TRANSFERRED = "val-eer"
"""The threshold whose cost elsewhere the transfer table shows."""

Row = TypeVar("Row", bound=Mapping[str, object])

OnProgress = Callable[[int, int], None]
"""Called with (training sets done, all of them)."""


def score_pairs(
    features: FeatureSet | FeatureStream,
    settings: PairSettings,
    *,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> PairResult:
    """Every pair of a training and a test set, real images coming from the fakes' own domain.

    Args:
        features: of all samples; of a stream, probes are fitted and scored over blocks, as `probes.streamed` says.
        settings: what is trained, tested, and how.
        device: where to compute, `cpu` or `cuda:0`; over blocks the CPU computes.
        on_progress: called after every training set.

    Raises:
        ProbeError: a training set without fakes or without real images.
        ModelError: a feature is not finite.
        UnknownNameError: a generator, probe, condition or threshold that does not exist.
        UsageError: what is asked of a stream cannot be done over blocks.
    """
    if isinstance(features, FeatureSet):
        require_finite(features.samples, features.blocks)
    results = []
    for number in range(settings.seeds):
        question = Question.of(features.samples, replace(settings, seed=settings.seed + number))
        trials = train_all(question, features, device, on_progress, done=number, of=settings.seeds)
        found = answer(question, trials, describe(features.sources))
        results.append(replace(found, streamed=isinstance(features, FeatureStream)))
    return results[0] if len(results) == 1 else mean_over_seeds(results, settings)


def train_all(
    question: "Question",
    features: FeatureSet | FeatureStream,
    device: str,
    on_progress: OnProgress | None,
    *,
    done: int = 0,
    of: int = 1,
) -> dict[str, Trial]:
    """The probes of every training set, by its name; progress counts as the `done`-th of several such rounds."""
    asked, rule = question.training_sets(), question.settings.threshold
    divided, scored, settings = question.divided, question.units.rows, question.settings
    if isinstance(features, FeatureStream):
        found = run_streamed_trials(asked, features, divided, scored, settings, needs_threshold=rule != "0.5")
    else:
        found = run_trials(asked, features, divided, scored, settings, needs_threshold=rule != "0.5", device=device)
    trials: dict[str, Trial] = {}
    for trial in found:
        trials[trial.name] = trial
        if on_progress:
            on_progress(done * len(asked) + len(trials), of * len(asked))
    return trials


@dataclass(frozen=True, eq=False)
class Question:
    """Which samples each training set and each test set means."""

    samples: pd.DataFrame
    settings: PairSettings
    divided: Sequence[Partition]
    trains: Sequence[Pool]
    tests: Sequence[Pool]
    units: Units
    notes: tuple[str, ...]

    @classmethod
    def of(cls, samples: pd.DataFrame, settings: PairSettings) -> "Question":
        """The question put to these samples.

        Raises:
            ProbeError, UsageError, UnknownNameError: as `score_pairs`.
        """
        divided = partitions(samples, settings.folds, settings.seed)
        train, test = settings.train, settings.test
        if settings.across:
            train, test = across_domains(train, samples), across_domains(test, samples)
        trains, notes = trainable_pools(train, samples, divided, settings.folds, named=settings.train != ALL)
        tests = parse_pools(test, samples)
        if settings.across and not any(_makers(test) <= _makers(train) for train in trains for test in tests):
            raise UsageError(f"{settings.train} and {settings.test}: across domains a generator is tested on itself.")
        scored = np.logical_or.reduce([members(samples, pool, tested(divided)) for pool in tests])
        for pool in trains:  # cross-AUC compares with the real images of the training domains
            scored |= reals_of(samples, fakes(samples, pool))
        units = units_of(samples, divided, scored, settings)
        return cls(samples, settings, divided, trains, tests, units, tuple(notes))

    def rows_of(self, pool: Pool) -> Mask:
        """The samples that a training set is about, whatever their split."""
        return members(self.samples, pool, np.ones(len(self.samples), dtype=bool))

    def training_sets(self) -> list[TrainingSet]:
        """What each probe learns from; classes are labels."""
        labels = self.samples["label"].to_numpy()
        return [TrainingSet(pool.name, labels, self.rows_of(pool)) for pool in self.trains]

    def asks(self, train: Pool, test: Pool) -> bool:
        """Whether the pair is wanted: across domains, tested are the generators that were learned from."""
        return not self.settings.across or _makers(test) <= _makers(train)


@dataclass(frozen=True, eq=False)
class Measured:
    """What the trials of some training sets of a question are worth on all of its test sets."""

    trials: Mapping[str, Trial]
    """By name of their training set, in the order asked for."""
    thresholds: Mapping[str, Float[np.ndarray, " p"]]
    """The threshold of each probe of a training set."""
    pairs: Sequence[Mapping[str, str | int | float]]
    """A row a training and a test set, and so those of `transfer`."""
    transfer: Sequence[Mapping[str, str | float]]
    scores: Sequence[pd.DataFrame]
    """A table a training set."""
    evaluation: str
    notes: tuple[str, ...]
    """Of the question."""


def answer(question: Question, trials: Mapping[str, Trial], source: dict[str, str]) -> PairResult:
    """All numbers of the trials of one question."""
    return conclude(question.settings, source, [measure(question, trials)])


def measure(question: Question, trials: Mapping[str, Trial]) -> Measured:
    """The numbers of trials of one question, which do not depend on what its other training sets are."""
    units, settings = question.units, question.settings
    thresholds = {name: _thresholds(trial, settings.threshold) for name, trial in trials.items()}
    transferred = {name: _thresholds(trial, TRANSFERRED, required=False) for name, trial in trials.items()}
    scored = {name: _binary(question, trial, thresholds[name]) for name, trial in trials.items()}
    pairs, transfer = [], []
    for test in question.tests:
        rows = members_of(units, test)
        draws = resample(units.table["group"].to_numpy()[rows], settings.bootstrap, settings.seed)
        asked = [scored[train.name] for train in question.trains if question.asks(train, test)]
        pairs += judge(units, test, asked, draws)
        transfer += [_transfer(units, one, transferred[one.train], test, rows) for one in asked]
    return Measured(
        trials,
        thresholds,
        _in_order(question, pairs),
        _in_order(question, [row for row in transfer if row]),
        [one.table(units) for one in scored.values()],
        evaluation(question.divided, settings.folds),
        question.notes,
    )


def conclude(settings: PairSettings, source: dict[str, str], parts: Sequence[Measured]) -> PairResult:
    """The answer to a question, of whose training sets each part measured some.

    Args:
        settings: of the question.
        source: where its features came from.
        parts: at least one; their training sets one after another are those of the question, in its order.
    """
    trials = {name: trial for part in parts for name, trial in part.trials.items()}
    thresholds = {name: values for part in parts for name, values in part.thresholds.items()}
    table = pd.DataFrame([row for part in parts for row in part.pairs])
    trained = {name: trial.probes for name, trial in trials.items()}
    record = selection_record(trained) | {
        "evaluation": parts[0].evaluation,
        "threshold": _threshold_record(settings.threshold, trials, thresholds),
        "calibration": settings.calibration,
    }
    return PairResult(
        settings,
        source,
        table,
        macro_means(table),
        pd.DataFrame([row for part in parts for row in part.transfer]),
        pd.concat([scores for part in parts for scores in part.scores], ignore_index=True),
        record,
        (
            *remarks_on_sources(source.get("model", ""), settings.folds),
            *parts[0].notes,
            *remarks_on_pairs(table),
            *remarks_on_probes(trained),
        ),
        trials,
    )


def _in_order(question: Question, rows: Sequence[Row]) -> list[Row]:
    """The rows of a table by training set, then by test set."""
    order = {pool.name: number for number, pool in enumerate(question.trains)}
    return sorted(rows, key=lambda row: order[str(row["train"])])  # a stable sort


def _binary(question: Question, trial: Trial, thresholds: Float[np.ndarray, " p"]) -> BinaryScores:
    units = question.units
    generators, domains = learned(question.samples, trial.train)
    return BinaryScores(
        train=trial.name,
        n_train=int(trial.train.sum()),
        generators=generators,
        domains=domains,
        scores=units.combine(trial.decisions),
        thresholds=thresholds[units.part],
        leaked=units.any(trial.leaked),
        probabilistic=trial.probabilistic,
        prior=np.array([probe.log_prior_odds for probe in trial.probes])[units.part],
    )


def _transfer(
    units: Units, one: BinaryScores, thresholds: Float[np.ndarray, " p"], test: Pool, rows: Mask
) -> dict[str, str | float] | None:
    """What the training side's threshold costs on the test samples; None where there is no such threshold."""
    if np.isnan(thresholds).any() or not rows.any():
        return None
    labels = units.table["label"].to_numpy()[rows]
    margins = (one.scores - thresholds[units.part])[rows]
    return {"train": one.train, "test": test.name, **threshold_transfer(labels, margins, 0.0)}


def _thresholds(trial: Trial, rule: str, required: bool = True) -> Float[np.ndarray, " p"]:
    """The threshold of each of the trial's probes.

    Raises:
        ProbeError: there are no samples to find one on.
    """
    found = []
    for held in trial.held_out:
        if rule == "0.5":
            found.append(0.0)
        elif held is None:
            if required:
                raise ProbeError(
                    f"threshold {rule}: {trial.name} has no samples of both classes to find it on, neither val nor "
                    "held-out training samples. Add a val split, or use 0.5."
                )
            found.append(np.nan)
        else:
            found.append(find_threshold(rule, held.classes, held.decisions))
    return np.array(found)


def _threshold_record(
    name: str, trials: Mapping[str, Trial], thresholds: Mapping[str, Float[np.ndarray, " p"]]
) -> dict[str, JSONValue]:
    held = dict.fromkeys(one.by for trial in trials.values() for one in trial.held_out if one)
    found_on = f" on {'; '.join(held)} of the training side" if name != "0.5" else ""
    return {
        "name": name,
        "by": THRESHOLDS[name] + found_on,
        "values": {train: values.tolist() for train, values in thresholds.items()},
    }


def _makers(pool: Pool) -> frozenset[str]:
    """The generators of `lama@celeba+ldm@celeba`."""
    return frozenset(maker.rpartition("@")[0] for maker in pool.makers)
