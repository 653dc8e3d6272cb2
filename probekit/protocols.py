"""Which samples a question trains on and which it scores: generators, their real images, splits and folds.

Two modes of evaluation. The split: probes learn from `train` rows and score `test` rows. Folds: groups are
dealt into K folds, and every sample is scored once, by a probe that learned from the other folds.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Mask
from probekit.errors import ModelError, ProbeError, UsageError
from probekit.manifest import REAL
from probekit.registry import unknown_name

ALL = "all"
SELECTION_FOLDS = 5  # of the cross-validation inside the training rows that chooses C

Pool = tuple[str, ...]
"""Generators that are taken together; one name for `lama`, two for `lama+ldm`."""

Kind = tuple[str, ...]
"""What folds have equal shares of: (domain, generator) or (label,)."""


@dataclass(frozen=True)
class Partition:
    """One way of dividing the samples: what probes may learn from and what they score."""

    train: Mask
    val: Mask
    """For thresholds; empty out of fold."""
    test: Mask


@dataclass(frozen=True)
class Turn:
    """What one probe learns from and what it scores."""

    train: Mask
    folds: Int[np.ndarray, " m"]
    """Of the training rows, for the choice of C."""
    test: Mask


def pool_name(pool: Pool) -> str:
    """As it is typed: `lama+ldm`."""
    return "+".join(pool)


def generators(samples: pd.DataFrame) -> list[str]:
    """The generators of the fake samples, sorted."""
    return sorted(samples.loc[samples["label"] == 1, "generator"].unique())


def parse_pools(text: str, samples: pd.DataFrame) -> list[Pool]:
    """`lama,ldm` → two pools, `lama+ldm` → one pool of two, `all` → a pool for each generator.

    Raises:
        UnknownNameError: a name that is no generator of the samples; the message lists the nearest.
        UsageError: no name at all, or `real`, whose images come along with every generator.
    """
    known = generators(samples)
    pools: list[Pool] = []
    found: list[Pool]
    for entry in (part.strip() for part in text.split(",")):
        if not entry:
            raise UsageError(f"generators {text!r}: a name is missing; write them as lama,ldm or lama+ldm, or all.")
        if entry in known:
            found = [(entry,)]
        elif entry == ALL:
            found = [(name,) for name in known]
        else:
            found = [tuple(_known(name.strip(), known) for name in dict.fromkeys(entry.split("+")))]
        pools.extend(pool for pool in found if pool not in pools)
    if not pools:
        raise ProbeError("there is no fake sample: nothing to tell real images from. Add rows with label 1.")
    return pools


def members(samples: pd.DataFrame, pool: Pool, within: Mask) -> Mask:
    """The fakes of these generators and the real samples of those fakes' domains, both inside `within`."""
    fake = within & (samples["label"] == 1).to_numpy() & samples["generator"].isin(pool).to_numpy()
    domains = samples.loc[fake, "domain"].unique()
    real = within & (samples["label"] == 0).to_numpy() & samples["domain"].isin(domains).to_numpy()
    return fake | real


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


def trainable_pools(
    text: str, samples: pd.DataFrame, divided: Sequence[Partition], folds: int
) -> tuple[list[Pool], list[str]]:
    """The pools asked for that can be learned from, and notes on those that cannot.

    Raises:
        ProbeError: a pool asked for by name cannot be learned from, or none of `all` can.
    """
    where = "outside a fold held out" if folds else "in the train split"
    found, notes = [], []
    for pool in parse_pools(text, samples):
        reasons = (missing_class(samples, pool, members(samples, pool, part.train), where) for part in divided)
        reason = next(filter(None, reasons), None)
        if reason is None:
            found.append(pool)
        elif text == ALL:
            notes.append(reason)
        else:
            raise ProbeError(reason)
    if not found:
        raise ProbeError(notes[0])
    return found, [f"left out: {note}" for note in notes]


def missing_class(samples: pd.DataFrame, pool: Pool, rows: Mask, where: str) -> str | None:
    """Why these rows of a pool cannot be learned from; None when both classes are there."""
    labels = samples.loc[rows, "label"]
    if not (labels == 1).any():
        return f"{pool_name(pool)} has no fake samples {where}: add some, or name another generator."
    if not (labels == 0).any():
        fakes = samples.loc[rows & (samples["label"] == 1).to_numpy(), "domain"]
        domains = ", ".join(repr(domain) for domain in sorted(fakes.unique()))
        return f"{pool_name(pool)} has no real samples of its domain ({domains}) {where}: add rows with label 0."
    return None


def evaluation(partitioned: Sequence[Partition], folds: int) -> str:
    """How the scores came about: `train → test split` or `5-fold out of fold by group`."""
    if folds == 0:
        return "train → test split"
    fewer = f" ({folds} folds asked for, {len(partitioned)} groups)" if len(partitioned) < folds else ""
    return f"{len(partitioned)}-fold out of fold by group{fewer}"


def turns(samples: pd.DataFrame, pool: Pool, divided: Sequence[Partition], scored: Mask, seed: int) -> list[Turn]:
    """For each partition, what a probe of this pool learns from, and which of `scored` it then scores."""
    found = []
    for partition in divided:
        train = members(samples, pool, partition.train)
        folds = group_folds(samples[train], SELECTION_FOLDS, seed)
        found.append(Turn(train, folds, partition.test & scored))
    return found


def learned_from(taken: Sequence[Turn]) -> Mask:
    """Samples that any of the probes learned from."""
    found: Mask = np.logical_or.reduce([turn.train for turn in taken])
    return found


def leaked(samples: pd.DataFrame, taken: Sequence[Turn]) -> Mask:
    """Scored rows whose group the probe that scored them also learned from: their scores flatter it."""
    groups = samples["group"].to_numpy()
    found: Mask = np.logical_or.reduce([turn.test & np.isin(groups, groups[turn.train]) for turn in taken])
    return found


def require_finite(samples: pd.DataFrame, blocks: Iterable[Float[np.ndarray, "n _"]]) -> None:
    """Nothing, when every feature is a number.

    Raises:
        ModelError: a feature is NaN or infinite; the message names the first image.
    """
    bad = np.zeros(len(samples), dtype=bool)
    for block in blocks:
        bad |= ~np.isfinite(block).all(axis=1)
    if bad.any():
        path = samples["path"].iloc[int(np.argmax(bad))]
        raise ModelError(
            f"{path}: its features are not finite ({bad.sum()} such samples): extract again or remove them."
        )


@runtime_checkable
class Described(Protocol):
    """Where a block of features came from."""

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def tap(self) -> str:
        """Where the features left it."""
        ...

    @property
    def view(self) -> str:
        """How pixels reached it."""
        ...

    @property
    def precision(self) -> str:
        """Of the computation."""
        ...


def describe(sources: Sequence[Described]) -> dict[str, str]:
    """Model, tap, view and precision; several parts joined by `+`, equal views and precisions named once."""
    return {
        "model": "+".join(source.model for source in sources),
        "tap": "+".join(source.tap for source in sources),
        "view": "+".join(dict.fromkeys(source.view for source in sources)),
        "precision": "+".join(dict.fromkeys(source.precision for source in sources)),
    }


def _known(name: str, known: Sequence[str]) -> str:
    if name == REAL:
        raise UsageError("real images come along with every generator of their domain: name generators only.")
    if name not in known:
        raise unknown_name("generator", name, known)
    return name
