"""Principal axes of rows, and a covariance shrunk towards equal variances."""

import numpy as np

from probekit.arrays import Features, Float
from probekit.errors import ProbeError, UsageError

EPS = float(np.finfo(np.float64).eps)


def check_shrinkage(value: float) -> None:
    """Nothing, when it is a share.

    Raises:
        UsageError: it is not from 0 to 1.
    """
    if not 0 <= value <= 1:
        raise UsageError(f"shrinkage is {value:g}: the share of the mean variance is from 0 to 1.")


def principal_axes(centred: Features, largest: float) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "d r"]]:
    """Variances, greatest first, and axes of XᵀX/n, r = min(n, d); the largest entry of an axis is positive.

    Args:
        centred: rows about their mean.
        largest: magnitude of what they were before, which says how far rounding moves rows that are alike.

    Raises:
        ProbeError: the rows are all alike.
    """
    n, d = centred.shape
    if n < d:
        axes, values = np.linalg.svd(centred.T, full_matrices=False)[:2]
        variances = values**2 / max(n, 1)
    else:
        values, axes = np.linalg.eigh(centred.T @ centred / n)
        variances, axes = np.maximum(values[::-1], 0.0), axes[:, ::-1]
    if len(variances) == 0 or not variances[0] > n * (2 * EPS * largest) ** 2 * d:
        raise ProbeError("the training rows are all alike: there is nothing to project. Give more examples.")
    return variances, axes * signs(axes)


def signs(axes: Float[np.ndarray, "d r"]) -> Float[np.ndarray, " r"]:
    """Of the largest entry of each axis: axes times these do not depend on how they were found."""
    return np.where(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])] < 0, -1.0, 1.0)


def inverse_roots(variances: Float[np.ndarray, " r"], columns: int, shrinkage: float) -> Float[np.ndarray, " r"]:
    """1/sqrt((1 − γ) λ + γ tr(S)/d) for each variance λ of S; 0 along an axis without any, at γ = 0.

    Friedman 1989, Regularized Discriminant Analysis, eq. 18.
    """
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.sum() / columns
    varies = shrunk > EPS * max(columns, len(variances)) * shrunk.max(initial=0.0)
    roots: Float[np.ndarray, " r"] = np.where(varies, 1 / np.sqrt(np.where(varies, shrunk, 1.0)), 0.0)
    return roots
