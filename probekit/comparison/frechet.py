"""Fréchet distance of two samples: that of two Gaussians with their means and covariances.

    d² = ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁^½ Σ₂ Σ₁^½)^½)            (Dowson and Landau 1982, eq. 4)

as in the Fréchet Inception Distance (Heusel et al. 2017), where the features are Inception's. With any factors of the
covariances, Σ = F Fᵀ, the last trace is the sum of the singular values of F₁ᵀ F₂: they are the roots of the eigenvalues
of the symmetric product above. No root of a product that is not symmetric is taken, and covariances may be singular.
"""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Mean and covariance of a sample."""

    n: int
    mean: Float[np.ndarray, " d"]
    factor: Float[np.ndarray, "d r"]
    """Of the covariance (divisor n − 1), factor @ factor.T; r is the smaller of n and d."""

    @property
    def variance(self) -> float:
        """The trace of the covariance."""
        return float(np.sum(self.factor**2))


def gaussian(features: Features) -> Gaussian:
    """The Gaussian of these rows, in float64; NaN everywhere for fewer than 2."""
    n, d = features.shape
    if n < 2:
        return Gaussian(n, np.full(d, np.nan), np.full((d, 1), np.nan))
    wide = features.astype(np.float64)
    mean = wide.mean(axis=0)
    centred = (wide - mean) / np.sqrt(n - 1)
    centred[:, wide.max(axis=0) == wide.min(axis=0)] = 0.0  # not the rounding of a constant's mean
    if n > d:
        triangle: Float[np.ndarray, "d d"] = np.linalg.qr(centred, mode="r")  # type: ignore[assignment]  # mode r gives R alone
        return Gaussian(n, mean, triangle.T)
    return Gaussian(n, mean, np.ascontiguousarray(centred.T))


def squared_distance(a: Gaussian, b: Gaussian) -> float:
    """d² of two Gaussians; NaN where a sample has fewer than 2 rows."""
    if min(a.n, b.n) < 2:
        return float("nan")
    roots = np.linalg.svd(a.factor.T @ b.factor, compute_uv=False)
    return max(0.0, float(np.sum((a.mean - b.mean) ** 2) + a.variance + b.variance - 2 * roots.sum()))


def frechet_distance(a: Features, b: Features) -> float:
    """d² of two samples of the same columns, which is what is called FID; it is too large by about c/n.

    Samples of one distribution are apart, too: with fewer rows than columns by a multiple of what they should be.
    """
    return squared_distance(gaussian(a), gaussian(b))
