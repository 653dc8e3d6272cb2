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
from probekit.protocols import Partition, describe, require_finite
from probekit.trials import Trial, units_of

CLEAN = "clean"
IDENTITY = ("path", "member", "frame", "x0", "y0", "x1", "y1", "crop")
"""Columns that tell samples apart, as far as a manifest has them."""


@dataclass(frozen=True)
class Robustness:
    """How every pair holds up under every perturbation."""

    clean: PairResult
    table: pd.DataFrame
    """perturb (`clean` first), train, test, n_test, every metric, auc_lo, auc_hi, and drop: AUC less that of clean."""
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
        UsageError: several seeds, no perturbation, or features of another width.
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
    tables, notes = [clean.pairs.assign(perturb=CLEAN)], list(clean.notes)
    for name, variant in perturbed.items():
        if variant.widths != features.widths:
            raise UsageError(f"{name}: features are {variant.widths} wide, those of clean images {features.widths}.")
        require_finite(variant.samples, variant.blocks)
        own, lines = _ask(question, trials, features, variant)
        tables.append(own.assign(perturb=name))
        notes += [f"{name}: {line}" for line in lines]
    table = pd.concat(tables, ignore_index=True).set_index(["train", "test"])
    table["drop"] = table["auc"] - clean.pairs.set_index(["train", "test"])["auc"].reindex(table.index)
    kept = ["perturb", "train", "test", "n_test", *metrics.names(), "auc_lo", "auc_hi", "drop"]
    return Robustness(clean, table.reset_index()[kept], tuple(dict.fromkeys(notes)))


def _ask(
    question: Question, trials: Mapping[str, Trial], features: FeatureSet, variant: FeatureSet
) -> tuple[pd.DataFrame, list[str]]:
    """The pairs of one perturbation, and what a reader must know of them."""
    there, place = _common(features.samples, variant.samples)
    matrix = variant.matrix[place]
    samples = features.samples.iloc[there].reset_index(drop=True)
    divided = [Partition(part.train[there], part.val[there], part.test[there]) for part in question.divided]
    units = units_of(samples, divided, question.units.rows[there], question.settings)
    own = replace(question, samples=samples, divided=divided, units=units)
    asked = {}
    for name, trial in trials.items():
        tests = tuple(test[there] for test in trial.tests)
        moved = replace(trial, train=trial.train[there], leaked=trial.leaked[there], tests=tests)
        asked[name] = replace(moved, decisions=moved.decide(matrix))
    missing = int(question.units.rows.sum() - question.units.rows[there].sum())
    lines = [f"{missing} test samples have no such features and are left out."] if missing else []
    return answer(own, asked, {}).pairs, lines


def _common(ours: pd.DataFrame, theirs: pd.DataFrame) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Rows of the samples that both have, in our order, by identity."""
    keys = [name for name in IDENTITY if name in ours and name in theirs]
    both = (
        ours[keys]
        .assign(ours=np.arange(len(ours)))
        .merge(theirs[keys].assign(theirs=np.arange(len(theirs))), on=keys, how="inner", validate="one_to_one")
    )
    both = both.sort_values("ours")
    return both["ours"].to_numpy(), both["theirs"].to_numpy()
