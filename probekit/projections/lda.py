"""Linear discriminants: axes along which classes differ most, measured by the spread within them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import projections
from probekit.arrays import Features, Groups
from probekit.errors import ProbeError
from probekit.projections.axes import check_shrinkage, inverse_roots, principal_axes


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
            ProbeError: one class only, or no class that varies.
        """
        projections.require_classes("lda", classes)
        names, numbers = np.unique(np.asarray(classes, dtype=str), return_inverse=True)
        means = pd.DataFrame(features.astype(np.float64)).groupby(numbers).mean().to_numpy()
        shares = np.bincount(numbers) / len(numbers)
        shift = shares @ means
        within = features - means[numbers]
        if np.abs(within).max() <= 4 * np.finfo(np.float64).eps * np.abs(features).max():
            raise ProbeError("lda finds no variation within any class: register more examples, or use whiten.")
        # S' = A diag(v) Aᵀ inside the span of the rows, to which the means belong, too: add them as rows of weight 0
        span = np.linalg.qr((features - shift).T)[0] if len(features) < features.shape[1] else None
        if span is not None:
            within = within @ span
        variances, axes = principal_axes(within)
        axes = axes if span is None else span @ axes
        roots = inverse_roots(variances, features.shape[1], self.shrinkage)
        sphere = axes * roots  # (d, r): Sᵀ S' S = I
        between = np.sqrt(shares)[:, None] * (means - shift) @ sphere  # (c, r): its square is S_B there
        rotation = np.linalg.svd(between, full_matrices=False)[2][: min(self.dimension, len(names) - 1)].T
        weights = sphere @ rotation
        weights *= np.where(weights[np.abs(weights).argmax(axis=0), np.arange(weights.shape[1])] < 0, -1.0, 1.0)
        record = {
            "kind": "lda",
            "shrinkage": self.shrinkage,
            "dimension": weights.shape[1],
            "n_rows": len(features),
            "classes": names.tolist(),
            "converged": True,
        }
        return projections.Fitted(shift, weights, record)
