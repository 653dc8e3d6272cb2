"""Features in the eigenbasis of their Gram matrix, where Hessians of linear probes are nearly diagonal."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from probekit.arrays import Features, Float


@dataclass(frozen=True, eq=False)
class Space:
    """X = mean + Z Vᵀ, exactly, with V orthonormal."""

    mean: Float[torch.Tensor, " d"]
    vectors: Float[torch.Tensor, "d r"]
    variances: Float[torch.Tensor, " r"]
    coordinates: Float[torch.Tensor, "n m"]
    """Z with a last column of ones: m = r + 1."""
    transposed: Float[torch.Tensor, "m n"]
    """The same, laid out for products from the other side: half the time of a transposed view."""

    def to(self, dtype: torch.dtype) -> "Space":
        """The same space in another precision."""
        parts = (self.mean, self.vectors, self.variances, self.coordinates, self.transposed)
        return Space(*(part.to(dtype) for part in parts))

    def size(self) -> float:
        """Root mean square of the features."""
        d = len(self.mean)
        return math.sqrt((float(self.variances.sum()) + float(self.mean.square().sum())) / d)

    def original(self, theta: Float[torch.Tensor, "*p m"]) -> Float[torch.Tensor, "*p d"]:
        """Weights (or the covariant part of a gradient) in the columns of X."""
        return theta[..., :-1] @ self.vectors.T


def rotate(features: Features, device: str = "cpu") -> Space:
    """The eigenbasis of the features, in float64; at most min(n, d) directions."""
    wide = torch.tensor(np.asarray(features, np.float64), device=device)
    mean = wide.mean(dim=0)
    centred = wide.sub_(mean)
    n, d = centred.shape
    if d > n:  # all weights lie in the span of the rows: centred = Rᵀ Qᵀ, work with the n columns of Rᵀ
        basis, right = torch.linalg.qr(centred.T)
        centred = right.T
    variances, vectors = torch.linalg.eigh(centred.T @ centred / n)
    ones = torch.ones((n, 1), dtype=wide.dtype, device=device)
    coordinates = torch.hstack([centred @ vectors, ones])
    if d > n:
        vectors = basis @ vectors
    return Space(mean, vectors, variances.clamp_(min=0.0), coordinates, coordinates.T.contiguous())
