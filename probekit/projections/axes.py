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


def principal_axes(centred: Features) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, "d r"]]:
    """Variances, greatest first, and axes of XᵀX/n, r = min(n, d); the largest entry of an axis is positive.

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
    if len(variances) == 0 or not variances[0] > (EPS * d) ** 2:
        raise ProbeError("the training rows are all alike: there is nothing to project. Register more examples.")
    largest = np.abs(axes).argmax(axis=0)
    return variances, axes * np.sign(axes[largest, np.arange(len(variances))])


def inverse_roots(variances: Float[np.ndarray, " r"], columns: int, shrinkage: float) -> Float[np.ndarray, " r"]:
    """1/sqrt((1 − γ) λ + γ tr(S)/d) for each variance λ of S; 0 along an axis without any, at γ = 0.

    Friedman 1989, Regularized Discriminant Analysis, eq. 18.
    """
    shrunk = (1 - shrinkage) * variances + shrinkage * variances.sum() / columns
    varies = shrunk > EPS * max(columns, len(variances)) * shrunk.max(initial=0.0)
    return np.divide(1.0, np.sqrt(shrunk, where=varies, out=np.ones_like(shrunk)), out=np.zeros_like(shrunk), where=varies)
