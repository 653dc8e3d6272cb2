"""Array types with shapes, for annotations: `Float[np.ndarray, "n d"]`; and rows of length 1.

The shapes are documentation for readers and type checkers; the tests also check them while they run.
"""

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

Features = Float[np.ndarray, "n d"]
"""One row a sample, float32 or float64, as the model gave them (raw)."""

Labels = Int[np.ndarray, " n"]
"""Class numbers from 0; in the binary task 0 is real and 1 is fake."""

Scores = Float[np.ndarray, " n"]
"""One real number a sample; higher means more fake (binary) or more alike (retrieval)."""

Mask = Bool[np.ndarray, " n"]
"""True for the rows that are meant."""

Groups = Shaped[np.ndarray, " n"]
"""One label a sample (any dtype with equality); rows with equal labels are never separated."""

Keys = UInt8[np.ndarray, "n 32"]
"""SHA-256 digests, one row each. Never an S32 array: NumPy bytes lose trailing zero bytes."""


def unit_rows(features: Features) -> Features:
    """Rows of Euclidean length 1, float64; a row of zeros stays zero and is equally far from everything."""
    wide = np.asarray(features, dtype=np.float64)
    length = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: Features = wide / np.where(length > 0, length, 1.0)
    return unit


__all__ = [
    "Bool",
    "Features",
    "Float",
    "Groups",
    "Int",
    "Keys",
    "Labels",
    "Mask",
    "Scores",
    "Shaped",
    "UInt8",
    "unit_rows",
]
