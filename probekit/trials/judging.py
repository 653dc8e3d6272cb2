"""Judging: what binary scores are worth on each test set, for all training sets under the same draws."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Mask, Scores
from probekit.metrics.bootstrap import Resampling
from probekit.metrics.curves import weighted_auc
from probekit.probes.classifier import probabilities
from probekit.probes.trained import TrainedProbe
from probekit.protocols import Pool, members
from probekit.trials.units import Units

Row = dict[str, str | int | float]


@dataclass(frozen=True, eq=False)
class BinaryScores:
    """What one training set says of every unit: the higher, the more surely fake."""

    train: str
    """Name of the training set."""
    n_train: int
    generators: frozenset[str]
    """Whose fakes were learned from."""
    domains: frozenset[str]
    """Whose images were learned from."""
    scores: Scores
    thresholds: Scores
    """One a unit, of the probe that scores it: it is called fake above."""
    leaked: Mask
    """Units whose group their probe learned from."""
    probabilistic: bool
    """Whether scores are log-odds."""
    prior: Scores | None = None
    """Log-odds of fake among the samples that probabilities are of, one a unit; needed for likelihood ratios alone."""

    @property
    def margins(self) -> Scores:
        """Positive where a unit is called fake."""
        margins: Scores = self.scores - self.thresholds
        return margins

    def table(self, units: Units) -> pd.DataFrame:
        """One row a unit: train, what it is, part, score, threshold; of log-odds probability and llr, if known."""
        table = units.table.copy()
        table.insert(0, "train", self.train)
        table["part"], table["score"], table["threshold"] = units.part, self.scores, self.thresholds
        if self.probabilistic:
            table["probability"] = probabilities(self.scores)[:, 1]
            table = table if self.prior is None else table.assign(llr=self.scores - self.prior)
        return table


def learned(samples: pd.DataFrame, train: Mask) -> tuple[frozenset[str], frozenset[str]]:
    """The generators of the fakes and the domains of all samples that were learned from."""
    own = samples.loc[train]
    return frozenset(own.loc[own["label"] == 1, "generator"]), frozenset(own["domain"])


def members_of(units: Units, pool: Pool) -> Mask:
    """The units of a test set: its fakes and the real ones of their domains."""
    return members(units.table, pool, np.ones(len(units.table), dtype=bool))


def judge(units: Units, test: Pool, asked: Sequence[BinaryScores], draws: Resampling) -> list[Row]:
    """One row of numbers for each training set, on the units of one test set.

    Args:
        units: all that are scored.
        test: the test set.
        asked: what the training sets say of all units.
        draws: of the groups of the test set's units.
    """
    if not asked:
        return []
    rows = members_of(units, test)
    own, part = units.table.loc[rows], units.part[rows]
    labels, groups = own["label"].to_numpy(), own["group"].to_numpy()
    generators = set(own.loc[own["label"] == 1, "generator"])
    intervals = draws.aucs(labels, np.stack([one.margins[rows] for one in asked], axis=1), part)
    found = []
    for one, (auc_lo, auc_hi) in zip(asked, intervals, strict=True):
        right = ((one.margins[rows] > 0) == (labels == 1)).astype(np.float64)
        acc_lo, acc_hi = draws.mean(right)
        row: Row = {
            "train": one.train,
            "test": test.name,
            "seen": not generators.isdisjoint(one.generators),
            "n_train": one.n_train,
            "n_test": len(own),
            "n_real": int(np.sum(labels == 0)),
            "n_fake": int(np.sum(labels == 1)),
            "n_groups": len(np.unique(groups)),
            "leaks": len(np.unique(groups[one.leaked[rows]])),
            **metrics.measure(labels, one.scores[rows], one.thresholds[rows], part, probabilistic=one.probabilistic),
            "cross_auc": _cross_auc(units, one, rows),
            "acc_lo": acc_lo,
            "acc_hi": acc_hi,
            "auc_lo": auc_lo,
            "auc_hi": auc_hi,
        }
        if "frames" in own:
            row["n_frames"] = int(own["frames"].sum())
        found.append(row)
    return found


def macro_means(pairs: pd.DataFrame) -> pd.DataFrame:
    """The mean of every metric over test sets that have fakes, and over those whose generators are all unseen.

    A metric that is undefined on some of them is its mean over the others.
    """
    rows = []
    for train, asked in pairs.groupby("train", sort=False):
        own = asked[asked["n_fake"] > 0]
        for over, part in (("all", own), ("unseen", own[~own["seen"]])):
            means = {name: float(part[name].mean()) if len(part) else float("nan") for name in metrics.names()}
            rows.append({"train": train, "over": over, "n_tests": len(part), **means})
    return pd.DataFrame(rows)


def remarks_on_pairs(pairs: pd.DataFrame) -> list[str]:
    """One line for each thing in the numbers of pairs that they do not show by themselves."""
    lines = []
    for test, rows in pairs.groupby("test", sort=False):
        if rows["n_fake"].iloc[0] == 0 or rows["n_real"].iloc[0] == 0:
            missing = "fake" if rows["n_fake"].iloc[0] == 0 else "real"
            lines.append(f"tested on {test}: no {missing} samples among the test samples, metrics are undefined.")
        elif rows["auc"].isna().all():
            lines.append(f"tested on {test}: {metrics.INCOMPARABLE}")
    for row in pairs[pairs["leaks"] > 0].itertuples():
        groups = "1 group" if row.leaks == 1 else f"{row.leaks} groups"
        lines.append(f"{row.train} → {row.test}: {groups} of the test samples trained on too: a leak.")
    return lines


def remarks_on_probes(trained: Mapping[str, Sequence[TrainedProbe]]) -> list[str]:
    """One line for each thing in how probes were made that a reader must know."""
    lines = []
    for name, own in trained.items():
        unconverged = sum(not probe.classifier.converged for probe in own)
        if unconverged:
            lines.append(f"trained on {name}: {unconverged} of {len(own)} probes had not converged, see the gradient.")
        projected = [probe.condition.projection.record for probe in own if probe.condition.projection]
        unfinished = [record for record in projected if not record.get("converged", True)]
        if unfinished:
            lines.append(
                f"trained on {name}: {len(unfinished)} of {len(own)} projections are not known "
                "to have converged: too few groups to hold some out, or the limit of steps was reached."
            )
        turned = sum(probe.calibration.slope < 0 for probe in own)
        if turned:
            lines.append(
                f"trained on {name}: calibration turned the scores of {turned} of {len(own)} probes round: on the "
                "samples that it was fitted on, reals scored above fakes."
            )
        defaults = dict.fromkeys(probe.selection.by for probe in own if probe.selection.default)
        lines += [f"trained on {name}: {by}." for by in defaults]
    if any(probe.selection.oracle for own in trained.values() for probe in own):
        lines.append("ORACLE: chosen on the test samples themselves: what could at best be hoped for, and no result.")
    return lines


def _cross_auc(units: Units, one: BinaryScores, rows: Mask) -> float:
    """Cross-AUC (arXiv:2604.21478): the test fakes against the real test images of the training domains, within folds.

    It is low where scores move as a whole from one domain to the other, which no AUC inside a domain shows.
    """
    labels = units.table["label"].to_numpy()
    compared = (rows & (labels == 1)) | ((labels == 0) & units.table["domain"].isin(one.domains).to_numpy())
    every = np.ones((1, int(compared.sum())))
    return float(weighted_auc(labels[compared], one.margins[compared], every, units.part[compared])[0])
