"""Array types with shapes, for annotations: `Float[np.ndarray, "n d"]`.

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
]
