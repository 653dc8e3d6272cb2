"""Separability: how well a linear probe tells every two generators apart, real images among them.

A probe with nothing to tune learns one generator from the other and scores groups that it did not learn from; what it
needs to choose, it chooses inside its training groups. Its AUC is .5 where the features hold no linear difference.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from probekit.arrays import Int, Labels, Mask
from probekit.comparison.samples import Pair, classes_of, pairs_of, remarks_on_domains, restrict
from probekit.comparison.verdicts import ends
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import json_row
from probekit.metrics.bootstrap import resample
from probekit.metrics.curves import weighted_auc
from probekit.protocols import Partition, evaluation, part_numbers, partitions, require_finite, tested
from probekit.trials import TrainingSet, Trial, TrialSettings, run_trials

FOLDS = 5


@dataclass(frozen=True)
class SeparabilitySettings:
    """What decides the numbers."""

    trial: TrialSettings = field(default_factory=lambda: TrialSettings(probe="ridge", folds=FOLDS))
    """How probes are trained and judged. Ridge chooses C exactly, in closed form, by leaving groups out."""
    generators: tuple[str, ...] | None = None
    """Compare these, and real images; None takes all."""


@dataclass(frozen=True, eq=False)
class SeparabilityResult:
    """How well every two generators are told apart."""

    reference: str
    settings: SeparabilitySettings
    evaluation: str
    """`5-fold out of fold by group`."""
    classes: tuple[str, ...]
    pairs: pd.DataFrame
    """Rows a, b (each pair once): auc, auc_lo, auc_hi, n_a, n_b (scored), n_groups; NaN where nothing is learned."""
    notes: tuple[str, ...]

    def matrix(self) -> pd.DataFrame:
        """The AUCs as a symmetric matrix; NaN on its diagonal."""
        found = pd.DataFrame(np.nan, self.classes, self.classes)
        for a, b, auc in self.pairs[["a", "b", "auc"]].itertuples(index=False):
            found.loc[a, b] = found.loc[b, a] = auc
        return found

    @property
    def verdicts(self) -> list[str]:
        """The pairs that are told apart worst and best."""
        words = ("hardest to tell apart", "easiest")
        said = ends(self.pairs, "auc", words, "AUC", null=0.5)
        return [f"{said} ({self.evaluation})."] if said else []

    def to_json(self) -> dict[str, JSONValue]:
        """Everything."""
        return {
            "settings": plain(self.settings),
            "evaluation": self.evaluation,
            "classes": list(self.classes),
            "verdicts": self.verdicts,
            "pairs": [json_row(row) for row in self.pairs.to_dict("records")],
            "notes": list(self.notes),
        }


def separate(
    features: FeatureSet,
    settings: SeparabilitySettings,
    *,
    device: str = "cpu",
    on_progress: Callable[[int, int], None] | None = None,
) -> SeparabilityResult:
    """The AUC of every two generators in these features.

    Args:
        features: of all samples.
        settings: what decides the numbers.
        device: where probes are trained.
        on_progress: is told pairs done and in all.

    Raises:
        ModelError: a feature is not finite.
        UnknownNameError: there is no such generator.
        UsageError: there is one generator only, or videos are asked for.
    """
    trial = settings.trial
    if trial.aggregate is not None:
        raise UsageError("separability is asked of images: leave the aggregation out.")
    features = restrict(features, settings.generators)
    require_finite(features.samples, features.blocks)
    pairs = pairs_of(features.samples)
    divided = partitions(features.samples, trial.folds, trial.seed)
    groups = features.samples["group"].to_numpy()
    reasons = [_why_not(pair, divided, groups) for pair in pairs]
    asked = [
        TrainingSet(f"{pair.a} and {pair.b}", pair.of_b.astype(np.int64), pair.of_a | pair.of_b)
        for pair, reason in zip(pairs, reasons, strict=True)
        if not reason
    ]
    trials = run_trials(asked, features, divided, tested(divided), trial, device=device)
    rows = []
    for place, (pair, reason) in enumerate(zip(pairs, reasons, strict=True), start=1):
        rows.append(_judge(pair, None if reason else next(trials), divided, groups, trial))
        if on_progress is not None:
            on_progress(place, len(pairs))
    notes = [*remarks_on_domains(features.samples, pairs), *filter(None, reasons)]
    return SeparabilityResult(
        features.reference,
        settings,
        evaluation(divided, trial.folds),
        tuple(classes_of(features.samples)),
        pd.DataFrame(rows),
        tuple(notes),
    )


def _judge(
    pair: Pair, trial: Trial | None, divided: Sequence[Partition], groups: Labels, settings: TrialSettings
) -> dict[str, str | int | float]:
    rows = (pair.of_a | pair.of_b) & tested(divided)
    labels: Int[np.ndarray, " t"] = pair.of_b[rows].astype(np.int64)
    auc = low = high = float("nan")
    if trial is not None:
        scores, parts = trial.decisions[rows], part_numbers(divided)[rows]
        auc = float(weighted_auc(labels, scores, np.ones((1, len(labels))), parts)[0])
        draws = resample(groups[rows], settings.bootstrap, settings.seed)
        low, high = draws.auc(labels, scores, parts)
    return {
        "a": pair.a,
        "b": pair.b,
        "auc": auc,
        "auc_lo": low,
        "auc_hi": high,
        "n_a": int(np.sum(labels == 0)),
        "n_b": int(np.sum(labels == 1)),
        "n_groups": len(np.unique(groups[rows])),
    }


def _why_not(pair: Pair, divided: Sequence[Partition], groups: Labels) -> str:
    """Why these two cannot be told apart by learning; empty where they can."""
    for name, rows in ((pair.a, pair.of_a), (pair.b, pair.of_b)):
        if not rows.any():
            other = pair.b if name == pair.a else pair.a
            return f"{pair.a} and {pair.b}: there are no images of {name} in the domains of {other}."
        if not (rows & tested(divided)).any():
            return f"{pair.a} and {pair.b}: no images of {name} are tested."
        fewest = min(_groups_in(rows & part.train, groups) for part in divided)
        if fewest < 2:
            return f"{pair.a} and {pair.b}: {name} has too few groups to learn from and choose by, 2 are needed."
    return ""


def _groups_in(rows: Mask, groups: Labels) -> int:
    return len(np.unique(groups[rows]))
