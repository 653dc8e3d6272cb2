"""Candidates for wrong labels: samples that probes which never saw them call something else, and surely.

Confident learning (Northcutt, Jiang and Chuang, "Confident learning: estimating uncertainty in dataset labels", JAIR
70, 2021). With p̂(j | x) out of fold by group, the threshold of class j is what its own samples get on average, and x,
labelled i, is a candidate for its most probable class among those that it reaches:

    t_j = mean of p̂(j | x) over x labelled j        candidate: argmax { p̂(j | x) : p̂(j | x) ≥ t_j } ≠ i

A candidate is a sample to look at. Where the probe confuses two classes anyway its candidates mean nothing, so that
every class's recall stands beside them.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float, Labels
from probekit.audit.settings import AuditSettings
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.manifest import REAL
from probekit.probes.classifier import probabilities
from probekit.protocols import Pool, fakes, members, parse_pools, partitions
from probekit.samples import full_names
from probekit.trials import TrainingSet, TrialSettings, run_trials

FOLDS = 5
PROBE = "logistic"
"""Whose probabilities are compared with each other: its scores are log-odds."""
TRUSTED = 0.8
"""Recall out of fold from which on a class's candidates are worth looking at."""


@dataclass(frozen=True, eq=False)
class LabelNoise:
    """What one kind of features says against the labels."""

    features: str
    classes: pd.DataFrame
    """class, n, recall (out of fold), threshold, candidates."""
    candidates: pd.DataFrame
    """row (of the samples), path (with the member, frame or box that is meant), generator, label, predicted, p_given,
    p_predicted, other_label (whether it would be real and not fake, or the other way round), trusted (whether both
    classes are told apart); the surest first."""

    def to_json(self) -> dict[str, JSONValue]:
        """For `--json`: the classes, and how many candidates there are."""
        return {
            "features": self.features,
            "n": int(self.classes["n"].sum()),
            "candidates": len(self.candidates),
            "trusted_candidates": int(self.candidates["trusted"].sum()),
            "other_label": int((self.candidates["other_label"] & self.candidates["trusted"]).sum()),
            "classes": self.classes.to_dict("records"),
        }


def label_noise(features: FeatureSet, settings: AuditSettings, *, device: str = "cpu") -> LabelNoise:
    """Candidates among the samples of a feature set, whatever their split.

    Raises:
        ProbeError: a class cannot be learned out of fold.
    """
    samples = features.samples
    pools = parse_pools("all", samples)
    rows = members(samples, Pool.of(*(pool.name for pool in pools)), np.ones(len(samples), dtype=bool))
    classes: Labels = np.zeros(len(samples), np.int64)
    for number, pool in enumerate(pools, start=1):
        classes[fakes(samples, pool)] = number
    asked = TrainingSet("labels", classes, rows)
    divided = partitions(samples, FOLDS, settings.seed)
    trial_settings = TrialSettings(probe=PROBE, folds=FOLDS, seed=settings.seed, bootstrap=0)
    (trial,) = run_trials([asked], features, divided, rows, trial_settings, device=device)
    own = np.flatnonzero(rows)
    names = np.array([REAL, *(pool.name for pool in pools)], dtype=object)
    return _found(features.name, samples, own, classes[own], probabilities(trial.decisions[own]), names)


def confident_labels(given: Labels, p: Float[np.ndarray, "n c"]) -> tuple[Labels, Float[np.ndarray, " c"]]:
    """The class that each sample confidently belongs to, −1 where it reaches no threshold; and the thresholds."""
    kinds = range(p.shape[1])
    thresholds = np.array([p[given == kind, kind].mean() if (given == kind).any() else np.inf for kind in kinds])
    reached = np.where(p >= thresholds, p, -np.inf)
    confident: Labels = np.where(np.isfinite(reached).any(axis=1), reached.argmax(axis=1), -1)
    return confident, thresholds


def _found(
    name: str, samples: pd.DataFrame, rows: Labels, given: Labels, p: Float[np.ndarray, "n c"], names: np.ndarray
) -> LabelNoise:
    confident, thresholds = confident_labels(given, p)
    recall = np.array([np.mean(p[given == kind].argmax(axis=1) == kind) for kind in range(len(names))])
    picked = np.flatnonzero((confident >= 0) & (confident != given))
    picked = picked[np.argsort(p[picked, given[picked]], kind="stable")]
    other = confident[picked]
    table = samples.iloc[rows[picked]]
    table = table.assign(path=full_names(table))[["path", "generator", "label"]].reset_index(drop=True)
    table.insert(0, "row", rows[picked])
    table["predicted"] = names[other]
    table["p_given"], table["p_predicted"] = p[picked, given[picked]], p[picked, other]
    table["other_label"] = (other == 0) != (given[picked] == 0)
    table["trusted"] = (recall[other] >= TRUSTED) & (recall[given[picked]] >= TRUSTED)
    classes = pd.DataFrame(
        {
            "class": names,
            "n": np.bincount(given, minlength=len(names)),
            "recall": recall,
            "threshold": thresholds,
            "candidates": np.bincount(given[picked], minlength=len(names)),
        }
    )
    return LabelNoise(name, classes, table)
