"""What attribution answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from probekit import metrics
from probekit.attribution.settings import AttributionSettings
from probekit.fingerprint import JSONValue
from probekit.trials import Trial


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
    scores: pd.DataFrame
    """Real against fake for every scored unit, those of test generators that were not learned from among them:
    columns as `pairs.PairResult.scores`, so that a binary probe of the same generators is compared row by row."""
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
            "project": self.settings.project,
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
