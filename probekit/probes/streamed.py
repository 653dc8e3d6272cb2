"""Linear probes of features that are larger than memory: exact fits from blocks of rows, in float64.

Blocks come as often as they are asked for. What is held is a block, and matrices of d × d:

    ridge, lda   one pass. Counts, means and the scatter within classes are all that they need:
                 total scatter  Xᶜᵀ Xᶜ = W + Σ_c n_c (μ_c − μ)(μ_c − μ)ᵀ,   Xᶜᵀ y = Σ_c n_c (μ_c − μ) y_c
    logistic     Newton's method on all rows, one pass an iteration (about ten): gradient and Hessian are sums
                 over rows. Two classes, because the Hessian of more is that many times as wide.

Moments of blocks are joined as Chan, Golub and LeVeque (1979) join them, about their own means, so that nothing is lost
where a column's mean is large beside its deviation. `zscore` takes its statistics from the same rows.

The fits agree with those in memory: decisions within 1e-6 of the largest. Two exceptions: `lda` without any shrinkage
on columns that are nearly dependent (1e-4), and `logistic` where rounding ends either fit before its tolerance, which
`converged` tells.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from probekit.arrays import Features, Float, Int, Labels
from probekit.errors import ProbeError
from probekit.probes.classifier import LinearClassifier, contrasts, indicators, refuse_nonfinite
from probekit.probes.conditions import Condition, fit_condition, rounding_of
from probekit.probes.lda import LDAProbe, gaussian
from probekit.probes.logistic import LogisticProbe
from probekit.probes.ridge import RidgeProbe

Blocks = Callable[[], Iterable[tuple[Features, Labels]]]
"""Every call gives all rows anew, a block of features and labels at a time; the same rows each time."""

HALVINGS = 40  # of a Newton step that does not lower the objective, before rounding is to blame


@dataclass(frozen=True, eq=False)
class ClassMoments:
    """Counts, means and scatter of the rows of each class."""

    classes: Int[np.ndarray, " c"]
    """Ascending."""
    counts: Int[np.ndarray, " c"]
    means: Float[np.ndarray, "c d"]
    within: Float[np.ndarray, "d d"]
    """Σ (x − μ)(x − μ)ᵀ about the mean of each row's own class."""
    largest: Float[np.ndarray, " d"]
    """The largest magnitude of each column."""
    epsilon: float
    """Rounding of the features' own number format."""

    @property
    def n(self) -> int:
        """Number of rows."""
        return int(self.counts.sum())

    @property
    def mean(self) -> Float[np.ndarray, " d"]:
        """Of all rows."""
        mean: Float[np.ndarray, " d"] = self.counts @ self.means / self.n
        return mean

    @property
    def total(self) -> Float[np.ndarray, "d d"]:
        """Scatter of all rows about their common mean."""
        off = self.means - self.mean
        total: Float[np.ndarray, "d d"] = self.within + (off.T * self.counts) @ off
        return total

    def conditioned(self, condition: Condition) -> "ClassMoments":
        """The moments of the features once shifted and scaled."""
        scale = condition.scale
        return replace(self, means=(self.means - condition.shift) / scale, within=self.within / np.outer(scale, scale))


def class_moments(blocks: Iterable[tuple[Features, Labels]]) -> ClassMoments:
    """The moments of all rows, in one pass.

    Raises:
        ProbeError: fewer than two classes, or a feature that is not finite.
    """
    counts: dict[int, int] = {}
    means: dict[int, Float[np.ndarray, " d"]] = {}
    within, largest, epsilon = np.zeros((0, 0)), np.zeros(0), 0.0
    for features, labels in blocks:
        refuse_nonfinite(features)
        if not means:
            within, largest = np.zeros((features.shape[1],) * 2), np.zeros(features.shape[1])
        epsilon = max(epsilon, float(np.finfo(features.dtype).eps))
        largest = np.maximum(largest, np.abs(features).max(axis=0, initial=0.0))
        for label in np.unique(labels).tolist():
            rows = features[labels == label].astype(np.float64)
            before, count, mean = counts.get(label, 0), len(rows), rows.mean(axis=0)
            off = mean - means.get(label, mean)
            rows -= mean
            within += rows.T @ rows + np.outer(off, off) * (before * count / (before + count))
            means[label] = mean - off * (before / (before + count))
            counts[label] = before + count
    if len(counts) < 2:
        only = f"only class {next(iter(counts))}" if counts else "no samples"
        raise ProbeError(f"a probe needs two classes to learn from, the training rows hold {only}: add the other.")
    classes = np.array(sorted(counts))
    in_order = [means[label] for label in classes.tolist()]
    return ClassMoments(
        classes, np.array([counts[label] for label in classes.tolist()]), np.stack(in_order), within, largest, epsilon
    )


