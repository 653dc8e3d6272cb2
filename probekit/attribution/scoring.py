"""Answers become numbers: of the classes, and of real against fake."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Mask
from probekit.attribution.answers import Answers
from probekit.attribution.question import Question
from probekit.attribution.result import AttributionResult
from probekit.attribution.settings import AttributionSettings
from probekit.features import FeatureSet
from probekit.metrics.bootstrap import UNDEFINED, Interval, resample
from probekit.metrics.curves import weighted_auc
from probekit.probes.trained import TrainedProbe, selection_record
from probekit.protocols import describe, remarks_on_sources, require_finite
from probekit.trials import (
    BinaryScores,
    Trial,
    given_trial,
    judge,
    macro_means,
    members_of,
    remarks_on_pairs,
    remarks_on_probes,
    run_trials,
)


def attribute(
    features: FeatureSet, settings: AttributionSettings, *, given: TrainedProbe | None = None, device: str = "cpu"
) -> AttributionResult:
    """Classes told apart, scored on test samples of the same classes; and real against fake on every test generator.

    Args:
        features: of all samples.
        settings: which generators, and how.
        given: the probe, where it was trained with its features: it is judged by the manifest's split. None trains one.
        device: where to compute.

    Raises:
        ProbeError: a class without training samples, or nothing to choose or calibrate on.
        UsageError: a generator in two classes, or an aggregation that logits of several classes do not have.
        ModelError: a feature is not finite.
        UnknownNameError: a generator, probe or condition that does not exist.
    """
    require_finite(features.samples, features.blocks)
    question = Question.of(features.samples, settings)
    asked, divided, scored = question.training_sets(), question.divided, question.units.rows
    if given is not None:
        found = [given_trial(asked[0], given, features, scored, settings)]
    else:
        found = list(run_trials(asked, features, divided, scored, settings, device=device))
    trials = {trial.name: trial for trial in found}
    answers = Answers.of(question, trials)
    collapsed = answers.binary(question, trials)
    table = answers.table(question)
    per_class = _per_class(question, answers, trials)
    overall = _overall(question, answers, trials, per_class)
    own = answers.numbers >= 0
    binary = _collapsed(question, collapsed, own)
    pairs = _pairs(question, collapsed)
    trained = {name: trial.probes for name, trial in trials.items()}
    source = describe(features.sources)
    remarks = [
        *remarks_on_sources(source["model"], settings.folds),
        *_remarks(overall, binary, per_class),
        *remarks_on_pairs(pairs),
        *remarks_on_probes(trained),
    ]
    return AttributionResult(
        settings,
        source,
        question.names,
        overall,
        binary,
        per_class,
        _confusion(table, question.names),
        pairs,
        macro_means(pairs),
        table,
        collapsed.table(question.units),
        selection_record(trained) | {"evaluation": question.evaluation, "calibration": settings.calibration},
        tuple(dict.fromkeys((*question.notes, *remarks))),
        trials,
    )


def _overall(
    question: Question, answers: Answers, trials: Mapping[str, Trial], per_class: pd.DataFrame
) -> dict[str, int | float]:
    """Accuracy over all classes, with its intervals."""
    own, units, settings = answers.numbers >= 0, question.units, question.settings
    numbers, groups = answers.numbers[own], units.table["group"].to_numpy()[own]
    right = (answers.decisions[own].argmax(axis=1) == numbers).astype(np.float64)
    leaked: Mask = np.logical_or.reduce([units.any(trial.leaked) for trial in trials.values()])[own]
    draws = resample(groups, settings.bootstrap, settings.seed)
    return {
        "n_train": int(_learned_from(trials).sum()),
        "n_test": int(own.sum()),
        "n_groups": len(np.unique(groups)),
        "leaks": len(np.unique(groups[leaked])),
        "acc": float(right.mean()) if len(right) else float("nan"),
        "balanced_acc": float(per_class["recall"].mean()),
        **_bounds("acc", draws.mean(right)),
        **_bounds("balanced_acc", draws.class_mean(right, numbers) if len(right) else UNDEFINED),
    }


def _per_class(question: Question, answers: Answers, trials: Mapping[str, Trial]) -> pd.DataFrame:
    """Recall and AUC of each class."""
    settings, groups = question.settings, question.units.table["group"].to_numpy()
    right = (answers.decisions.argmax(axis=1) == answers.numbers).astype(np.float64)
    train = _learned_from(trials)
    found = []
    for number, name in enumerate(question.names):
        rows = answers.numbers == number
        recall = float(right[rows].mean()) if rows.any() else float("nan")
        found.append(
            {
                "class": name,
                "n_train": int(np.sum(train & (question.classes == number))),
                "n_test": int(rows.sum()),
                "recall": recall,
                **_bounds("recall", resample(groups[rows], settings.bootstrap, settings.seed).mean(right[rows])),
                "auc": _class_auc(question, answers, number),
            }
        )
    return pd.DataFrame(found)


def _learned_from(trials: Mapping[str, Trial]) -> Mask:
    """Samples that any of the probes learned from."""
    found: Mask = np.logical_or.reduce([trial.train for trial in trials.values()])
    return found


def _class_auc(question: Question, answers: Answers, number: int) -> float:
    """AUC of a class's score, its own units against those of the other classes, or against real ones alone."""
    own = answers.numbers >= 0
    if question.settings.task == "one-vs-real":
        if number == 0:
            return float("nan")
        own = (answers.numbers == number) | (answers.numbers == 0)
    scores = answers.decisions[:, number]
    if question.settings.task == "attribution":  # a logit alone means nothing: its lead over the others does
        others = np.delete(answers.decisions, number, axis=1)
        scores = scores - (np.logaddexp.reduce(others, axis=1) if answers.shares is not None else others.max(axis=1))
    labels = (answers.numbers[own] == number).astype(np.int64)
    every = np.ones((1, len(labels)))
    return float(weighted_auc(labels, scores[own], every, question.units.part[own])[0])


