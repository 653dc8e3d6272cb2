"""A seeded part of many samples, every class in proportion."""

import numpy as np

from probekit.arrays import Groups, Int


def stratified(classes: Groups, size: int, seed: int) -> Int[np.ndarray, " m"]:
    """Row numbers, ascending, of so many samples drawn without replacement, each class in proportion.

    A class of n_c among n samples gets ⌊size · n_c / n⌋, and the largest remainders get what is left (Hamilton's
    method); where there are no more classes than samples to draw, one whose share rounds to nothing still gets one,
    taken from the largest.

    Args:
        classes: the class of each sample.
        size: how many; all where there are no more.
        seed: of the draw.
    """
    n = len(classes)
    if size >= n:
        return np.arange(n)
    _, numbers, counts = np.unique(np.asarray(classes).astype(str), return_inverse=True, return_counts=True)
    share = size * counts / n
    quota = np.floor(share).astype(np.int64)
    order = np.argsort(quota - share, kind="stable")
    quota[order[: size - quota.sum()]] += 1
    if size >= len(counts):
        for missing in np.flatnonzero(quota == 0):
            quota[quota.argmax()] -= 1  # more than 1, as long as a class has none
            quota[missing] = 1
    random = np.random.default_rng(seed)
    drawn = [
        random.choice(np.flatnonzero(numbers == number), wanted, replace=False) for number, wanted in enumerate(quota)
    ]
    return np.sort(np.concatenate(drawn))
