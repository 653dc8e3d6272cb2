"""A study: which samples each pair and the attribution are about, and what scores of them are worth.

The same for a forest on file properties and for a probe of features, so that the numbers stand beside each other; and
the same for all samples and for a matched subset, which are two choices of rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from probekit.arrays import Labels, Mask
from probekit.audit.forest import ForestTrial
from probekit.audit.settings import AuditSettings
from probekit.features import FeatureSet
from probekit.manifest import REAL
from probekit.metrics.bootstrap import UNDEFINED, resample
from probekit.protocols import (
    ALL,
    Partition,
    Pool,
    fakes,
    members,
    partitions,
    tested,
    trainable_pools,
)
from probekit.trials import BinaryScores, TrainingSet, Trial, Units, judge, learned, run_trials, units_of

ATTRIBUTION = "attribution"
PROPERTIES = "file properties"
"""Whose numbers they are, where it is no model."""

AnyTrial = Trial | ForestTrial

SHOWN = ("train", "test", "seen", "n_train", "n_real", "n_fake", "n_groups", "auc", "auc_lo", "auc_hi", "balanced_acc")


@dataclass(frozen=True, eq=False)
class Study:
    """Pairs of generators, and all classes at once."""

    samples: pd.DataFrame
    settings: AuditSettings
    divided: Sequence[Partition]
    pools: Sequence[Pool]
    """One a generator that can be learned from."""
    rows: Mapping[str, Mask]
    """By pool, and for `ATTRIBUTION`: the samples that it is about; without an entry it is not asked."""
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, samples: pd.DataFrame, settings: AuditSettings) -> "Study":
        """All samples: every generator with the real images of its domains.

        Raises:
            ProbeError: no generator can be learned from.
        """
        divided = partitions(samples, settings.folds, settings.seed)
        pools, notes = trainable_pools(ALL, samples, divided, settings.folds, named=False)
        every = np.ones(len(samples), dtype=bool)
        rows = {pool.name: members(samples, pool, every) for pool in pools}
        if len(pools) > 1:
            rows[ATTRIBUTION] = members(samples, Pool.of(*(pool.name for pool in pools)), every)
        return cls(samples, settings, divided, pools, rows, tuple(notes))

    def same_rows(self, other: "Study") -> bool:
        """Whether both ask the same of the same samples."""
        alike = self.rows.keys() == other.rows.keys()
        return alike and all(np.array_equal(own, other.rows[name]) for name, own in self.rows.items())

    def within(self, rows: Mapping[str, Mask], fewest: int = 1) -> "Study":
        """The same questions of these samples only, where every class can be learned and so many of it are scored."""
        kept = {name: own for name, own in rows.items() if self._can_be_asked(name, own, fewest)}
        pools = [pool for pool in self.pools if pool.name in kept]
        return Study(self.samples, self.settings, self.divided, pools, kept)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the classes of the attribution, real first."""
        return (REAL, *(pool.name for pool in self.pools))

    @cached_property
    def classes(self) -> Labels:
        """0 for real, 1 + the number of its pool for a fake, −1 for a generator of none."""
        found: Labels = np.where(self.samples["label"].to_numpy() == 0, 0, -1)
        for number, pool in enumerate(self.pools, start=1):
            found[fakes(self.samples, pool)] = number
        return found

    @property
    def scored(self) -> Mask:
        """Samples whose scores any of the questions needs."""
        found: Mask = np.logical_or.reduce([*self.rows.values(), np.zeros(len(self.samples), dtype=bool)])
        found &= tested(self.divided)
        return found

    @property
    def training_sets(self) -> list[TrainingSet]:
        """One for each pool, and one of all classes."""
        labels = self.samples["label"].to_numpy()
        found = [TrainingSet(pool.name, labels, self.rows[pool.name]) for pool in self.pools]
        if ATTRIBUTION in self.rows:
            found.append(TrainingSet(ATTRIBUTION, self.classes, self.rows[ATTRIBUTION]))
        return found

    def probe_trials(self, features: FeatureSet, device: str = "cpu") -> dict[str, Trial]:
        """What the project's probe of these features, one row a sample, says of the samples."""
        asked, scored = self.training_sets, self.scored
        found = run_trials(asked, features, self.divided, scored, self.settings.trial, device=device)
        return {trial.name: trial for trial in found}

    def units(self, name: str) -> Units:
        """The scored samples of one question."""
        return units_of(self.samples, self.divided, self.rows[name], self.settings.trial)

    def pairs(
        self, trials: Mapping[str, AnyTrial], by: str, beside: Mapping[str, AnyTrial] | None = None
    ) -> pd.DataFrame:
        """AUC with interval of every pair of a training and a test generator.

        Args:
            trials: by the name of the pool.
            by: whose they are; the first column.
            beside: trials on the file properties: `gain` is how much higher the AUC is than theirs, with `gain_lo` and
                `gain_hi` under the same draws of groups.
        """
        found: list[dict[str, Any]] = []
        for test in self.pools:
            units = self.units(test.name)
            table, settings = units.table, self.settings
            draws = resample(table["group"].to_numpy(), settings.bootstrap, settings.seed)
            asked = [self._binary(units, trials[pool.name]) for pool in self.pools]
            for one, row in zip(asked, judge(units, test, asked, draws), strict=True):
                more: dict[str, float] = {}
                if beside is not None:
                    other = self._binary(units, beside[one.train])
                    labels = table["label"].to_numpy()
                    low, high = draws.auc_difference(labels, one.scores, other.scores, units.part)
                    (theirs,) = judge(units, test, [other], resample(table["group"].to_numpy(), 0, 0))
                    more = {"gain": float(row["auc"]) - float(theirs["auc"]), "gain_lo": low, "gain_hi": high}
                found.append({"by": by, **{name: row[name] for name in SHOWN}, **more})
        order = {pool.name: number for number, pool in enumerate(self.pools)}
        found.sort(key=lambda row: (order[row["train"]], order[row["test"]]))
        return pd.DataFrame(found)

    def attribution(self, trials: Mapping[str, AnyTrial], by: str) -> dict[str, str | int | float]:
        """Accuracy and balanced accuracy over all classes, with intervals, and what guessing gives."""
        units = self.units(ATTRIBUTION)
        numbers = self.classes[units.rows]
        decisions = units.combine(trials[ATTRIBUTION].decisions)
        right = (decisions.argmax(axis=1) == numbers).astype(np.float64)
        draws = resample(units.table["group"].to_numpy(), self.settings.bootstrap, self.settings.seed)
        low, high = draws.mean(right)
        balanced_low, balanced_high = draws.class_mean(right, numbers) if len(right) else UNDEFINED
        kinds = np.unique(numbers)
        return {
            "by": by,
            "n_classes": len(kinds),
            "n_test": len(right),
            "acc": float(right.mean()) if len(right) else float("nan"),
            "acc_lo": low,
            "acc_hi": high,
            "balanced_acc": float(np.mean([right[numbers == kind].mean() for kind in kinds])) if len(right) else np.nan,
            "balanced_acc_lo": balanced_low,
            "balanced_acc_hi": balanced_high,
            "chance": 1 / len(kinds) if len(kinds) else float("nan"),
            "largest_class": float(np.bincount(numbers).max() / len(numbers)) if len(right) else float("nan"),
        }

    def counts(self, name: str) -> dict[str, int]:
        """Samples of each class that one question is about."""
        own = self.rows[name]
        numbers = self.classes[own]
        return {
            kind: int(np.sum(numbers == number)) for number, kind in enumerate(self.names) if (numbers == number).any()
        }

    def _binary(self, units: Units, trial: AnyTrial) -> BinaryScores:
        generators, domains = learned(self.samples, trial.train)
        return BinaryScores(
            train=trial.name,
            n_train=int(trial.train.sum()),
            generators=generators,
            domains=domains,
            scores=units.combine(trial.decisions),
            thresholds=np.zeros(len(units.table)),
            leaked=units.any(trial.leaked),
            probabilistic=trial.probabilistic,
        )

    def _can_be_asked(self, name: str, rows: Mask, fewest: int) -> bool:
        classes = self.classes if name == ATTRIBUTION else self.samples["label"].to_numpy()
        kinds = np.unique(classes[self.rows[name]])
        learnable = all(np.isin(kinds, classes[rows & part.train]).all() for part in self.divided)
        scored = classes[rows & tested(self.divided)]
        return learnable and all(np.sum(scored == kind) >= fewest for kind in kinds)
