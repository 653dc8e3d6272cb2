"""Linear discriminant analysis with a shrunk covariance."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Features, Float, Int, Labels
from probekit.errors import ProbeError
from probekit.probes.classifier import LinearClassifier, class_means, contrasts, trainable_classes

EPS = float(np.finfo(np.float64).eps)


@probes.add("lda")
@dataclass(frozen=True)
class LDAProbe(probes.Probe):
    """Gaussian classes of one covariance, (1 − γ) S + γ tr(S)/d · I, where S is that within the classes.

    Class shares of the training rows are the prior. Friedman 1989, Regularized Discriminant Analysis, eq. 18; the
    same as scikit-learn's `LinearDiscriminantAnalysis(solver="lsqr", shrinkage=γ)`.
    """

    parameter: ClassVar = "shrinkage"
    grid: ClassVar = tuple(np.logspace(0, -4, 17).tolist())
    probabilistic: ClassVar = True

    shrinkage: float = 0.1
    """γ from 0 to 1; at 0 directions in which no class varies are left out (the pseudo-inverse)."""

    def __post_init__(self) -> None:
        if not 0 <= self.shrinkage <= 1:
            raise ProbeError(f"shrinkage is {self.shrinkage:g}: the share of the mean variance is from 0 to 1.")

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """Log-odds of the Gaussian model; for more than two classes up to a term that all classes share.

        Raises:
            ProbeError: one class only, a feature that is not finite, or no class that varies.
        """
        classes = trainable_classes(features, labels)
        model = _gaussian(features, labels, classes)
        weights, bias = model.discriminants(self.shrinkage)
        columns = model.axes @ weights  # (d, c)
        bias = bias - model.centre @ columns
        return LinearClassifier(classes, True, True, contrasts(columns), contrasts(bias))

    @classmethod
    def sweep(
        cls,
        features: Features,
        labels: Labels,
        divisions: Sequence[probes.Division],
        grid: Sequence[float],
        *,
        device: str = "cpu",
    ) -> probes.Sweep:
        """Every shrinkage from one eigendecomposition a division.

        Raises:
            ProbeError: one class only, a feature that is not finite, or no class that varies.
        """
        classes = trainable_classes(features, labels)
        decisions = []
        for division in divisions:
            rows = division.learned(len(labels))
            model = _gaussian(features[rows], labels[rows], classes)
            scores = (features[division.test] - model.centre) @ model.axes  # (t, r)
            found = [model.discriminants(value) for value in grid]
            logits = np.stack([contrasts(scores @ weights + bias) for weights, bias in found])
            decisions.append(logits[..., 0] if len(classes) == 2 else logits)
        return probes.Sweep(tuple(decisions), len(divisions) * len(grid), 0)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Class means and the covariance within classes, on the axes of the latter."""

    centre: Float[np.ndarray, " d"]
    """Where the axes cross: the middle of the class means."""
    axes: Float[np.ndarray, "d r"]
    """As many as there are rows or columns, whichever is less: the rows do not leave their span."""
    variances: Float[np.ndarray, " r"]
    average: float
    """Of the variances of all d columns: tr(S)/d."""
    means: Float[np.ndarray, "c r"]
    shares: Float[np.ndarray, " c"]

    def discriminants(self, shrinkage: float) -> tuple[Float[np.ndarray, "r c"], Float[np.ndarray, " c"]]:
        """Weights and bias of log(share) − (x − μ)ᵀ Σ⁻¹ (x − μ) / 2, less its term in x alone."""
        shrunk = (1 - shrinkage) * self.variances + shrinkage * self.average
        varies = shrunk > EPS * len(self.centre) * shrunk.max()
        precision = np.divide(1.0, shrunk, out=np.zeros_like(shrunk), where=varies)
        weights = precision[:, None] * self.means.T
        return weights, np.log(self.shares) - np.einsum("cr,rc->c", self.means, weights) / 2


def gaussian(
    centre: Float[np.ndarray, " d"],
    axes: Float[np.ndarray, "d r"],
    variances: Float[np.ndarray, " r"],
    width: int,
    means: Float[np.ndarray, "c r"],
    shares: Float[np.ndarray, " c"],
    largest: float,
) -> Gaussian:
    """The model of these moments; variances that rounding made negative are 0.

    Args:
        centre: the middle of the class means.
        axes: of the covariance within classes.
        variances: along them.
        width: number of columns d.
        means: of the classes, on the axes and from the centre.
        shares: of the classes.
        largest: magnitude of any feature.

    Raises:
        ProbeError: no class varies.
    """
    variances = np.maximum(variances, 0.0)
    average = float(variances.sum()) / width
    if average <= (EPS * largest) ** 2:
        raise ProbeError(
            "lda finds no variation within any class, the training rows of each are alike: "
            "add samples, or use prototype."
        )
    return Gaussian(centre, axes, variances, average, means, shares)


def _gaussian(features: Features, labels: Labels, classes: Int[np.ndarray, " c"]) -> Gaussian:
    n, d = features.shape
    means = class_means(features, labels, classes)
    numbers = np.searchsorted(classes, labels)
    centre = means.mean(axis=0)
    means -= centre
    # Within d dimensions, or within the span of fewer rows than that: q holds its axes.
    centred = features - centre
    q = np.linalg.qr(centred.T)[0] if n < d else None
    if q is not None:
        centred, means = centred @ q, means @ q
    centred -= means[numbers]
    variances, axes = np.linalg.eigh(centred.T @ centred / n)
    shares = np.bincount(numbers, minlength=len(classes)) / n
    return gaussian(
        centre, axes if q is None else q @ axes, variances, d, means @ axes, shares, float(np.abs(features).max())
    )
