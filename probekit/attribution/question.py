"""The classes, and which samples are learned from and scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Labels, Mask
from probekit.attribution.settings import AttributionSettings
from probekit.errors import ProbeError, UsageError
from probekit.manifest import REAL
from probekit.protocols import (
    ALL,
    Partition,
    Pool,
    evaluation,
    fakes,
    members,
    parse_pools,
    partitions,
    tested,
    trainable_pools,
)
from probekit.registry import unknown_name
from probekit.trials import TrainingSet, Units, units_of


@dataclass(frozen=True, eq=False)
class Question:
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
    def of(cls, samples: pd.DataFrame, settings: AttributionSettings) -> "Question":
        """The question put to these samples.

        Raises:
            ProbeError, UsageError, UnknownNameError: as `attribute`.
        """
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
        return cls(samples, settings, divided, pools, tests, class_numbers(samples, pools), units, tuple(notes))

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

    def training_sets(self) -> list[TrainingSet]:
        """What each probe of the task learns."""
        domain = _in_domain(self.samples, self.settings.train_domain)
        rows = members(self.samples, self.everything, domain)
        if self.settings.task == "attribution":
            return [TrainingSet("+".join(self.names[1:]), self.classes, rows)]
        found = []
        for number, name in enumerate(self.names):
            own = (self.classes == number).astype(np.int64)
            if self.settings.task == "one-vs-rest":
                found.append(TrainingSet(name, own, rows))
            elif number:
                found.append(TrainingSet(name, own, members(self.samples, self.pools[number - 1], domain)))
        return found


def class_numbers(samples: pd.DataFrame, pools: Sequence[Pool]) -> Labels:
    """0 for real, 1 + the number of its pool for a fake, −1 for generators in no pool."""
    classes: Labels = np.where(samples["label"].to_numpy() == 0, 0, -1)
    for number, pool in enumerate(pools, start=1):
        classes[fakes(samples, pool)] = number
    return classes


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
