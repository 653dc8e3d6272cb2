"""Attribution: which generator made an image, real images being a class of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Float, Int, Labels, Mask, Scores
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.manifest import REAL
from probekit.metrics.bootstrap import UNDEFINED, Interval, resample
from probekit.probes.classifier import probabilities
from probekit.probes.selection import TrainedProbe, selection_record, train_turns
from probekit.protocols import (
    Partition,
    Pool,
    describe,
    evaluation,
    leaked,
    learned_from,
    members,
    part_numbers,
    partitions,
    pool_name,
    require_finite,
    tested,
    trainable_pools,
    turns,
)


@dataclass(frozen=True)
class AttributionSettings:
    """Which generators are told apart, and how; all of it decides the numbers."""

    generators: str = "all"
    """A comma list or `all`: one class each beside real; `lama+ldm` makes one class of both."""
    probe: str = "logistic"
    condition: str = "zscore"
    C: float | None = None
    """Inverse regularisation strength; None chooses it by cross-validation inside the training samples."""
    folds: int = 0
    """0 uses the split of the manifest; K scores every sample out of fold by group."""
    seed: int = 0
    bootstrap: int = 1000
    """Replicates of the group bootstrap; 0 gives no intervals."""

    def __post_init__(self) -> None:
        if self.bootstrap < 0:
            raise UsageError(f"--bootstrap {self.bootstrap}: the number of replicates is 0 or more.")


@dataclass(frozen=True)
class AttributionResult:
    """How well the classes are told apart, with the predictions the numbers were computed from."""

    settings: AttributionSettings
    source: dict[str, str]
    """Model, tap, view and precision of the features."""
    classes: tuple[str, ...]
    """`real` first, then the generators."""
    overall: dict[str, int | float]
    """n_train, n_test, n_groups, leaks, acc, balanced_acc (mean recall of the classes tested) and their 95 %
    intervals acc_lo, acc_hi, balanced_acc_lo, balanced_acc_hi."""
    binary: dict[str, float]
    """Every metric of the task collapsed to real against fake (score 1 − p(real), threshold 0.5), and auc_lo
    and auc_hi."""
    per_class: pd.DataFrame
    """One row a class: class, n_train, n_test, recall, recall_lo, recall_hi."""
    confusion: pd.DataFrame
    """Counts, true classes as rows and predicted classes as columns, both axes named."""
    predictions: pd.DataFrame
    """One row a test sample: path, generator, domain, label, group, true, predicted, score (log-odds of fake,
    which orders samples as 1 − p(real) does without running into 1) and p_CLASS for each class."""
    selection: dict[str, JSONValue]
    """What chose C and how each fit converged."""
    notes: tuple[str, ...]
    """What a reader must know: generators left out, classes never tested, leaks, unconverged fits."""

    def to_json(self) -> dict[str, JSONValue]:
        """One run: task, probe, model, tap, view, precision, selection, numbers; undefined is null."""
        return {
            "task": "attribution",
            "probe": self.settings.probe,
            **self.source,
            "evaluation": self.selection["evaluation"],
            "selection": self.selection,
            "classes": list(self.classes),
            **metrics.json_row(self.overall),
            "binary": metrics.json_row(self.binary),
            "per_class": [metrics.json_row(row) for row in self.per_class.to_dict("records")],
            "confusion": self.confusion.to_numpy().tolist(),
            "notes": list(self.notes),
        }


def attribute(features: FeatureSet, settings: AttributionSettings) -> AttributionResult:
    """One probe over real and every generator, scored on test samples of the same classes.

    Raises:
        ProbeError: a class without training samples.
        ModelError: a feature is not finite.
        UnknownNameError: a generator, probe or condition that does not exist.
    """
    samples = features.samples
    require_finite(samples, features.blocks)
    divided = partitions(samples, settings.folds, settings.seed)
    pools, notes = trainable_pools(settings.generators, samples, divided, settings.folds)
    _require_disjoint(pools)
    names = (REAL, *(pool_name(pool) for pool in pools))
    learned = _Learned.fit(features, divided, pools, settings)
    table = _predictions(samples, learned, names)
    overall, binary, per_class = _evaluate(table, learned, names, settings)
    trained = {"+".join(names[1:]): learned.probes}
    return AttributionResult(
        settings,
        describe(features.sources),
        names,
        overall,
        binary,
        per_class,
        _confusion(table, names),
        table,
        selection_record(trained) | {"evaluation": evaluation(divided, settings.folds)},
        (*notes, *_remarks(overall, binary, per_class, learned.probes)),
    )


@dataclass(frozen=True)
class _Learned:
    """The probes, and what they say of every sample they were asked about."""

    probes: list[TrainedProbe]
    classes: Labels
    """The class number of every sample; −1 for generators that are not asked about."""
    rows: Mask
    """Samples that any of the probes learned from."""
    scored: Mask
    leaked: Mask
    decisions: Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]
    """Log-odds of the one generator, or a logit a class."""
    folds: Int[np.ndarray, " n"]
    """The number of the probe that scores a sample."""

    @classmethod
    def fit(
        cls,
        features: FeatureSet,
        divided: Sequence[Partition],
        pools: Sequence[Pool],
        settings: AttributionSettings,
    ) -> "_Learned":
        samples, classes = features.samples, _classes(features.samples, pools)
        everything: Pool = tuple(name for pool in pools for name in pool)
        scored = members(samples, everything, tested(divided))
        taken = turns(samples, everything, divided, scored, settings.seed)
        probes, decisions = train_turns(
            features.matrix,
            classes,
            taken,
            probe=settings.probe,
            condition=settings.condition,
            widths=features.widths,
            C=settings.C,
        )
        rows, leaks = learned_from(taken), leaked(samples, taken)
        return cls(probes, classes, rows, scored, leaks, decisions, part_numbers(divided))


def _require_disjoint(pools: Sequence[Pool]) -> None:
    named = [name for pool in pools for name in pool]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice:
        raise UsageError(f"generator {twice!r} is part of two classes: an image has one, name it once.")


def _classes(samples: pd.DataFrame, pools: Sequence[Pool]) -> Labels:
    """0 for real, 1 + the number of its pool for a fake, −1 for generators in no pool."""
    number = {name: i for i, pool in enumerate(pools, start=1) for name in pool}
    fakes = samples["generator"].map(number).fillna(-1).to_numpy(dtype=np.int64)
    classes: Labels = np.where(samples["label"].to_numpy() == 0, 0, fakes)
    return classes


def _log_odds_of_fake(logits: Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]) -> Scores:
    """Log-odds, log (1 − p(real)) − log p(real), with real the first class."""
    if logits.ndim == 1:
        return logits
    odds: Scores = np.logaddexp.reduce(logits[:, 1:], axis=1) - logits[:, 0]
    return odds


def _predictions(samples: pd.DataFrame, learned: _Learned, names: Sequence[str]) -> pd.DataFrame:
    scored = learned.scored
    labels = np.array(names, dtype=object)
    shares = probabilities(learned.decisions[scored])
    table = samples.loc[scored, ["path", "generator", "domain", "label", "group"]].reset_index(drop=True)
    table["true"] = labels[learned.classes[scored]]
    table["predicted"] = labels[shares.argmax(axis=1)]
    table["score"] = _log_odds_of_fake(learned.decisions[scored])
    for name, column in zip(names, shares.T, strict=True):
        table[f"p_{name}"] = column
    return table


def _evaluate(
    table: pd.DataFrame, learned: _Learned, names: Sequence[str], settings: AttributionSettings
) -> tuple[dict[str, int | float], dict[str, float], pd.DataFrame]:
    groups, labels, scores = (table[name].to_numpy() for name in ("group", "label", "score"))
    classes, folds = learned.classes[learned.scored], learned.folds[learned.scored]
    right = (table["true"] == table["predicted"]).to_numpy(dtype=np.float64)
    draws = resample(groups, settings.bootstrap, settings.seed)
    recalls = []
    for number, name in enumerate(names):
        own = classes == number
        low, high = resample(groups[own], settings.bootstrap, settings.seed).mean(right[own])
        recalls.append(
            {
                "class": name,
                "n_train": int(np.sum(learned.rows & (learned.classes == number))),
                "n_test": int(own.sum()),
                "recall": float(right[own].mean()) if own.any() else float("nan"),
                "recall_lo": low,
                "recall_hi": high,
            }
        )
    per_class = pd.DataFrame(recalls)
    overall: dict[str, int | float] = {
        "n_train": int(learned.rows.sum()),
        "n_test": len(table),
        "n_groups": len(np.unique(groups)),
        "leaks": len(np.unique(groups[learned.leaked[learned.scored]])),
        "acc": float(right.mean()) if len(right) else float("nan"),
        "balanced_acc": float(per_class["recall"].mean()),
        **_bounds("acc", draws.mean(right)),
        **_bounds("balanced_acc", draws.class_mean(right, classes) if len(right) else UNDEFINED),
    }
    binary = metrics.measure(labels, scores, folds=folds) | _bounds("auc", draws.auc(labels, scores, folds))
    return overall, binary, per_class


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_lo": interval[0], f"{name}_hi": interval[1]}


def _confusion(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    counts = pd.crosstab(table["true"], table["predicted"]).reindex(
        index=list(names), columns=list(names), fill_value=0
    )
    return counts.rename_axis(index="true", columns="predicted")


def _remarks(
    overall: dict[str, int | float],
    binary: dict[str, float],
    per_class: pd.DataFrame,
    probes: Sequence[TrainedProbe],
) -> list[str]:
    """One line for each thing in the numbers that they do not show by themselves."""
    lines = [
        f"{name}: no test samples, its recall is undefined and left out of the balanced accuracy."
        for name in per_class.loc[per_class["n_test"] == 0, "class"]
    ]
    if math.isnan(binary["auc"]) and not (per_class["n_test"] == 0).any():
        lines.append(f"real against fake: {metrics.INCOMPARABLE}")
    if overall["leaks"]:
        lines.append(f"{overall['leaks']} groups of the test samples were trained on too: a leak.")
    bad = sum(not probe.classifier.converged for probe in probes)
    if bad:
        lines.append(f"{bad} of {len(probes)} probes had not converged, see the gradient.")
    return lines