@dataclass(frozen=True, eq=False)
class StreamedFit:
    """A classifier and the condition of the features that it takes."""

    condition: Condition
    classifier: LinearClassifier
    rows: int
    """Rows that were learned from."""
    passes: int
    """Times that all of them were read."""

    def decision_function(self, features: Features) -> Float[np.ndarray, " n"] | Float[np.ndarray, "n k"]:
        """Decisions on raw features, as those of a classifier in memory."""
        return self.classifier.decision_function(self.condition.apply(features))


def fit(
    probe: RidgeProbe | LDAProbe | LogisticProbe, blocks: Blocks, *, condition: str = "raw", widths: Sequence[int]
) -> StreamedFit:
    """What `probe.fit` finds on all rows at once, in the memory of one block.

    Args:
        probe: its settings.
        blocks: the training rows, raw.
        condition: `raw`, `l2`, `layernorm` or `zscore`.
        widths: columns of each part of the features, which are conditioned on their own.

    Raises:
        ProbeError: one class only, more than two for `logistic`, a feature that is not finite, no variation within
            any class for `lda`, or the condition `whiten`, which is not streamed.
    """
    if condition == "whiten":
        raise ProbeError("whiten is not fitted over blocks: use zscore, or fewer samples that fit the memory.")
    by_row = fit_condition("raw" if condition == "zscore" else condition, np.empty((0, sum(widths))), widths)

    def prepared() -> Iterable[tuple[Features, Labels]]:
        return blocks() if by_row.name == "raw" else ((by_row.apply(rows), labels) for rows, labels in blocks())

    moments = class_moments(prepared())
    fitted = _zscore(moments, widths) if condition == "zscore" else by_row
    moments = moments.conditioned(fitted)
    if isinstance(probe, LogisticProbe):
        conditioned = fitted if condition == "zscore" else None
        found, passes = _logistic(probe, moments, prepared, conditioned)
        return StreamedFit(fitted, found, moments.n, 1 + passes)
    found = ridge(moments, probe.C) if isinstance(probe, RidgeProbe) else lda(moments, probe.shrinkage)
    return StreamedFit(fitted, found, moments.n, 1)


def ridge(moments: ClassMoments, C: float) -> LinearClassifier:
    """The minimum of `C * sum((y - f)^2) / 2 + |w|^2 / 2`, y = ±1: (Xᶜᵀ Xᶜ + I/C) w = Xᶜᵀ y."""
    targets = 2 * indicators(moments.classes, moments.classes).T - 1  # (c, k)
    middle = moments.counts @ targets / moments.n
    products = ((moments.means - moments.mean).T * moments.counts) @ (targets - middle)
    values, vectors = np.linalg.eigh(moments.total)
    weights = vectors @ ((vectors.T @ products) / (np.maximum(values, 0.0) + 1 / C)[:, None])
    return LinearClassifier(moments.classes, False, True, weights, middle - moments.mean @ weights)


def lda(moments: ClassMoments, shrinkage: float) -> LinearClassifier:
    """Log-odds of Gaussian classes of one shrunk covariance, as `LDAProbe` has them.

    Raises:
        ProbeError: no class varies.
    """
    centre = moments.means.mean(axis=0)
    variances, axes = np.linalg.eigh(moments.within / moments.n)
    means, shares = (moments.means - centre) @ axes, moments.counts / moments.n
    model = gaussian(centre, axes, variances, len(centre), means, shares, float(moments.largest.max()))
    weights, bias = model.discriminants(shrinkage)
    columns = axes @ weights
    return LinearClassifier(moments.classes, True, True, contrasts(columns), contrasts(bias - centre @ columns))


