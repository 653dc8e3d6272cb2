"""Linear probes of features that are larger than memory, fitted to blocks of rows, many at once.

Blocks come as often as they are asked for, and each pass serves every fit that is under way. What is held is a block,
and matrices of d × d:

    ridge, lda   one pass, whatever the training sets and the grid. Counts, means and the scatter within classes are
                 all that they need:
                 total scatter  Xᶜᵀ Xᶜ = W + Σ_c n_c (μ_c − μ)(μ_c − μ)ᵀ,   Xᶜᵀ y = Σ_c n_c (μ_c − μ) y_c
    logistic     the same pass, then L-BFGS as in memory (`probes.descent`): one pass a step of all fits, twenty to a
                 hundred of them. Two classes.

`zscore` takes its statistics from the same rows.

The fits agree with those in memory: decisions within 1e-6 of the largest, of `logistic`, which both end within a
tolerance, 1e-5. Two exceptions: `lda` without any shrinkage on columns that are nearly dependent (1e-4), and `logistic`
where rounding ends either fit before its tolerance, which `converged` tells.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from probekit.arrays import Features, Float, Int, Labels
from probekit.errors import ProbeError
from probekit.probes import Probe
from probekit.probes.classifier import LinearClassifier, contrasts, indicators, require_two
from probekit.probes.conditions import Condition, fit_condition, rounding_of
from probekit.probes.descent import Basis, CellBlocks, Walk, descend
from probekit.probes.lda import LDAProbe, gaussian
from probekit.probes.logistic import LogisticProbe
from probekit.probes.moments import CellMoments, ClassMoments, cell_moments
from probekit.probes.ridge import RidgeProbe

Blocks = Callable[[], Iterable[tuple[Features, Labels]]]
"""Every call gives all rows anew, a block of features and labels at a time; the same rows each time."""

CONDITIONS = ("raw", "l2", "layernorm", "zscore")
PROBES: tuple[type[Probe], ...] = (RidgeProbe, LDAProbe, LogisticProbe)
MATRICES = 4
"""Of d × d numbers that fitting one training set holds beside the scatter of the cells."""

SWEEP_TOL, SWEEP_ITERATIONS = 1e-5, 500  # as those of a sweep in memory, for features of RMS 1


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
    moments = cell_moments(condition_rows(blocks(), condition, widths))
    classes = moments.cells
    require_two(classes)

    def numbered(_: object) -> Iterable[tuple[Features, Int[np.ndarray, " b"]]]:
        cells = ((features, np.searchsorted(classes, labels)) for features, labels in blocks())
        return condition_rows(cells, condition, widths)

    fits = Fits.of(type(probe), moments, np.arange(len(classes))[None], numbered, condition, widths)
    (found,) = fits.finish([probe])
    return StreamedFit(fits.conditions[0], replace(found, classes=classes), fits.sets[0].n, fits.passes)


@dataclass(eq=False)
class Fits:
    """Probes of one kind on several training sets, whose rows stream by together."""

    kind: type[Probe]
    conditions: list[Condition]
    """Of each training set."""
    sets: list[ClassMoments]
    """The moments of each, before shift and scale."""
    passes: int
    """Times that the rows were read so far."""
    _blocks: CellBlocks
    _taught: Int[np.ndarray, "t m"]
    _walks: dict[tuple[int, float], Walk] = field(default_factory=dict)
    """By training set and C."""
    _solvers: dict[int, Callable[[float], LinearClassifier]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        kind: type[Probe],
        moments: CellMoments,
        taught: Int[np.ndarray, "t m"],
        blocks: CellBlocks,
        condition: str,
        widths: Sequence[int],
    ) -> "Fits":
        """Nothing fitted yet but the conditions.

        Args:
            kind: one of `PROBES`.
            moments: of the rows that `blocks` gives.
            taught: for each training set the class of each cell, or `NOT_TAUGHT`.
            blocks: the rows, once each alone was conditioned.
            condition: a name in `CONDITIONS`.
            widths: columns of each part of the features.

        Raises:
            ProbeError: one class only, or more than two for `logistic`.
        """
        sets = [moments.of_classes(row) for row in taught]
        if kind is LogisticProbe and any(len(one.classes) > 2 for one in sets):
            raise ProbeError(
                "logistic is fitted over blocks for two classes only: ask one against the rest, or use ridge or lda."
            )
        by_row = _by_row(condition, widths)
        conditions = [_zscore(one, widths) if condition == "zscore" else by_row for one in sets]
        return cls(kind, conditions, sets, 1, blocks, taught)

    def sweep(self, grid: Sequence[float]) -> list[list[LinearClassifier]]:
        """For each training set the fit of every value, good enough to choose by; `converged` tells."""
        every = range(len(self.sets))
        if self.kind is not LogisticProbe:
            return [[self._closed_form(number, value) for value in grid] for number in every]
        walks = [self._walk(number, value) for number in every for value in grid]
        tols = [SWEEP_TOL * walk.basis.size for walk in walks]
        self.passes += descend(walks, self._blocks, tols=tols, max_iterations=SWEEP_ITERATIONS, dtype=np.float32)
        found = [walk.classifier(tol) for walk, tol in zip(walks, tols, strict=True)]
        return [found[start : start + len(grid)] for start in range(0, len(found), len(grid))]

    def finish(self, chosen: Sequence[Probe]) -> list[LinearClassifier]:
        """The fit of one probe for each training set, as exact as in memory; what a sweep has found of it is used."""
        iterative = [probe for probe in chosen if isinstance(probe, LogisticProbe)]
        if not iterative:
            return [self._closed_form(number, _value(probe)) for number, probe in enumerate(chosen)]
        walks, tols = [self._walk(*one) for one in enumerate(map(_value, chosen))], [probe.tol for probe in iterative]
        most = max(probe.max_iterations for probe in iterative)
        self.passes += descend(walks, self._blocks, tols=tols, max_iterations=most, dtype=np.float64)
        return [walk.classifier(tol) for walk, tol in zip(walks, tols, strict=True)]

    def _closed_form(self, number: int, value: float) -> LinearClassifier:
        if number not in self._solvers:
            moments = self.sets[number].conditioned(self.conditions[number])
            self._solvers[number] = ridge(moments) if self.kind is RidgeProbe else lda(moments)
        return self._solvers[number](value)

    def _walk(self, number: int, C: float) -> Walk:
        """The fit of one C on one training set; all fits of a set share its basis."""
        if (number, C) not in self._walks:
            others = (walk.basis for (of, _), walk in self._walks.items() if of == number)
            basis = next(others, None) or Basis.of(self.sets[number], self.conditions[number], self._taught[number])
            self._walks[number, C] = Walk(basis, C)
        return self._walks[number, C]


def _value(probe: Probe) -> float:
    """Of the parameter."""
    return float(getattr(probe, probe.parameter or ""))


def ridge(moments: ClassMoments) -> Callable[[float], LinearClassifier]:
    """Gives for any C the minimum of `C * sum((y - f)^2) / 2 + |w|^2 / 2`, y = ±1: (Xᶜᵀ Xᶜ + I/C) w = Xᶜᵀ y."""
    targets = 2 * indicators(moments.classes, moments.classes).T - 1  # (c, k)
    middle = moments.counts @ targets / moments.n
    products = ((moments.means - moments.mean).T * moments.counts) @ (targets - middle)
    values, vectors = np.linalg.eigh(moments.total)
    rotated = vectors.T @ products

    def solve(C: float) -> LinearClassifier:
        weights = vectors @ (rotated / (np.maximum(values, 0.0) + 1 / C)[:, None])
        return LinearClassifier(moments.classes, False, True, weights, middle - moments.mean @ weights)

    return solve


def lda(moments: ClassMoments) -> Callable[[float], LinearClassifier]:
    """Gives for any shrinkage the log-odds of Gaussian classes of one shrunk covariance, as `LDAProbe` has them.

    Raises:
        ProbeError: no class varies.
    """
    centre = moments.means.mean(axis=0)
    variances, axes = np.linalg.eigh(moments.within / moments.n)
    means, shares = (moments.means - centre) @ axes, moments.counts / moments.n
    model = gaussian(centre, axes, variances, len(centre), means, shares, float(moments.largest.max()))

    def solve(shrinkage: float) -> LinearClassifier:
        weights, bias = model.discriminants(shrinkage)
        columns = axes @ weights
        return LinearClassifier(moments.classes, True, True, contrasts(columns), contrasts(bias - centre @ columns))

    return solve


def _zscore(moments: ClassMoments, widths: Sequence[int]) -> Condition:
    """Mean 0 and standard deviation 1 on the rows of the moments; a constant column is only shifted."""
    scale = np.sqrt(np.diag(moments.total) / moments.n)
    scale[scale <= rounding_of(moments.largest, moments.epsilon, moments.n)] = 1.0
    return Condition("zscore", tuple(widths), moments.mean, scale)


def condition_rows(
    blocks: Iterable[tuple[Features, Int[np.ndarray, " b"]]], condition: str, widths: Sequence[int]
) -> Iterator[tuple[Features, Int[np.ndarray, " b"]]]:
    """The blocks as far as each row alone decides: lengths and means of rows, not yet what `zscore` takes from all.

    Raises:
        ProbeError: the condition is not one of `CONDITIONS`.
    """
    by_row = _by_row(condition, widths)
    return ((rows if by_row.name == "raw" else by_row.apply(rows), names) for rows, names in blocks)


def _by_row(condition: str, widths: Sequence[int]) -> Condition:
    if condition not in CONDITIONS:
        raise ProbeError(
            f"{condition} is not fitted over blocks: use {', '.join(CONDITIONS[:-1])} or {CONDITIONS[-1]}, or fewer "
            "samples that fit the memory."
        )
    return fit_condition("raw" if condition == "zscore" else condition, np.empty((0, sum(widths))), widths)
