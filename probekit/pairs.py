"""The train/test matrix: a probe for each training generator, scored on the images of each test generator."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Int, Mask, Scores
from probekit.errors import ProbeError, UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.metrics.bootstrap import Resampling, resample
from probekit.metrics.thresholds import THRESHOLDS, find_threshold
from probekit.probes.selection import TrainedProbe, selection_record, train_turns
from probekit.protocols import (
    Partition,
    Pool,
    describe,
    evaluation,
    leaked,
    learned_from,
    members,
    missing_class,
    parse_pools,
    part_numbers,
    partitions,
    pool_name,
    require_finite,
    tested,
    trainable_pools,
    turns,
)
from probekit.registry import unknown_name


@dataclass(frozen=True)
class PairSettings:
    """What is trained, what it is tested on, and how; all of it decides the numbers."""

    train: str = "all"
    """A generator, a comma list or `all`: one probe each; `lama+ldm` trains one probe on both."""
    test: str = "all"
    probe: str = "logistic"
    condition: str = "zscore"
    C: float | None = None
    """Inverse regularisation strength; None chooses it by cross-validation inside the training samples."""
    folds: int = 0
    """0 uses the split of the manifest; K scores every sample out of fold by group."""
    seed: int = 0
    bootstrap: int = 1000
    """Replicates of the group bootstrap; 0 gives no intervals."""
    threshold: str = "0.5"
    """A name in `metrics.thresholds.THRESHOLDS`."""

    def __post_init__(self) -> None:
        if self.threshold not in THRESHOLDS:
            raise unknown_name("threshold", self.threshold, THRESHOLDS)
        if self.threshold != "0.5" and self.folds:
            raise UsageError(f"threshold {self.threshold} needs a val split, and out of fold there is none: use 0.5.")
        if self.bootstrap < 0:
            raise UsageError(f"--bootstrap {self.bootstrap}: the number of replicates is 0 or more.")


@dataclass(frozen=True)
class PairResult:
    """Numbers for every pair, with the scores they were computed from and how every probe was chosen."""

    settings: PairSettings
    source: dict[str, str]
    """Model, tap, view and precision of the features."""
    pairs: pd.DataFrame
    """train, test, n_train, n_test, n_real, n_fake, n_groups, leaks, every metric, and the 95 % intervals
    acc_lo, acc_hi, auc_lo, auc_hi; NaN where undefined. The AUC compares samples of one fold only, see
    `metrics.measure`. `leaks` counts groups of the test samples that were trained on too."""
    scores: pd.DataFrame
    """One row a training set and scored sample: train, path, generator, domain, label, group, part, score
    (log-odds of fake) and threshold (a sample is called fake above it)."""
    selection: dict[str, JSONValue]
    """What chose C and the threshold, and how each fit converged."""
    notes: tuple[str, ...]
    """What a reader must know: generators left out, empty pairs, leaks, fits that did not converge."""

    def matrix(self, metric: str) -> pd.DataFrame:
        """One metric, training sets as rows and test sets as columns, axes named, in the order asked for."""
        table = self.pairs.pivot(index="train", columns="test", values=metric)
        return table.loc[self.pairs["train"].unique(), self.pairs["test"].unique()]

    def to_json(self) -> dict[str, JSONValue]:
        """One run: task, probe, model, tap, view, precision, selection, pairs, notes; undefined is null."""
        return {
            "task": "binary",
            "probe": self.settings.probe,
            **self.source,
            "evaluation": self.selection["evaluation"],
            "selection": self.selection,
            "pairs": [metrics.json_row(row) for row in self.pairs.to_dict("records")],
            "notes": list(self.notes),
        }


def score_pairs(features: FeatureSet, settings: PairSettings) -> PairResult:
    """Every pair of a training and a test generator, real images coming from the fakes' own domain.

    Raises:
        ProbeError: a training set without fakes or without real images.
        ModelError: a feature is not finite.
        UnknownNameError: a generator, probe, condition or threshold that does not exist.
    """
    samples = features.samples
    require_finite(samples, features.blocks)
    divided = partitions(samples, settings.folds, settings.seed)
    trains, notes = trainable_pools(settings.train, samples, divided, settings.folds)
    tests = {pool: members(samples, pool, tested(divided)) for pool in parse_pools(settings.test, samples)}
    draws = {
        pool: resample(samples["group"].to_numpy()[rows], settings.bootstrap, settings.seed)
        for pool, rows in tests.items()
    }
    scored = np.logical_or.reduce(list(tests.values()))
    trained, pairs, scores = {}, [], []
    for train in trains:
        learned = _Learned.fit(features, divided, train, scored, settings)
        trained[pool_name(train)] = learned.probes
        scores.append(_score_rows(samples, train, scored, learned))
        pairs += [_pair(samples, rows, draws[test], learned, train=train, test=test) for test, rows in tests.items()]
    table = pd.DataFrame(pairs)
    selection = selection_record(trained) | {
        "evaluation": evaluation(divided, settings.folds),
        "threshold": {"name": settings.threshold, "by": THRESHOLDS[settings.threshold]},
    }
    return PairResult(
        settings,
        describe(features.sources),
        table,
        pd.concat(scores, ignore_index=True),
        selection,
        (*notes, *_remarks(table, trained)),
    )


@dataclass(frozen=True)
class _Learned:
    """The probes of one training set and what they say of every sample."""

    probes: list[TrainedProbe]
    rows: Mask
    """Samples that any of the probes learned from."""
    leaked: Mask
    scores: Scores
    thresholds: Scores
    folds: Int[np.ndarray, " n"]
    """The number of the probe that scores a sample."""

    @classmethod
    def fit(
        cls,
        features: FeatureSet,
        divided: Sequence[Partition],
        pool: Pool,
        scored: Mask,
        settings: PairSettings,
    ) -> "_Learned":
        samples = features.samples
        taken = turns(samples, pool, divided, scored, settings.seed)
        probes, scores = train_turns(
            features.matrix,
            samples["label"].to_numpy(),
            taken,
            probe=settings.probe,
            condition=settings.condition,
            widths=features.widths,
            C=settings.C,
        )
        thresholds = np.full(len(samples), np.nan)
        for probe, turn, partition in zip(probes, taken, divided, strict=True):
            thresholds[turn.test] = _threshold(features, probe, pool, partition, settings)
        return cls(probes, learned_from(taken), leaked(samples, taken), scores, thresholds, part_numbers(divided))


def _threshold(
    features: FeatureSet, probe: TrainedProbe, pool: Pool, partition: Partition, settings: PairSettings
) -> float:
    """The log-odds above which a sample is called fake."""
    if settings.threshold == "0.5":
        return 0.0
    rows = members(features.samples, pool, partition.val)
    reason = missing_class(features.samples, pool, rows, "in the val split")
    if reason:
        raise ProbeError(f"threshold {settings.threshold}: {reason}")
    labels = features.samples["label"].to_numpy()[rows]
    return find_threshold(settings.threshold, labels, probe.decision_function(features.matrix[rows]))


def _pair(
    samples: pd.DataFrame, rows: Mask, draws: Resampling, learned: _Learned, *, train: Pool, test: Pool
) -> dict[str, str | int | float]:
    labels, groups = samples["label"].to_numpy()[rows], samples["group"].to_numpy()
    margins, folds = learned.scores[rows] - learned.thresholds[rows], learned.folds[rows]
    right = ((margins > 0) == (labels == 1)).astype(np.float64)
    acc_lo, acc_hi = draws.mean(right)
    auc_lo, auc_hi = draws.auc(labels, margins, folds)
    return {
        "train": pool_name(train),
        "test": pool_name(test),
        "n_train": int(learned.rows.sum()),
        "n_test": int(rows.sum()),
        "n_real": int(np.sum(labels == 0)),
        "n_fake": int(np.sum(labels == 1)),
        "n_groups": len(np.unique(groups[rows])),
        "leaks": len(np.unique(groups[rows & learned.leaked])),
        **metrics.measure(labels, learned.scores[rows], learned.thresholds[rows], folds),
        "acc_lo": acc_lo,
        "acc_hi": acc_hi,
        "auc_lo": auc_lo,
        "auc_hi": auc_hi,
    }


def _score_rows(samples: pd.DataFrame, train: Pool, scored: Mask, learned: _Learned) -> pd.DataFrame:
    table = samples.loc[scored, ["path", "generator", "domain", "label", "group"]].reset_index(drop=True)
    table.insert(0, "train", pool_name(train))
    table["part"] = learned.folds[scored]
    table["score"], table["threshold"] = learned.scores[scored], learned.thresholds[scored]
    return table


def _remarks(pairs: pd.DataFrame, trained: dict[str, list[TrainedProbe]]) -> list[str]:
    """One line for each thing in the numbers that they do not show by themselves."""
    lines = []
    for test, rows in pairs.groupby("test", sort=False):
        if rows["n_fake"].iloc[0] == 0 or rows["n_real"].iloc[0] == 0:
            missing = "fake" if rows["n_fake"].iloc[0] == 0 else "real"
            lines.append(f"tested on {test}: no {missing} samples among the test samples, metrics are undefined.")
        elif rows["auc"].isna().all():
            lines.append(f"tested on {test}: {metrics.INCOMPARABLE}")
    for row in pairs[pairs["leaks"] > 0].itertuples():
        lines.append(f"{row.train} → {row.test}: {row.leaks} groups of the test samples were trained on too: a leak.")
    for name, probes in trained.items():
        bad = sum(not probe.classifier.converged for probe in probes)
        if bad:
            lines.append(f"trained on {name}: {bad} of {len(probes)} probes had not converged, see the gradient.")
    return lines
