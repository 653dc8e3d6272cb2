"""Turns: what one probe learns from, what its choices are made on, and what it scores."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit.arrays import Int, Labels, Mask
from probekit.errors import ProbeError
from probekit.probes import Division
from probekit.probes.selection import ORACLE
from probekit.protocols.partitions import Partition, group_folds
from probekit.protocols.pools import matched
from probekit.protocols.shots import draw_shots

SELECTION_FOLDS = 5

SELECTIONS = {
    "cv": "group-aware cross-validation on the training samples",
    "val": "the val split",
    "robust": "training generators that are left out in turn, each in turn on groups that are left out too",
    "oracle": "the test samples themselves: an oracle, never a result",
}


@dataclass(frozen=True, eq=False)
class Turn:
    """What one probe learns from and what it scores."""

    train: Mask
    """Of all samples: what the probe is fitted to."""
    val: Mask
    """Of all samples: what thresholds and calibrations are found on, of groups that are not trained on; empty out of
    fold."""
    test: Mask
    """Of all samples: what it scores."""
    seen: Int[np.ndarray, " m"]
    """Numbers of the samples that choices may look at: the training samples, and others that are held out of them."""
    divisions: tuple[Division, ...]
    """Of `seen`, in positions; each learns from training samples of every class."""
    by: str
    """How choices are made, for the selection record; why none can be made, where there is no division."""


def turns(
    samples: pd.DataFrame,
    classes: Labels,
    rows: Mask,
    divided: Sequence[Partition],
    *,
    scored: Mask,
    selection: str,
    seed: int,
    by_group: bool = False,
    shots: int | None = None,
) -> list[Turn]:
    """One turn for each partition.

    Args:
        samples: all samples.
        classes: what is learned of them, class numbers.
        rows: the samples that the question is about, whatever their split. Each split takes the real images of the
            domains that its own fakes are of.
        divided: the partitions.
        scored: samples whose scores are wanted; a probe scores those of its own test part.
        selection: a name in `SELECTIONS`.
        seed: of the folds and the draw of shots.
        by_group: cross-validation holds out one group after another, not folds of groups.
        shots: learn from this many samples of each generator (real images: of each domain) only.

    Raises:
        ProbeError: choices by val without such samples, by left-out generators with fewer than two, or fewer
            training samples than shots.
    """
    found = []
    for partition in divided:
        train = matched(samples, rows & partition.train)
        if shots is not None:
            train = draw_shots(samples, train, shots, seed)
        val = matched(samples, rows & partition.val & ~_of_groups(samples, train))
        turn = Turn(train, val, partition.test & scored, np.flatnonzero(train), (), "")
        if selection == "val":
            turn = _held_out(turn, classes, val, "the val split")
        elif selection == "oracle":
            turn = _held_out(turn, classes, matched(samples, rows & partition.test), f"{ORACLE}: the test samples")
        elif selection == "robust":
            turn = _left_out_generators(turn, samples, classes, seed)
        else:
            turn = _cross_validation(turn, samples, classes, seed, by_group)
        found.append(turn)
    return found


def learned_from(taken: Sequence[Turn]) -> Mask:
    """Samples that any of the probes learned from."""
    found: Mask = np.logical_or.reduce([turn.train for turn in taken])
    return found


def leaked(samples: pd.DataFrame, taken: Sequence[Turn]) -> Mask:
    """Scored rows whose group the probe that scored them also learned from: their scores flatter it."""
    found: Mask = np.logical_or.reduce([turn.test & _of_groups(samples, turn.train) for turn in taken])
    return found


def _of_groups(samples: pd.DataFrame, rows: Mask) -> Mask:
    """Samples of the groups that these rows are of."""
    found: Mask = samples["group"].isin(samples.loc[rows, "group"].unique()).to_numpy()
    return found


def _cross_validation(turn: Turn, samples: pd.DataFrame, classes: Labels, seed: int, by_group: bool) -> Turn:
    own = samples.iloc[turn.seen]
    folds = pd.factorize(own["group"])[0] if by_group else group_folds(own, SELECTION_FOLDS, seed)
    order = np.argsort(folds, kind="stable")
    tests = np.split(order, np.flatnonzero(np.diff(folds[order])) + 1)
    if len(tests) < 2:
        return replace(turn, by="all training samples are of one group, nothing can be held out")
    divisions = _learnable([Division(test, test) for test in tests], classes[turn.seen])
    if not divisions:
        return replace(turn, by="whichever groups are held out, a class is missing from the rest")
    name = "leave-one-group-out on train" if by_group else "group cross-validation on train"
    by = f"{name} ({len(divisions)} groups)" if by_group else f"{len(divisions)}-fold {name}"
    if len(divisions) < len(tests):
        what = "groups" if by_group else "folds"
        by += f" ({len(tests) - len(divisions)} of {len(tests)} {what} left out: without them a class is missing)"
    return replace(turn, divisions=divisions, by=by)


def _held_out(turn: Turn, classes: Labels, held: Mask, by: str) -> Turn:
    """Choices on samples beside the training samples."""
    if not np.isin(classes[turn.train], classes[held]).all():
        return replace(turn, by=f"{by}: not every class has samples there")
    seen = np.concatenate([turn.seen, np.flatnonzero(held & ~turn.train)])
    positions = np.flatnonzero(held[seen])
    return replace(turn, seen=seen, divisions=(Division(positions, positions),), by=by)


def _left_out_generators(turn: Turn, samples: pd.DataFrame, classes: Labels, seed: int) -> Turn:
    """Hold out each training generator, and with it each fold of groups, so that no photograph is on both sides."""
    own = samples.iloc[turn.seen]
    makers = own["generator"].where(own["label"] == 1).to_numpy()
    names = sorted(own.loc[own["label"] == 1, "generator"].unique())
    if len(names) < 2 or len(np.unique(classes[turn.train])) > 2:
        raise ProbeError(
            "a robust choice leaves out one training generator after another: train one binary probe on two or more, "
            "such as --train lama+ldm."
        )
    folds, real = group_folds(own, SELECTION_FOLDS, seed), (own["label"] == 0).to_numpy()
    divisions = []
    for name in names:
        for fold in np.unique(folds):
            other = makers == name
            test = np.flatnonzero((folds == fold) & (real | other))
            divisions.append(Division(test, np.flatnonzero((folds == fold) | other)))
    kept = _learnable(divisions, classes[turn.seen])
    if not kept:
        return replace(turn, by="without a generator and any fold of groups, a class is missing from the rest")
    by = f"{len(names)} left-out training generators, each on {len(np.unique(folds))} folds of left-out groups"
    if len(kept) < len(divisions):
        by += f" ({len(divisions) - len(kept)} of {len(divisions)} left out: without them a class is missing)"
    return replace(turn, divisions=kept, by=by)


def _learnable(divisions: Sequence[Division], classes: Labels) -> tuple[Division, ...]:
    """Those that learn from samples of every class."""
    names, numbers = np.unique(classes, return_inverse=True)
    totals = np.bincount(numbers, minlength=len(names))
    return tuple(
        division
        for division in divisions
        if (np.bincount(numbers[division.left_out], minlength=len(names)) < totals).all()
    )
