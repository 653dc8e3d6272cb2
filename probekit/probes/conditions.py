"""Conditions: what happens to raw features before a probe sees them, fitted to the training rows only.

Each block of a feature reference such as `clip+npr` is conditioned on its own: no part drowns another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, unit_rows
from probekit.registry import unknown_name

CONDITIONS = {
    "raw": "the features as the model gave them",
    "l2": "each row scaled to length 1",
    "layernorm": "each row to mean 0 and standard deviation 1",
    "zscore": "each column to mean 0 and standard deviation 1 on the training rows",
}


@dataclass(frozen=True)
class Condition:
    """A fitted condition: each row of each block is normalised, then each column is shifted and scaled."""

    name: str
    widths: tuple[int, ...]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    """Positive everywhere; 1 for a column that is constant on the training rows."""

    def apply(self, features: Features) -> Features:
        """Conditioned features, float64; the input is left as it is."""
        conditioned: Features = (_normalise(self.name, self.widths, features) - self.shift) / self.scale
        return conditioned


def fit_condition(name: str, features: Features, widths: Sequence[int]) -> Condition:
    """The condition of that name with its statistics taken from these rows.

    Raises:
        UnknownNameError: there is no such condition.
    """
    if name not in CONDITIONS:
        raise unknown_name("condition", name, CONDITIONS)
    shift, scale = np.zeros(features.shape[1]), np.ones(features.shape[1])
    if name == "zscore":
        shift = features.mean(axis=0, dtype=np.float64)
        scale = features.std(axis=0, dtype=np.float64)
        scale[scale <= _rounding(features, axis=0)] = 1.0
    return Condition(name, tuple(widths), shift, scale)


def _normalise(name: str, widths: Sequence[int], features: Features) -> Features:
    normalise = _ROWS.get(name)
    if normalise is None:
        return features.astype(np.float64)
    ends = np.cumsum(widths)[:-1]
    return np.hstack([normalise(block.astype(np.float64)) for block in np.split(features, ends, axis=1)])


def _layernorm(block: Features) -> Features:
    deviation = block.std(axis=1, keepdims=True)
    deviation[deviation <= _rounding(block, axis=1)[:, None]] = 1.0
    normal: Features = (block - block.mean(axis=1, keepdims=True)) / deviation
    return normal


def _rounding(features: Features, axis: int) -> Float[np.ndarray, " m"]:
    """The largest deviation that rounding gives to constant values: for 0.1 it comes out as 1e-17, not 0."""
    steps = max(float(np.finfo(features.dtype).eps), features.shape[axis] * float(np.finfo(np.float64).eps))
    bound: Float[np.ndarray, " m"] = steps * np.abs(features).max(axis=axis)
    return bound


_ROWS: dict[str, Callable[[Features], Features]] = {"l2": unit_rows, "layernorm": _layernorm}
