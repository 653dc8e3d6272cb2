"""Whitening: principal axes, each scaled to variance 1."""

from dataclasses import dataclass

import numpy as np

from probekit import projections
from probekit.arrays import Features, Groups
from probekit.projections.axes import check_shrinkage, inverse_roots, principal_axes


@projections.add("whiten")
@dataclass(frozen=True)
class Whiten(projections.Projection):
    """The first principal axes, divided by the root of (1 − γ) λ + γ tr(S)/d; their covariance is I at γ = 0.

    Axes are those of the training rows about their mean. Jégou and Chum 2012, Negative evidences and co-occurrences in
    image retrieval: the benefit of PCA and whitening.
    """

    shrinkage: float = 0.1
    """γ from 0 to 1: so much of every variance is replaced by the mean one, lest noise be blown up."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_shrinkage(self.shrinkage)

    def fit(self, features: Features, classes: Groups, groups: Groups) -> projections.Fitted:
        """Axes and scales of these rows; classes and groups are not looked at.

        Raises:
            ProbeError: the rows are all alike.
        """
        shift = features.mean(axis=0, dtype=np.float64) if len(features) else np.zeros(features.shape[1])
        variances, axes = principal_axes(features - shift, float(np.abs(features).max(initial=0.0)))
        scales = inverse_roots(variances, features.shape[1], self.shrinkage)
        weights = (axes * scales)[:, : self.dimension]
        record = {
            "kind": "whiten",
            "shrinkage": self.shrinkage,
            "dimension": weights.shape[1],
            "n_rows": len(features),
            "classes": sorted(map(str, set(classes))),
            "converged": True,
        }
        return projections.Fitted(shift, weights, record)
