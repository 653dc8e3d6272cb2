"""Partitions: by the manifest's split, or by folds of whole groups.

Two modes of evaluation. The split: probes learn from `train` rows and score `test` rows. Folds: groups are
dealt into K folds, and every sample is scored once, by a probe that learned from the other folds.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Int, Mask
from probekit.errors import ProbeError, UsageError

Kind = tuple[str, ...]
"""What folds have equal shares of: (domain, generator) or (label,)."""


@dataclass(frozen=True)
class Partition:
    """One way of dividing the samples: what probes may learn from and what they score."""

    train: Mask
    val: Mask
    """For choices, thresholds and calibration; empty out of fold."""
    test: Mask


def partitions(samples: pd.DataFrame, folds: int, seed: int) -> list[Partition]:
    """One partition by split for `folds` = 0, else one a fold; with fewer groups than folds, one a group.

    Raises:
        UsageError: 1 fold or fewer than 0.
        ProbeError: all samples are of one group.
    """
    if folds == 0:
        split = samples["split"].to_numpy()
        return [Partition(split == "train", split == "val", split == "test")]
    if folds < 2:
        raise UsageError(f"--folds {folds}: give 0 to use the split of the manifest, or at least 2.")
    number = group_folds(samples, folds, seed)
    if len(number) and number.max() == 0:
        raise ProbeError("all samples are of one group: no fold can be held out. Give each source its own group.")
    none = np.zeros(len(samples), dtype=bool)
    return [Partition(number != fold, none, number == fold) for fold in np.unique(number)]


def tested(divided: Sequence[Partition]) -> Mask:
    """Samples that any of the partitions tests."""
    found: Mask = np.logical_or.reduce([partition.test for partition in divided])
    return found


def part_numbers(divided: Sequence[Partition]) -> Int[np.ndarray, " n"]:
    """The number of the partition that tests a sample; 0 for samples that none does."""
    number: Int[np.ndarray, " n"] = np.argmax([partition.test for partition in divided], axis=0)
    return number


def group_folds(samples: pd.DataFrame, folds: int, seed: int) -> Int[np.ndarray, " n"]:
    """A fold number for every row: groups stay whole, and every fold has about the same share of each class.

    A probe leans towards the class that it saw more of. Were folds not alike in their classes, the samples
    held out would be those that the training rows lack, and scores of mere noise would come out inverted.

    Groups of the rarest generator (of a domain) come first, of those the largest, equals in hash order. Each
    goes to the fold with the fewest rows of its rarest generator, then of the next one, then of its label; then
    to an empty fold, else to the one that has most of the others (after the iterative stratification of
    Sechidis et al. 2011). The order of the rows does not matter. With fewer groups than folds there are as many
    folds as groups.
    """
    contents = _rarest_first(samples)
    kinds = 1 + max((kind for held in contents.values() for kind in held), default=0)
    size = {group: sum(held.values()) for group, held in contents.items()}

    def turn(group: str) -> tuple[int, int, bytes]:
        return next(iter(contents[group])), -size[group], hashlib.sha256(f"{seed}:{group}".encode()).digest()

    filled, sizes = [[0] * kinds for _ in range(folds)], [0] * folds
    fold_of = {}
    for group in sorted(contents, key=turn):
        held = contents[group]
        need = [
            ([rows[kind] for kind in held], all_rows > 0, -all_rows)
            for rows, all_rows in zip(filled, sizes, strict=True)
        ]
        fold_of[group] = chosen = need.index(min(need))
        sizes[chosen] += size[group]
        for kind, count in held.items():
            filled[chosen][kind] += count
    return samples["group"].astype("str").map(fold_of).to_numpy(dtype=np.int64)


def _rarest_first(samples: pd.DataFrame) -> dict[str, dict[int, int]]:
    """What each group holds: rows of each kind, the kinds numbered and ordered from the rarest."""
    columns = samples[["group", "label", "domain", "generator"]].astype("str")
    contents: dict[str, Counter[Kind]] = {}
    totals: Counter[Kind] = Counter()
    for (group, label, *maker), count in Counter(columns.itertuples(index=False, name=None)).items():
        held = contents.setdefault(group, Counter())
        for kind in (tuple(maker), (label,)):
            held[kind] += count
            totals[kind] += count
    number = {kind: i for i, kind in enumerate(sorted(totals, key=lambda kind: (totals[kind], kind)))}
    return {
        group: dict(sorted((number[kind], count) for kind, count in held.items())) for group, held in contents.items()
    }


def evaluation(partitioned: Sequence[Partition], folds: int) -> str:
    """How the scores came about: `train → test split` or `5-fold out of fold by group`."""
    if folds == 0:
        return "train → test split"
    fewer = f" ({folds} folds asked for, {len(partitioned)} groups)" if len(partitioned) < folds else ""
    return f"{len(partitioned)}-fold out of fold by group{fewer}"
