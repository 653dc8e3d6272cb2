"""What a train/test matrix answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from probekit import metrics
from probekit.fingerprint import JSONValue
from probekit.pairs.settings import PairSettings
from probekit.trials import Trial


@dataclass(frozen=True)
class PairResult:
    """Numbers for every pair, with the scores they were computed from and how every probe was chosen."""

    settings: PairSettings
    source: dict[str, str]
    """Model, tap, view and precision of the features."""
    pairs: pd.DataFrame
    """train, test, seen (whether the probe learned from any of the test generators), n_train, n_test, n_real, n_fake,
    n_groups, leaks, every metric, cross_auc, and the 95 % intervals acc_lo, acc_hi, auc_lo, auc_hi; NaN where
    undefined. Of videos also n_frames. The AUC compares samples of one fold only, see `metrics.measure`. `leaks`
    counts groups of the test samples that were trained on too. `cross_auc` compares the test fakes with the real test
    images of the training domains. Intervals take the probes as they are: they hold what other test groups would have
    changed, not what other training samples would. Of several seeds all numbers are means over the seeds where they are
    defined, ends of intervals too, and acc_sd, auc_sd, … are standard deviations."""
    macro: pd.DataFrame
    """train, over (`all` or `unseen` test generators), n_tests (those that have fakes) and the mean of every metric
    over them."""
    transfer: pd.DataFrame
    """train, test and `metrics.thresholds.threshold_transfer` of the training side's EER threshold; empty where there
    are no samples to find it on."""
    scores: pd.DataFrame
    """One row a training set and scored sample (or video): train, path, generator, domain, label, group, part, score,
    threshold (a sample is called fake above it); probability and llr where the scores mean probabilities; frames of
    videos; seed where there are several."""
    selection: dict[str, JSONValue]
    """What chose condition, parameter and threshold, and how each fit converged."""
    notes: tuple[str, ...]
    """What a reader must know: generators left out, empty pairs, leaks, fits that did not converge."""
    trials: Mapping[str, Trial] = field(default_factory=dict, repr=False, compare=False)
    """The probes by name of their training set, of the first seed."""
    streamed: bool = False
    """Whether the features were read in blocks, and the probes fitted over them."""

    @property
    def oracle(self) -> bool:
        """Whether anything was chosen on test samples."""
        return bool(self.selection["oracle"])

    def matrix(self, metric: str) -> pd.DataFrame:
        """One metric, training sets as rows and test sets as columns, axes named, in the order asked for."""
        return pair_matrix(self.pairs, metric)

    def probe_records(self) -> list[dict[str, JSONValue]]:
        """How each probe was chosen and how its fit converged."""
        records = self.selection["probes"]
        assert isinstance(records, list)  # as `selection_record` made it
        return [dict(record) for record in records]

    def to_json(self) -> dict[str, JSONValue]:
        """One run: task, probe, features, streamed, selection, pairs, macro, notes; what is undefined is null."""
        return {
            "task": "binary",
            "probe": self.settings.probe,
            "project": self.settings.project,
            **self.source,
            "evaluation": self.selection["evaluation"],
            "streamed": self.streamed,
            "selection": self.selection,
            "pairs": [metrics.json_row(row) for row in self.pairs.to_dict("records")],
            "macro": [metrics.json_row(row) for row in self.macro.to_dict("records")],
            "notes": list(self.notes),
        }


def pair_matrix(table: pd.DataFrame, value: str) -> pd.DataFrame:
    """One column of a table of pairs, training sets as rows and test sets as columns, in the order they came."""
    wide = table.pivot(index="train", columns="test", values=value)
    return wide.loc[table["train"].unique(), table["test"].unique()]
