"""Rows as they are compared: unit vectors, their cosines, and what float32 may get wrong about them."""

import numpy as np

from probekit.arrays import Features, Float, Int, unit_rows
from probekit.errors import UsageError

NUMBERS_AT_ONCE = 1 << 17  # float64 numbers while rows are normalised, and of either side of pairs: 1 MiB


def normalised(features: Features) -> Features:
    """A new contiguous float32 array of rows of length 1; a row is the same whatever other rows come with it."""
    features = np.asarray(features)
    unit = np.empty(features.shape, dtype=np.float32)
    step = max(1, NUMBERS_AT_ONCE // max(1, features.shape[1]))
    for start in range(0, len(features), step):
        block = slice(start, start + step)
        unit[block] = unit_rows(np.ascontiguousarray(features[block]))
    return unit


def same_width(queries: Features, gallery: Features) -> None:
    """Nothing, where rows can be compared.

    Raises:
        UsageError: the widths differ.
    """
    if queries.shape[1] != gallery.shape[1]:
        raise UsageError(
            f"queries have {queries.shape[1]} features and gallery rows {gallery.shape[1]}: "
            "search features of one model and tap."
        )


def pair_cosines(
    queries: Features, query: Int[np.ndarray, " p"], gallery: Features, row: Int[np.ndarray, " p"]
) -> Float[np.ndarray, " p"]:
    """Inner product of each pair of rows, summed in float64 and rounded to float32.

    A pair's number depends on its two rows alone, not on where they lie: equal rows tie exactly.
    """
    cosines = np.empty(len(query), dtype=np.float32)
    step = max(1, NUMBERS_AT_ONCE // max(1, gallery.shape[1]))
    for start in range(0, len(query), step):
        pairs = slice(start, start + step)
        left, right = queries[query[pairs]].astype(np.float64), gallery[row[pairs]].astype(np.float64)
        cosines[pairs] = np.vecdot(left, right)
    return cosines


def rounding(width: int) -> float:
    """The most by which a float32 inner product of unit vectors can differ from `pair_cosines`.

    |fl(x·y) − x·y| ≤ γ Σ|xᵢyᵢ| ≤ γ with γ = du / (1 − du) and u = 2⁻²⁴, in whatever order the d products are
    summed (Higham 2002, Accuracy and Stability of Numerical Algorithms, eq. 3.5); a few u more for the lengths
    of the rounded vectors and the rounding of the float64 sum.
    """
    unit_roundoff = float(np.finfo(np.float32).eps) / 2
    products = (width + 4) * unit_roundoff
    return products / (1 - products)
