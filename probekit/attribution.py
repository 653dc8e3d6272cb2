"""Attribution: which generator made an image, real images being a class of their own.

Three ways to ask, all judged alike:

    attribution     one probe over real and every generator
    one-vs-real     a probe for each generator against real images; real where none of them says fake
    one-vs-rest     a probe for each class, real among them, against all others
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Float, Int, Labels, Mask, Scores
from probekit.errors import ProbeError, UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.manifest import REAL
from probekit.metrics.bootstrap import UNDEFINED, Interval, resample
from probekit.metrics.curves import weighted_auc
from probekit.probes.classifier import probabilities
from probekit.probes.trained import selection_record
from probekit.protocols import (
    ALL,
    Partition,
    Pool,
    describe,
    evaluation,
    fakes,
    members,
    parse_pools,
    partitions,
    require_finite,
    tested,
    trainable_pools,
)
from probekit.registry import unknown_name
from probekit.trials import (
    BinaryScores,
    Trial,
    TrialSettings,
    Units,
    judge,
    learned,
    macro_means,
    members_of,
    remarks_on_pairs,
    remarks_on_probes,
    run_trial,
    units_of,
)

TASKS = {
    "attribution": "one probe over real and every generator",
    "one-vs-real": "a probe for each generator against real images",
    "one-vs-rest": "a probe for each class, real among them, against all others",
}


@dataclass(frozen=True)
class AttributionSettings(TrialSettings):
    """Which generators are told apart, and how; all of it decides the numbers."""

    generators: str = "all"
    """A comma list or `all`: one class each beside real; `lama+ldm` makes one class of both."""
    test: str = "all"
    """What real against fake is tested on: generators that were not learned from may be among them. The classes'
    own numbers do not depend on it."""
    task: str = "attribution"
    """A name in `TASKS`."""
    train_domain: str | None = None
    """Learn from this domain alone, and test on `test_domain` alone; classes are generators that have fakes in both."""
    test_domain: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in TASKS:
            raise unknown_name("task", self.task, TASKS)
        if (self.train_domain is None) != (self.test_domain is None):
            raise UsageError("attribution across domains needs both, one to learn from and one to test on.")
        if self.selection == "robust":
            raise UsageError(f"--task {self.task}: a robust choice is for binary probes of several generators: use cv.")


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
    """Every metric of the task collapsed to real against fake over the classes, threshold 0.5, and auc_lo and
    auc_hi."""
    per_class: pd.DataFrame
    """One row a class: class, n_train, n_test, recall, recall_lo, recall_hi, auc (of its score against the other
    classes; one-vs-real: against real images)."""
    confusion: pd.DataFrame
    """Counts, true classes as rows and predicted classes as columns, both axes named."""
    pairs: pd.DataFrame
    """Real against fake for each test generator, learned from or not, as `pairs.PairResult.pairs`."""
    macro: pd.DataFrame
    """As `pairs.PairResult.macro`."""
    predictions: pd.DataFrame
    """One row a test sample (or video): path, generator, domain, label, group, true, predicted, score (log-odds of
    fake, which orders samples as 1 − p(real) does without running into 1) and p_CLASS for each class; score_CLASS where
    scores mean no probabilities."""
    selection: dict[str, JSONValue]
    """What chose condition and parameter, and how each fit converged."""
    notes: tuple[str, ...]
    """What a reader must know: generators left out, classes never tested, leaks, unconverged fits."""
    trials: Mapping[str, Trial] = field(default_factory=dict, repr=False, compare=False)
    """The probes by name: of all generators, or one for each class."""

    @property
    def oracle(self) -> bool:
        """Whether anything was chosen on test samples."""
        return bool(self.selection["oracle"])

    def to_json(self) -> dict[str, JSONValue]:
        """One run: task, probe, model, tap, view, precision, selection, numbers; undefined is null."""
        return {
            "task": self.settings.task,
            "probe": self.settings.probe,
            **self.source,
            "evaluation": self.selection["evaluation"],
            "selection": self.selection,
            "classes": list(self.classes),
            **metrics.json_row(self.overall),
            "binary": metrics.json_row(self.binary),
            "per_class": [metrics.json_row(row) for row in self.per_class.to_dict("records")],
            "confusion": self.confusion.to_numpy().tolist(),
            "pairs": [metrics.json_row(row) for row in self.pairs.to_dict("records")],
            "macro": [metrics.json_row(row) for row in self.macro.to_dict("records")],
            "notes": list(self.notes),
        }


def attribute(features: FeatureSet, settings: AttributionSettings, *, device: str = "cpu") -> AttributionResult:
    """Classes told apart, scored on test samples of the same classes; and real against fake on every test generator.

    Raises:
        ProbeError: a class without training samples.
        ModelError: a feature is not finite.
        UnknownNameError: a generator, probe or condition that does not exist.
    """
    require_finite(features.samples, features.blocks)
    question = _Question.of(features.samples, settings)
    trials = {
        name: question.train(name, features, labels, rows, device) for name, labels, rows in question.what_is_learned()
    }
    answers = _Answers.of(question, trials)
    scored = answers.binary(question, trials)
    table = answers.table(question)
    overall, per_class = _evaluate(question, answers, trials)
    own = answers.numbers >= 0
    binary = _collapsed(question, scored, own)
    pairs = _pairs(question, scored)
    trained = {name: trial.probes for name, trial in trials.items()}
    remarks = [*_remarks(overall, binary, per_class), *remarks_on_pairs(pairs), *remarks_on_probes(trained)]
    return AttributionResult(
        settings,
        describe(features.sources),
        question.names,
        overall,
        binary,
        per_class,
        _confusion(table, question.names),
        pairs,
        macro_means(pairs),
        table,
        selection_record(trained) | {"evaluation": question.evaluation, "calibration": settings.calibration},
        tuple(dict.fromkeys((*question.notes, *remarks))),
        trials,
    )


@dataclass(frozen=True, eq=False)
class _Question:
    """The classes, and which samples are learned from and scored."""

    samples: pd.DataFrame
    settings: AttributionSettings
    divided: Sequence[Partition]
    pools: Sequence[Pool]
    tests: Sequence[Pool]
    classes: Labels
    """0 for real, 1 + the number of its pool for a fake, −1 for generators that are not asked about."""
    units: Units
    notes: tuple[str, ...]

    @classmethod
    def of(cls, samples: pd.DataFrame, settings: AttributionSettings) -> "_Question":
        divided = partitions(samples, settings.folds, settings.seed)
        own = _in_domain(samples, settings.train_domain)
        learnable = [Partition(part.train & own, part.val, part.test) for part in divided]
        named = settings.generators != ALL
        pools, notes = trainable_pools(settings.generators, samples, learnable, settings.folds, named=named)
        if settings.test_domain:
            pools, more = _in_both_domains(pools, samples, settings)
            notes += more
        _require_disjoint(pools)
        there = _in_domain(samples, settings.test_domain)
        tests = parse_pools(settings.test, samples.loc[there])
        within = there & tested(divided)
        scored = np.logical_or.reduce([members(samples, pool, within) for pool in [*pools, *tests]])
        units = units_of(samples, divided, scored, settings)
        return cls(samples, settings, divided, pools, tests, _classes(samples, pools), units, tuple(notes))

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes, real first."""
        return (REAL, *(pool.name for pool in self.pools))

    @property
    def everything(self) -> Pool:
        """All generators that are learned from."""
        return Pool.of(*(maker for pool in self.pools for maker in pool.makers))

    @property
    def evaluation(self) -> str:
        """How the scores came about."""
        words = evaluation(self.divided, self.settings.folds)
        if self.settings.train_domain:
            words += f", learned on {self.settings.train_domain}, tested on {self.settings.test_domain}"
        return words

    def what_is_learned(self) -> list[tuple[str, Labels, Mask]]:
        """Name, class numbers and samples of each training set."""
        domain = _in_domain(self.samples, self.settings.train_domain)
        rows = members(self.samples, self.everything, domain)
        if self.settings.task == "attribution":
            return [("+".join(self.names[1:]), self.classes, rows)]
        found = []
        for number, name in enumerate(self.names):
            own = (self.classes == number).astype(np.int64)
            if self.settings.task == "one-vs-rest":
                found.append((name, own, rows))
            elif number:
                found.append((name, own, members(self.samples, self.pools[number - 1], domain)))
        return found

    def train(self, name: str, features: FeatureSet, labels: Labels, rows: Mask, device: str) -> Trial:
        """The probes of one training set."""
        return run_trial(name, features, labels, rows, self.divided, self.units.rows, self.settings, device=device)


