"""Conditions: what happens to raw features before a probe sees them, fitted to the training rows only.

Each block of a feature reference such as `clip+npr` is conditioned on its own: no part drowns another. A projection,
where one is asked for, is learned from what that gives of the same rows, blocks side by side.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from probekit.arrays import Features, Float, Groups, Int, Mask, unit_rows
from probekit.probes.classifier import refuse_nonfinite
from probekit.projections import Fitted, Projection
from probekit.registry import unknown_name

CONDITIONS = {
    "raw": "the features as the model gave them",
    "l2": "each row scaled to length 1",
    "layernorm": "each row to mean 0 and standard deviation 1",
    "zscore": "each column to mean 0 and standard deviation 1 on the training rows",
    "whiten": "principal axes of the training rows, each scaled to standard deviation 1",
}

LEARNED = ("zscore", "whiten")
"""Those whose statistics are taken from training rows; the others look at each row alone."""

RIDGE = 1e-3  # of the mean variance: an axis with less variance than that is not blown up to that of the others

ELEMENTS_AT_ONCE = 1 << 21  # float64 numbers converted at once: 16 MiB, against a whole copy of the features


@dataclass(frozen=True)
class Condition:
    """A fitted condition: each row of each block is normalised, shifted, rotated if at all, and its columns scaled.

    Then, if at all, the row is projected and scaled to length 1.
    """

    name: str
    widths: tuple[int, ...]
    shift: Float[np.ndarray, " d"]
    scale: Float[np.ndarray, " m"]
    """Positive everywhere; 1 for a column that is constant on the training rows."""
    rotation: Float[np.ndarray, "d a"] | None = None
    """Principal axes as columns, in the rows of their block; a block with fewer axes than another is padded with 0."""
    projection: Fitted | None = None
    unit: bool = False
    """Whether projected rows are scaled to length 1."""

    def apply(self, features: Features) -> Features:
        """Conditioned features (n, m), float64; the input is left as it is.

        m is d, but for `whiten` with n < d rows and for a projection, which has columns of its own.
        """
        m = len(self.scale) if self.projection is None else self.projection.weights.shape[1]
        conditioned = np.empty((len(features), m))
        for rows in _strips(features):
            shifted = _normalise(self.name, self.widths, features[rows]) - self.shift
            rotated = shifted if self.rotation is None else _rotate(shifted, self.widths, self.rotation)
            if self.projection is None:
                np.divide(rotated, self.scale, out=conditioned[rows])
            else:
                projected = self.projection.apply(rotated / self.scale)
                conditioned[rows] = unit_rows(projected) if self.unit else projected
        return conditioned


@dataclass(frozen=True, eq=False)
class Makers:
    """What a projection learns from beside the features, an entry a row."""

    classes: Groups
    """The generator, `real` being one."""
    groups: Groups

    def of(self, rows: Mask | Int[np.ndarray, " m"]) -> "Makers":
        """Those of some rows."""
        return Makers(self.classes[rows], self.groups[rows])


def fit_condition(name: str, features: Features, widths: Sequence[int]) -> Condition:
    """The condition of that name with its statistics taken from these rows.

    `whiten` divides the scores on principal axis j by sqrt(λⱼ + r), where λⱼ is their variance and r is `RIDGE` times
    the mean variance of the block's columns. Fewer rows than columns have as many axes as rows: along the others the
    training rows do not vary.

    Raises:
        UnknownNameError: there is no such condition.
        ProbeError: statistics are wanted of a feature that is not finite.
    """
    if name not in CONDITIONS:
        raise unknown_name("condition", name, CONDITIONS)
    shift, scale, rotation = np.zeros(features.shape[1]), np.ones(features.shape[1]), None
    if name in LEARNED:
        refuse_nonfinite(features)
        shift, variance = _moments(features)
    if name == "zscore":
        scale = np.sqrt(variance)
        scale[scale <= _rounding(features, axis=0)] = 1.0
    if name == "whiten":
        scale, rotation = _principal_axes(features, widths, shift)
    return Condition(name, tuple(widths), shift, scale, rotation)


def fit_projected(
    name: str, projection: Projection | None, features: Features, widths: Sequence[int], makers: Makers | None
) -> Condition:
    """The condition of that name and behind it the projection, if any, both fitted to these rows and no others.

    Rows come out at length 1 where the projection's own loss compares them so, as a linear head on an embedding of
    Khosla et al. 2020 gets them: how long a projected row is, that loss has not looked at.

    Raises:
        UnknownNameError: there is no such condition.
        ProbeError: a feature that is not finite, one generator only, or rows that are all alike.
    """
    condition = fit_condition(name, features, widths)
    if projection is None or makers is None:
        return condition
    fitted = projection.fit(condition.apply(features), makers.classes, makers.groups)
    return replace(condition, projection=fitted, unit=projection.unit_length)


def _normalise(name: str, widths: Sequence[int], features: Features) -> Features:
    normalise = _ROWS.get(name)
    if normalise is None:
        return features.astype(np.float64)
    return np.hstack([normalise(features[:, block].astype(np.float64)) for block, _ in _blocks(widths)])


def deviations(block: Features) -> Float[np.ndarray, "n 1"]:
    """Standard deviation of every row, by which `layernorm` divides; 1 for a constant row."""
    deviation: Float[np.ndarray, "n 1"] = block.std(axis=1, keepdims=True)
    deviation[deviation <= _rounding(block, axis=1)[:, None]] = 1.0
    return deviation


def _layernorm(block: Features) -> Features:
    normal: Features = (block - block.mean(axis=1, keepdims=True)) / deviations(block)
    return normal


def _rotate(features: Features, widths: Sequence[int], rotation: Float[np.ndarray, "d a"]) -> Features:
    most = rotation.shape[1]
    return np.hstack([features[:, block] @ rotation[block, : min(width, most)] for block, width in _blocks(widths)])


def _moments(features: Features) -> tuple[Float[np.ndarray, " d"], Float[np.ndarray, " d"]]:
    """Mean and variance of every column, in float64."""
    count = max(len(features), 1)
    mean = features.sum(axis=0, dtype=np.float64) / count
    squares = np.zeros_like(mean)
    for rows in _strips(features):
        centred = features[rows] - mean
        squares += np.einsum("ij,ij->j", centred, centred)
    return mean, squares / count


def _principal_axes(
    features: Features, widths: Sequence[int], mean: Float[np.ndarray, " d"]
) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, "d a"]]:
    """Scale and rotation of `whiten`."""
    most = min(len(features), max(widths))
    rotation, scales = np.zeros((features.shape[1], most)), []
    rounding = _rounding(features, axis=0)
    for block, width in _blocks(widths):
        variances, axes = _eigen(features[:, block], mean[block])
        rotation[block, : len(variances)] = axes
        average = variances.sum() / width
        constant = average <= rounding[block].max(initial=0.0) ** 2
        scales.append(np.ones(len(variances)) if constant else np.sqrt(variances + RIDGE * average))
    return np.concatenate(scales), rotation


def _eigen(
    features: Features, mean: Float[np.ndarray, " d"]
) -> tuple[Float[np.ndarray, " a"], Float[np.ndarray, "d a"]]:
    """Variances, greatest first, and axes of XᵀX/n for centred X; the largest entry of an axis is positive."""
    n, d = features.shape
    if n < d:
        axes, values = np.linalg.svd((features - mean).T, full_matrices=False)[:2]
        variances = values**2 / n
    else:
        scatter = np.zeros((d, d))
        for rows in _strips(features):
            centred = features[rows] - mean
            scatter += centred.T @ centred
        values, axes = np.linalg.eigh(scatter / n)
        variances, axes = np.maximum(values[::-1], 0.0), axes[:, ::-1]
    largest = np.abs(axes).argmax(axis=0)
    return variances, axes * np.sign(axes[largest, np.arange(len(variances))])


def _rounding(features: Features, axis: int) -> Float[np.ndarray, " m"]:
    """The largest deviation that rounding gives to constant values."""
    largest = np.maximum(features.max(axis=axis, initial=0.0), -features.min(axis=axis, initial=0.0))
    return rounding_of(largest, epsilon_of(features), features.shape[axis])


def epsilon_of(features: Features) -> float:
    """Relative rounding of the features' own number format; of integers that of float64, in which they are summed."""
    rounded = np.issubdtype(features.dtype, np.inexact)
    return float(np.finfo(features.dtype if rounded else np.float64).eps)


def rounding_of(largest: Float[np.ndarray, " m"], epsilon: float, count: int) -> Float[np.ndarray, " m"]:
    """The largest deviation that rounding gives to so many constant values: for 0.1 it comes out as 1e-17, not 0.

    Args:
        largest: magnitudes of the values.
        epsilon: of their number format.
        count: how many are summed in float64.
    """
    bound: Float[np.ndarray, " m"] = max(epsilon, count * float(np.finfo(np.float64).eps)) * largest
    return bound


def _blocks(widths: Sequence[int]) -> Iterator[tuple[slice, int]]:
    ends = np.cumsum(widths).tolist()
    return ((slice(end - width, end), width) for end, width in zip(ends, widths, strict=True))


def _strips(features: Features) -> Iterator[slice]:
    """The rows, as many at once as make `ELEMENTS_AT_ONCE`."""
    step = max(1, ELEMENTS_AT_ONCE // max(1, features.shape[1]))
    return (slice(start, start + step) for start in range(0, len(features), step))


_ROWS: dict[str, Callable[[Features], Features]] = {"l2": unit_rows, "layernorm": _layernorm}
