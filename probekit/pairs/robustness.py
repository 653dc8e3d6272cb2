"""Robustness: probes of clean images, asked about the same images perturbed."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Int
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.pairs.result import PairResult
from probekit.pairs.scoring import OnProgress, Question, answer, train_all
from probekit.pairs.settings import PairSettings
from probekit.protocols import IDENTITY, Partition, describe, require_finite
from probekit.trials import Trial, units_of

CLEAN = "clean"


@dataclass(frozen=True)
class Robustness:
    """How every pair holds up under every perturbation."""

    clean: PairResult
    table: pd.DataFrame
    """perturb (`clean` first), train, test, n_test, every metric, auc_lo, auc_hi, and drop: by how much the AUC is
    below that of the clean images of the same samples."""
    notes: tuple[str, ...]

    def to_json(self) -> list[dict[str, JSONValue]]:
        """The table as JSON can hold it."""
        return [metrics.json_row(row) for row in self.table.to_dict("records")]


def score_robustness(
    features: FeatureSet,
    perturbed: Mapping[str, FeatureSet],
    settings: PairSettings,
    *,
    device: str = "cpu",
    on_progress: OnProgress | None = None,
) -> Robustness:
    """Probes trained on clean images, thresholds and calibration included, scored on perturbed test images.

    Args:
        features: of unperturbed images.
        perturbed: name of a perturbation → features of the same model and tap; samples without such features are left
            out of that perturbation's numbers, and noted.
        settings: as for `score_pairs`, with one seed.
        device: where to compute.
        on_progress: called after every training set.

    Raises:
        UsageError: several seeds, no perturbation, features of another width, or none of the test samples.
    """
    if not perturbed:
        raise UsageError(
            "there are no perturbed features to test on: extract some with --perturb jpeg:75,blur:sigma=2."
        )
    if settings.seeds > 1:
        raise UsageError("a robustness table is of one seed: leave --seeds out.")
    require_finite(features.samples, features.blocks)
    question = Question.of(features.samples, settings)
    trials = train_all(question, features, device, on_progress)
    clean = answer(question, trials, describe(features.sources))
    tables, notes = [clean.pairs.assign(perturb=CLEAN, drop=clean.pairs["auc"] * 0.0)], list(clean.notes)
    for name, variant in perturbed.items():
        if variant.widths != features.widths:
            raise UsageError(f"{name}: features are {variant.widths} wide, those of clean images {features.widths}.")
        require_finite(variant.samples, variant.blocks)
        there, place = _common(features.samples, variant.samples, name)
        missing = int(question.units.rows.sum() - question.units.rows[there].sum())
        if missing == question.units.rows.sum():
            raise UsageError(f"{name}: none of the test samples has such features: extract them with --perturb {name}.")
        fewer, own = _restricted(question, trials, there)
        before = answer(fewer, own, {}).pairs if missing else clean.pairs
        perturbed_trials = {key: replace(one, decisions=one.decide(variant.matrix[place])) for key, one in own.items()}
        after = answer(fewer, perturbed_trials, {}).pairs
        tables.append(after.assign(perturb=name, drop=before["auc"] - after["auc"]))
        if missing:
            notes.append(f"{name}: {missing} test samples have no such features and are left out.")
    kept = ["perturb", "train", "test", "n_test", *metrics.names(), "auc_lo", "auc_hi", "drop"]
    return Robustness(clean, pd.concat(tables, ignore_index=True)[kept], tuple(dict.fromkeys(notes)))


def _restricted(
    question: Question, trials: Mapping[str, Trial], there: Int[np.ndarray, " m"]
) -> tuple[Question, dict[str, Trial]]:
    """The question and the trials on fewer samples."""
    samples = question.samples.iloc[there].reset_index(drop=True)
    divided = [Partition(part.train[there], part.val[there], part.test[there]) for part in question.divided]
    units = units_of(samples, divided, question.units.rows[there], question.settings)
    own = {
        name: replace(
            trial,
            train=trial.train[there],
            leaked=trial.leaked[there],
            tests=tuple(test[there] for test in trial.tests),
            decisions=trial.decisions[there],
        )
        for name, trial in trials.items()
    }
    return replace(question, samples=samples, divided=divided, units=units), own


def _common(ours: pd.DataFrame, theirs: pd.DataFrame, name: str) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Rows of the samples that both have, in our order, by identity.

    Raises:
        UsageError: one of them has several crops an image and the other has not.
    """
    keys = [column for column in IDENTITY if column in ours or column in theirs]
    if ("crop" in ours) != ("crop" in theirs):
        raise UsageError(f"{name}: these features and those of clean images must both be means over crops, or neither.")
    both = (
        ours[keys]
        .assign(ours=np.arange(len(ours)))
        .merge(theirs[keys].assign(theirs=np.arange(len(theirs))), on=keys, how="inner", validate="one_to_one")
    )
    both = both.sort_values("ours")
    return both["ours"].to_numpy(), both["theirs"].to_numpy()