@dataclass(frozen=True, eq=False)
class _Answers:
    """What the probes say of every unit."""

    decisions: Float[np.ndarray, "u c"]
    """One column a class; the highest wins."""
    fake: Scores
    """Log-odds of fake."""
    shares: Float[np.ndarray, "u c"] | None
    """Probability of each class; of one-vs-real and one-vs-rest each probe's own, which do not sum to 1."""
    numbers: Int[np.ndarray, " u"]
    """The true class of each unit, −1 for generators that are not asked about and real ones of their domains."""

    @classmethod
    def of(cls, question: _Question, trials: Mapping[str, Trial]) -> "_Answers":
        units = question.units
        scores = [units.combine(trial.decisions) for trial in trials.values()]
        probabilistic = all(trial.probabilistic for trial in trials.values())
        shares = None
        if question.settings.task == "attribution":
            joint = scores[0]
            columns = joint if joint.ndim == 2 else np.stack([np.zeros_like(joint), joint], axis=1)
            fake = _log_odds_of_fake(joint, probabilistic)
            shares = probabilities(joint) if probabilistic else None
        elif question.settings.task == "one-vs-real":
            columns = np.stack([np.zeros_like(scores[0]), *scores], axis=1)
            fake = np.max(scores, axis=0)
        else:
            columns = np.stack(scores, axis=1)
            fake = -columns[:, 0]
        if shares is None and probabilistic:
            shares = np.stack([probabilities(column)[:, 1] for column in columns.T], axis=1)
        own = members_of(units, question.everything)
        return cls(columns, fake, shares, np.where(own, _classes(units.table, question.pools), -1))

    def binary(self, question: _Question, trials: Mapping[str, Trial]) -> BinaryScores:
        """The same answers collapsed to real against fake."""
        every = list(trials.values())
        train: Mask = np.logical_or.reduce([trial.train for trial in every])
        generators, domains = learned(question.samples, train)
        return BinaryScores(
            train=question.everything.name,
            n_train=int(train.sum()),
            generators=generators,
            domains=domains,
            scores=self.fake,
            thresholds=np.zeros(len(self.fake)),
            leaked=np.logical_or.reduce([question.units.any(trial.leaked) for trial in every]),
            probabilistic=self.shares is not None and question.settings.task != "one-vs-real",
        )

    def table(self, question: _Question) -> pd.DataFrame:
        """One row a unit of the classes asked about."""
        names = np.array(question.names, dtype=object)
        own = self.numbers >= 0
        table = question.units.table.loc[own].reset_index(drop=True)
        table["true"] = names[self.numbers[own]]
        table["predicted"] = names[self.decisions[own].argmax(axis=1)]
        table["score"] = self.fake[own]
        values, prefix = (self.decisions, "score") if self.shares is None else (self.shares, "p")
        columns = {f"{prefix}_{name}": column for name, column in zip(question.names, values[own].T, strict=True)}
        if question.settings.task == "one-vs-real":  # no probe says how real an image is
            del columns[f"{prefix}_{REAL}"]
        return table.assign(**columns)


