"""Cosine similarities of rows with a bank, in blocks, and what the nearest rows of the bank say."""

from collections.abc import Iterator, Sequence

import numpy as np

from probekit.arrays import Features, Float, Int, unit_rows

ELEMENTS_AT_ONCE = 1 << 22  # similarities held at once: 32 MiB

TIE = 1e-9  # similarities this close are equal: float64 sums of equal rows differ by 1e-15, as BLAS orders them


def similarities(
    features: Features, bank: Float[np.ndarray, "m d"]
) -> Iterator[tuple[slice, Float[np.ndarray, "b m"]]]:
    """Blocks of rows, and the cosines of their features with every row of a bank of unit rows, float64."""
    columns = bank.astype(np.float64).T
    step = max(1, ELEMENTS_AT_ONCE // max(len(bank), len(columns)))
    for start in range(0, len(features), step):
        rows = slice(start, start + step)
        yield rows, unit_rows(features[rows]) @ columns


def votes(
    similar: Float[np.ndarray, "b m"],
    numbers: Int[np.ndarray, " m"],
    classes: int,
    ks: Sequence[int],
    temperature: float,
) -> Float[np.ndarray, "g b c"]:
    """Share of every class in the vote of the k nearest, each weighted exp(similarity / temperature), for every k.

    Rows that tie for the last places share them: each votes with the same fraction of its weight, so that the order
    of the bank does not matter.

    Args:
        similar: similarities with the rows of the bank.
        numbers: class of each row of the bank, 0 … classes − 1.
        classes: how many there are.
        ks: how many vote, each from 1 to m.
        temperature: of the softmax.
    """
    order = _nearest(similar, max(ks))
    near = np.take_along_axis(similar, order, axis=1)
    weights = np.exp((near - near[:, :1]) / temperature)
    # Places [first, last) tie with the k-th: k − first of them are free.
    kth = [near[:, k - 1, None] for k in ks]
    first = np.stack([np.sum(near > value + TIE, axis=1) for value in kth], axis=1)  # (b, g)
    last = np.stack([np.sum(near >= value - TIE, axis=1) for value in kth], axis=1)
    free = (np.asarray(ks) - first) / (last - first)
    found = np.empty((len(ks), len(similar), classes))
    for number in range(classes):
        total = np.zeros((len(near), near.shape[1] + 1))
        np.cumsum(weights * (numbers[order] == number), axis=1, out=total[:, 1:])
        before, after = np.take_along_axis(total, first, axis=1), np.take_along_axis(total, last, axis=1)
        found[:, :, number] = (before + free * (after - before)).T
    found /= found.sum(axis=2, keepdims=True)
    return found


def mean_nearest(similar: Float[np.ndarray, "b m"], ks: Sequence[int]) -> Float[np.ndarray, "g b"]:
    """Mean similarity with the k nearest rows of the bank, for every k from 1 to m."""
    most = max(ks)
    near = -np.sort(np.partition(-similar, most - 1, axis=1)[:, :most], axis=1)
    totals = np.cumsum(near, axis=1)
    return np.stack([totals[:, k - 1] / k for k in ks])


def _nearest(similar: Float[np.ndarray, "b m"], most: int) -> Int[np.ndarray, "b w"]:
    """Rows of the bank, nearest first: `most` of them, and as many more as tie with the last anywhere in the block."""
    far = -similar
    order = np.argpartition(far, most - 1, axis=1)[:, :most]
    last = np.take_along_axis(far, order, axis=1).max(axis=1, keepdims=True)
    width = int(np.sum(far <= last + 2 * TIE, axis=1).max(initial=most))
    if width > most:
        order = np.argpartition(far, width - 1, axis=1)[:, :width]
    nearest: Int[np.ndarray, "b w"] = np.take_along_axis(
        order, np.argsort(np.take_along_axis(far, order, axis=1), axis=1), axis=1
    )
    return nearest
