"""Linear discriminants: axes along which classes differ most, measured by the spread within them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import projections
from probekit.arrays import Features, Groups
from probekit.projections.axes import check_shrinkage, inverse_roots, principal_axes, signs


@projections.add("lda")
@dataclass(frozen=True)
class LDA(projections.Projection):
    """W maximises tr(Wᵀ S_B W) with Wᵀ S' W = I, where S' = (1 − γ) S_W + γ tr(S_W)/d · I.

    S_W is the covariance within classes, S_B that of the class means, each class weighted by its share of the rows; at
    most one axis fewer than classes. Fisher 1936; Friedman 1989 for the shrinkage. At γ = 0 the same axes as
    scikit-learn's `LinearDiscriminantAnalysis(solver="eigen").transform`.
    """

    shrinkage: float = 0.1
    """γ from 0 to 1; at 0, directions in which no class varies are left out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shrinkage(self.shrinkage)

    def fit(self, features: Features, classes: Groups, groups: Groups) -> projections.Fitted:
        """The discriminants of these rows; groups are not looked at.

        Raises:
            ProbeError: one class only, or rows that are alike within every class.
        """
        projections.require_classes("lda", classes)
        names, numbers = np.unique(np.asarray(classes, dtype=str), return_inverse=True)
        means = pd.DataFrame(features.astype(np.float64)).groupby(numbers).mean().to_numpy()
        shares = np.bincount(numbers) / len(numbers)
        shift = shares @ means
        within = features - means[numbers]
        # Fewer rows than columns: all that is needed lies in their span, whose axes are columns of q.
        q = np.linalg.qr((features - shift).T)[0] if len(features) < features.shape[1] else None
        variances, axes = principal_axes(within if q is None else within @ q, float(np.abs(features).max()))
        axes = axes if q is None else q @ axes
        sphere = axes * inverse_roots(variances, features.shape[1], self.shrinkage)  # Uᵀ S' U = I
        # Uᵀ S_B U = BᵀB: its eigenvectors are the right singular vectors of B
        between = np.sqrt(shares)[:, None] * (means - shift) @ sphere  # (c, r)
        rotation = np.linalg.svd(between, full_matrices=False)[2][: min(self.dimension, len(names) - 1)].T
        weights = sphere @ rotation
        weights = weights * signs(weights)
        record = {
            "kind": "lda",
            "shrinkage": self.shrinkage,
            "dimension": weights.shape[1],
            "n_rows": len(features),
            "classes": names.tolist(),
            "converged": True,
        }
        return projections.Fitted(shift, weights, record)
