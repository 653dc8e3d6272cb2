"""Intervals by the delete-a-group jackknife: one part of the groups after another is left out.

A bootstrap would draw some groups twice, so that samples stand beside their own copies. That is what unbiased HSIC
and MMD take out, and what makes a Fréchet distance grow; leaving out repeats nobody.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from probekit.arrays import Float, Groups, Int, Mask
from probekit.errors import UsageError
from probekit.metrics.bootstrap import FEWEST_GROUPS, LEVEL, UNDEFINED, Interval

PARTS = 10


def require_parts(parts: int) -> None:
    """Nothing, when so many parts can be left out in turn; 0 gives no intervals.

    Raises:
        UsageError: they cannot.
    """
    if parts < 0 or 0 < parts < FEWEST_GROUPS:
        raise UsageError(f"--parts {parts}: give at least {FEWEST_GROUPS}, or 0 for no intervals.")


def hash_order(groups: Groups, seed: int) -> Int[np.ndarray, " n"]:
    """The place of each sample's group in an order drawn by the seed, whatever the order of the samples."""
    names, members = np.unique(np.asarray(groups, dtype=str), return_inverse=True)
    order = sorted(range(len(names)), key=lambda i: hashlib.sha256(f"{seed}:{names[i]}".encode()).digest())
    place = np.empty(len(names), dtype=np.int64)
    place[order] = np.arange(len(names))
    found: Int[np.ndarray, " n"] = place[members]
    return found


def deal_parts(groups: Groups, parts: int, seed: int) -> Int[np.ndarray, " n"]:
    """The part of each sample: whole groups, dealt in hash order; all 0 where `parts` is 0 or groups are too few."""
    places = hash_order(groups, seed)
    count = int(places.max(initial=-1)) + 1
    if parts == 0 or count < FEWEST_GROUPS:
        return np.zeros(len(places), dtype=np.int64)
    found: Int[np.ndarray, " n"] = places % min(parts, count)
    return found


def draw_groups(groups: Groups, most: int | None, seed: int) -> Mask:
    """Samples of so many whole groups, in hash order, as make up at most `most` samples; None takes all.

    The first group is taken, however large it is.
    """
    if most is None or len(groups) <= most:
        return np.ones(len(groups), dtype=bool)
    places = hash_order(groups, seed)
    drawn: Mask = (np.cumsum(np.bincount(places))[places] <= most) | (places == 0)
    return drawn


def draw_images(groups: Groups, names: Sequence[str], per_group: int, seed: int) -> Mask:
    """So many images of each group, or all of a smaller one, by the hash of their names; 0 takes all."""
    if per_group == 0 or len(np.unique(groups)) == len(groups):
        return np.ones(len(groups), dtype=bool)
    order = np.argsort(hash_order(np.asarray(names), seed), kind="stable")
    own = np.asarray(groups, dtype=str)[order]
    by_group = np.argsort(own, kind="stable")  # groups one after another, each in hash order
    new = np.r_[True, own[by_group][1:] != own[by_group][:-1]]
    starts = np.flatnonzero(new)[np.cumsum(new) - 1]
    drawn = np.zeros(len(groups), dtype=bool)
    drawn[order[by_group]] = np.arange(len(groups)) - starts < per_group
    return drawn


def enough_groups(*sides: Groups) -> bool:
    """Whether each side has the 10 groups below which an interval would promise more than they hold."""
    return all(len(np.unique(side)) >= FEWEST_GROUPS for side in sides)


def jackknife(
    whole: float, left_out: Float[np.ndarray, " m"], sizes: Int[np.ndarray, " m"]
) -> tuple[float, Interval, Interval]:
    """The value without its bias of order 1/n, its 95 % interval, and the same interval about `whole`.

    For parts of unequal size (Busing et al. 1999, eq. 5 and 8), with h = n / nⱼ:

        θ_J = m θ − Σ (1 − 1/hⱼ) θ₋ⱼ        σ² = 1/m Σ (hⱼ θ − (hⱼ − 1) θ₋ⱼ − θ_J)² / (hⱼ − 1)

    and θ ± t σ with m − 1 degrees of freedom. NaN where a value is undefined or fewer than 10 parts hold samples.

    Args:
        whole: the value of all samples, θ.
        left_out: the value without each part, θ₋ⱼ.
        sizes: samples of each part; empty parts do not count.
    """
    from scipy import stats

    held = sizes > 0
    values, sizes = left_out[held], sizes[held]
    m = len(values)
    if m < FEWEST_GROUPS or not (np.isfinite(values).all() and np.isfinite(whole)):
        return float("nan"), UNDEFINED, UNDEFINED
    h = sizes.sum() / sizes
    corrected = float(m * whole - np.sum((1 - 1 / h) * values))
    pseudo = h * whole - (h - 1) * values
    reach = float(stats.t.ppf((1 + LEVEL) / 2, m - 1) * np.sqrt(np.mean((pseudo - corrected) ** 2 / (h - 1))))
    return corrected, (corrected - reach, corrected + reach), (whole - reach, whole + reach)