def _in_domain(samples: pd.DataFrame, domain: str | None) -> Mask:
    if domain is not None and domain not in samples["domain"].to_numpy():
        raise unknown_name("domain", domain, samples["domain"].unique())
    rows: Mask = np.ones(len(samples), dtype=bool) if domain is None else (samples["domain"] == domain).to_numpy()
    return rows


def _in_both_domains(
    pools: Sequence[Pool], samples: pd.DataFrame, settings: AttributionSettings
) -> tuple[list[Pool], list[str]]:
    """The pools that have fakes in the test domain too, and notes on the others.

    Raises:
        ProbeError: one that was named has none, or all have none.
    """
    there = _in_domain(samples, settings.test_domain)
    found = [pool for pool in pools if (there & fakes(samples, pool)).any()]
    notes = [f"{pool.name} has no fake samples in {settings.test_domain}" for pool in pools if pool not in found]
    if notes and (settings.generators != ALL or not found):
        raise ProbeError(f"{notes[0]}: there is nothing to test it on across domains. Name generators of both.")
    return found, [f"left out: {note}." for note in notes]


def _require_disjoint(pools: Sequence[Pool]) -> None:
    named = [maker for pool in pools for maker in pool.makers]
    twice = next((name for name in named if named.count(name) > 1), None)
    if twice:
        raise UsageError(f"generator {twice!r} is part of two classes: an image has one, name it once.")