def _collapsed(question: Question, scored: BinaryScores, own: Mask) -> dict[str, float]:
    table = question.units.table.loc[own]
    labels, part = table["label"].to_numpy(), question.units.part[own]
    draws = resample(table["group"].to_numpy(), question.settings.bootstrap, question.settings.seed)
    found = metrics.measure(labels, scored.scores[own], 0.0, part, probabilistic=scored.probabilistic)
    return found | _bounds("auc", draws.auc(labels, scored.scores[own], part))


def _pairs(question: Question, scored: BinaryScores) -> pd.DataFrame:
    rows = []
    for test in question.tests:
        groups = question.units.table["group"].to_numpy()[members_of(question.units, test)]
        draws = resample(groups, question.settings.bootstrap, question.settings.seed)
        rows += judge(question.units, test, [scored], draws)
    return pd.DataFrame(rows)


def _bounds(name: str, interval: Interval) -> dict[str, float]:
    return {f"{name}_lo": interval[0], f"{name}_hi": interval[1]}


def _confusion(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    counts = pd.crosstab(table["true"], table["predicted"]).reindex(
        index=list(names), columns=list(names), fill_value=0
    )
    return counts.rename_axis(index="true", columns="predicted")


def _remarks(overall: dict[str, int | float], binary: dict[str, float], per_class: pd.DataFrame) -> list[str]:
    """One line for each thing in the numbers that they do not show by themselves."""
    lines = [
        f"{name}: no test samples, its recall is undefined and left out of the balanced accuracy."
        for name in per_class.loc[per_class["n_test"] == 0, "class"]
    ]
    if math.isnan(binary["auc"]) and not (per_class["n_test"] == 0).any():
        lines.append(f"real against fake: {metrics.INCOMPARABLE}")
    if overall["leaks"]:
        lines.append(f"{overall['leaks']} groups of the test samples were trained on too: a leak.")
    return lines
