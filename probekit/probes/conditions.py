"""Conditions: what happens to raw features before a probe sees them, fitted to the training rows only.

Each block of a feature reference such as `clip+npr` is conditioned on its own, so that no part drowns another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float
from probekit.registry import unknown_name

CONDITIONS = {
    "raw": "the features as the model gave them",
    "l2": "each row scaled to length 1",
    "layernorm": "each row to mean 0 and standard deviation 1",
    "zscore": "each column to mean 0 and standard deviation 1 on the training rows",
}


@dataclass(frozen=True)
class Condition:
    """A fitted condition: first each row of each block is normalised, then each column is shifted and scaled."""

    name: str
    widths: tuple[int, ...]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " d"]
    """Positive everywhere; 1 for a column that is constant on the training rows."""

    def apply(self, features: Features) -> Features:
        """Conditioned features, float64; the input is left as it is."""
        return (_normalise(self.name, self.widths, features) - self.shift) / self.scale


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
        # A constant column of 0.1 has a computed deviation of 1e-17, not 0: dividing by it would make noise a feature.
        rounding = np.finfo(features.dtype).eps * np.abs(features).max(axis=0)
        scale[scale <= rounding] = 1.0
    return Condition(name, tuple(widths), shift, scale)


def _normalise(name: str, widths: Sequence[int], features: Features) -> Features:
    normalise = _ROWS.get(name)
    if normalise is None:
        return features.astype(np.float64)
    ends = np.cumsum(widths)[:-1]
    return np.hstack([normalise(block.astype(np.float64)) for block in np.split(features, ends, axis=1)])


def _l2(block: Features) -> Features:
    length = np.sqrt(np.sum(block**2, axis=1, keepdims=True))
    return block / np.where(length > 0, length, 1.0)


def _layernorm(block: Features) -> Features:
    deviation = block.std(axis=1, keepdims=True)
    rounding = np.finfo(block.dtype).eps * np.abs(block).max(axis=1, keepdims=True)
    return (block - block.mean(axis=1, keepdims=True)) / np.where(deviation > rounding, deviation, 1.0)


_ROWS: dict[str, Callable[[Features], Features]] = {"l2": _l2, "layernorm": _layernorm}