def _zscore(moments: ClassMoments, widths: Sequence[int]) -> Condition:
    """Mean 0 and standard deviation 1 on the rows of the moments; a constant column is only shifted."""
    scale = np.sqrt(np.diag(moments.total) / moments.n)
    scale[scale <= rounding_of(moments.largest, moments.epsilon, moments.n)] = 1.0
    return Condition("zscore", tuple(widths), moments.mean, scale)


@dataclass(frozen=True, eq=False)
class _Point:
    """The objective and its derivatives at one set of weights."""

    weights: Float[np.ndarray, " e"]
    """Of the standardised columns, the bias last."""
    objective: float
    gradient: Float[np.ndarray, " e"]
    hessian: Float[np.ndarray, "e e"]


def _logistic(
    probe: LogisticProbe, moments: ClassMoments, blocks: Blocks, condition: Condition | None
) -> tuple[LinearClassifier, int]:
    """The minimum of Σ log-loss / n + |w|²/(2 C n) by Newton's method, and the passes that it took.

    Columns are standardised on the way, u = s w, so that the Hessian is well conditioned whatever their units; the
    penalty stays that of w.
    """
    if len(moments.classes) > 2:
        raise ProbeError(
            "logistic is fitted over blocks for two classes only: ask one against the rest, or use ridge or lda."
        )
    n, mean = moments.n, moments.mean
    scale = np.sqrt(np.diag(moments.total) / n)
    scale[scale <= rounding_of(np.abs(moments.means).max(axis=0), moments.epsilon, n)] = 1.0
    penalty = np.append(1 / (probe.C * n * scale**2), 0.0)

    def look(weights: Float[np.ndarray, " e"]) -> _Point:
        loss, gradient, hessian = 0.0, penalty * weights, np.diag(penalty)
        for raw, labels in blocks():
            rows = raw.astype(np.float64) if condition is None else condition.apply(raw)
            rows = np.column_stack([(rows - mean) / scale, np.ones(len(rows))])
            margins, positive = rows @ weights, labels == moments.classes[1]
            loss += float(np.logaddexp(0.0, np.where(positive, -margins, margins)).sum())
            shares = np.exp(-np.logaddexp(0.0, -margins))  # p
            gradient = gradient + rows.T @ (shares - positive) / n
            hessian += (rows.T * (shares * (1 - shares) / n)) @ rows
        return _Point(weights, loss / n + float(penalty @ weights**2) / 2, gradient, hessian)

    def raw_gradient(point: _Point) -> float:
        """As a fit in memory has it: of the weights of unstandardised columns, and of the bias."""
        kernel = penalty[:-1] * point.weights[:-1]
        of_weights = (point.gradient[:-1] - kernel) * scale + mean * point.gradient[-1] + kernel * scale
        return float(np.abs(np.append(of_weights, point.gradient[-1])).max())

    start = np.append(np.zeros(len(mean)), np.log(moments.counts[1] / moments.counts[0]))
    point, passes, iterations = look(start), 1, 0
    while raw_gradient(point) > probe.tol and iterations < probe.max_iterations:
        step, smaller = np.linalg.lstsq(point.hessian, -point.gradient, rcond=None)[0], None
        for halving in range(HALVINGS):
            passes += 1
            found = look(point.weights + 0.5**halving * step)
            if found.objective < point.objective or raw_gradient(found) < raw_gradient(point):
                smaller = found
                break
        if smaller is None:
            break  # rounding: nothing nearby is lower
        point, iterations = smaller, iterations + 1
    gradient = raw_gradient(point)
    weights = point.weights[:-1] / scale
    bias = np.array([point.weights[-1] - mean @ weights])
    converged = gradient <= probe.tol
    return LinearClassifier(moments.classes, True, converged, weights[:, None], bias, gradient, iterations), passes