def _classes(samples: pd.DataFrame, pools: Sequence[Pool]) -> Labels:
    """0 for real, 1 + the number of its pool for a fake, −1 for generators in no pool."""
    classes: Labels = np.where(samples["label"].to_numpy() == 0, 0, -1)
    for number, pool in enumerate(pools, start=1):
        classes[fakes(samples, pool)] = number
    return classes


def _log_odds_of_fake(decisions: Float[np.ndarray, " u"] | Float[np.ndarray, "u c"], probabilistic: bool) -> Scores:
    """Log-odds, log (1 − p(real)) − log p(real), with real the first class; else the lead of the best fake."""
    if decisions.ndim == 1:
        return decisions
    rest = decisions[:, 1:]
    odds: Scores = (np.logaddexp.reduce(rest, axis=1) if probabilistic else rest.max(axis=1)) - decisions[:, 0]
    return odds


def _evaluate(
    question: _Question, answers: _Answers, trials: Mapping[str, Trial]
) -> tuple[dict[str, int | float], pd.DataFrame]:
    settings, units = question.settings, question.units
    own = answers.numbers >= 0
    numbers, groups = answers.numbers[own], units.table["group"].to_numpy()[own]
    decisions = answers.decisions[own]
    right = (decisions.argmax(axis=1) == numbers).astype(np.float64)
    train: Mask = np.logical_or.reduce([trial.train for trial in trials.values()])
    leaked: Mask = np.logical_or.reduce([units.any(trial.leaked) for trial in trials.values()])[own]
    recalls = []
    for number, name in enumerate(question.names):
        rows = numbers == number
        low, high = resample(groups[rows], settings.bootstrap, settings.seed).mean(right[rows])
        recalls.append(
            {
                "class": name,
                "n_train": int(np.sum(train & (question.classes == number))),
                "n_test": int(rows.sum()),
                "recall": float(right[rows].mean()) if rows.any() else float("nan"),
                "recall_lo": low,
                "recall_hi": high,
                "auc": _class_auc(question, answers, number, own),
            }
        )
    per_class = pd.DataFrame(recalls)
    draws = resample(groups, settings.bootstrap, settings.seed)
    overall: dict[str, int | float] = {
        "n_train": int(train.sum()),
        "n_test": int(own.sum()),
        "n_groups": len(np.unique(groups)),
        "leaks": len(np.unique(groups[leaked])),
        "acc": float(right.mean()) if len(right) else float("nan"),
        "balanced_acc": float(per_class["recall"].mean()),
        **_bounds("acc", draws.mean(right)),
        **_bounds("balanced_acc", draws.class_mean(right, numbers) if len(right) else UNDEFINED),
    }
    return overall, per_class


def _class_auc(question: _Question, answers: _Answers, number: int, own: Mask) -> float:
    """AUC of a class's score, its own units against those of the other classes, or against real ones alone."""
    if question.settings.task == "one-vs-real":
        if number == 0:
            return float("nan")
        own = own & ((answers.numbers == number) | (answers.numbers == 0))
    scores = answers.decisions[:, number]
    if question.settings.task == "attribution":  # a logit alone means nothing: its lead over the others does
        others = np.delete(answers.decisions, number, axis=1)
        scores = scores - (np.logaddexp.reduce(others, axis=1) if answers.shares is not None else others.max(axis=1))
    labels = (answers.numbers[own] == number).astype(np.int64)
    every = np.ones((1, len(labels)))
    return float(weighted_auc(labels, scores[own], every, question.units.part[own])[0])


def _collapsed(question: _Question, scored: BinaryScores, own: Mask) -> dict[str, float]:
    table = question.units.table.loc[own]
    labels, part = table["label"].to_numpy(), question.units.part[own]
    draws = resample(table["group"].to_numpy(), question.settings.bootstrap, question.settings.seed)
    found = metrics.measure(labels, scored.scores[own], 0.0, part, probabilistic=scored.probabilistic)
    return found | _bounds("auc", draws.auc(labels, scored.scores[own], part))


def _pairs(question: _Question, scored: BinaryScores) -> pd.DataFrame:
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
