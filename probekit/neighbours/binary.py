"""Near pairs of binary codes by Hamming distance, exact: perceptual hashes of pictures that look alike.

FAISS compares a block of codes with a block, up to 10⁹ pairs of 64 bits a second and core. Of each code only the
nearest few are kept, so that a set in which everything is alike takes no more memory than any other.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int, UInt8
from probekit.errors import UsageError

QUERIES_AT_ONCE = 1 << 9
CODES_AT_ONCE = 1 << 16

Pairs = tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"], Int[np.ndarray, " p"]]
"""i, j and their distance."""


def hamming_pairs(
    codes: UInt8[np.ndarray, "n b"], groups: Groups | None, distance: int, *, most_each: int = 8
) -> pd.DataFrame:
    """Pairs of different codes that differ in at most so many bits, each pair once.

    Args:
        codes: b bytes a code.
        groups: pairs within a group are left out; None leaves out none.
        distance: bits, 0 or more.
        most_each: of each code i, the nearest so many j > i; equally near ones in the order of rows.

    Returns:
        `i` and `j`, rows with i < j, and their `distance`; nearest first, then in order of rows.

    Raises:
        UsageError: the distance is negative.
    """
    if distance < 0:
        raise UsageError(f"a distance of {distance} bits: give 0 or more.")
    numbers = np.arange(len(codes)) if groups is None else np.unique(groups, return_inverse=True)[1]
    found = [np.empty((3, 0), np.int64)]
    found += [np.stack(block) for block in _blocks(np.ascontiguousarray(codes), numbers, distance, most_each)]
    i, j, apart = np.concatenate(found, axis=1)
    order = np.lexsort((j, i, apart))
    return pd.DataFrame({"i": i[order], "j": j[order], "distance": apart[order]})


def _blocks(
    codes: UInt8[np.ndarray, "n b"], numbers: Int[np.ndarray, " n"], distance: int, most_each: int
) -> Iterator[Pairs]:
    """The pairs of some codes at a time with all later ones."""
    import faiss

    indexes = []
    for first in range(0, len(codes), CODES_AT_ONCE):
        index = faiss.IndexBinaryFlat(8 * codes.shape[1])
        index.add(codes[first : first + CODES_AT_ONCE])
        indexes.append((first, index))
    for start in range(0, len(codes), QUERIES_AT_ONCE):
        some = codes[start : start + QUERIES_AT_ONCE]
        best: Pairs = (np.empty(0, np.int64),) * 3
        for first, index in indexes:
            if first + index.ntotal <= start:
                continue  # every code of it is earlier
            limits, apart, rows = index.range_search(some, distance + 1)  # strictly below
            i = np.repeat(np.arange(start, start + len(some)), np.diff(limits.astype(np.int64)))
            j = rows + first
            admissible = (i < j) & (numbers[i] != numbers[j])
            new = i[admissible], j[admissible], apart[admissible].astype(np.int64)
            best = _nearest(tuple(map(np.concatenate, zip(best, new, strict=True))), most_each)
        yield best


def _nearest(pairs: tuple[Int[np.ndarray, " p"], ...], most_each: int) -> Pairs:
    """Of each i its nearest j."""
    i, j, apart = pairs
    order = np.lexsort((j, apart, i))
    i, j, apart = i[order], j[order], apart[order]
    place = np.arange(len(i)) - np.searchsorted(i, i)  # among those of its i
    kept = place < most_each
    return i[kept], j[kept], apart[kept]
