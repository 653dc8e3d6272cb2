"""Ridge regression on ±1, in closed form, with exact held-out decisions over the whole penalty path.

With α = 1/C and Xᶜ the centred features, all C come from one eigendecomposition:

    d < n    Xᶜᵀ Xᶜ = V diag(λ) Vᵀ      Z = Xᶜ V      fitted = ȳ + Z diag(1/(λ + α)) Zᵀ (y − ȳ)
    d ≥ n    Xᶜ Xᶜᵀ = U diag(λ) Uᵀ on the vectors orthogonal to 1

What the rows B say of themselves when they are left out needs no other fit, only their block of the hat matrix
H = 11ᵀ/n + Z diag(1/(λ + α)) Zᵀ (Cook and Weisberg 1982, §3.2, for more than one row):

    f_B = y_B − (I − H_BB)⁻¹ (y_B − fitted_B)
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np

from probekit import probes
from probekit.arrays import Bool, Features, Float, Int, Labels
from probekit.probes.classifier import LinearClassifier, indicators, require_positive, trainable_classes

BLOCK_ROWS = 64  # larger blocks are cheaper to fit again than to take out
MAX_ELEMENTS = 2**24  # numbers in one array: more blocks than fit are computed in turn
SINGULAR = 1e-6  # a pivot of I − H_BB below it has lost 10 of 16 digits: the block is fitted again without its rows


@probes.add("ridge")
@dataclass(frozen=True)
class RidgeProbe(probes.Probe):
    """Minimises `C * sum((y - f)^2) / 2 + |w|^2 / 2` with y = ±1, bias unpenalised; one column a class for more.

    That is scikit-learn's Ridge with alpha = 1/C.
    """

    parameter: ClassVar = "C"
    grid: ClassVar = probes.GRID
    criterion: ClassVar = "squared_error"
    by_group: ClassVar = True

    C: float = 1.0
    """Inverse regularisation strength."""

    def __post_init__(self) -> None:
        require_positive("C", self.C)

    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> LinearClassifier:
        """The minimum, in float64 on the CPU.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        return _Path(features, _targets(labels, classes)).classifier(classes, self.C)

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
        """Every C on every division, exactly, in float64 on the CPU.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        classes = trainable_classes(features, labels)
        targets, penalties = _targets(labels, classes), 1 / np.asarray(grid, np.float64)
        decisions: dict[int, Float[np.ndarray, "g t k"]] = {}
        whole = None
        blocks = defaultdict(list)
        for number, division in enumerate(divisions):
            size = len(division.test)
            if size <= BLOCK_ROWS and np.array_equal(np.sort(division.test), np.sort(division.left_out)):
                blocks[size].append(number)
        if blocks:
            whole = _Path(features, targets)
            for numbers in blocks.values():
                rows = np.array([divisions[number].test for number in numbers])
                found, exact = whole.held_out(rows, penalties)
                decisions |= {number: found[i] for i, number in enumerate(numbers) if exact[i]}
        for number, division in enumerate(divisions):
            if number not in decisions:
                learned = division.learned(len(labels))
                path = _Path(features[learned], targets[learned])
                decisions[number] = path.predict(features[division.test], penalties)
        ordered = [decisions[number] for number in range(len(divisions))]
        flat = tuple(found[..., 0] if len(classes) == 2 else found for found in ordered)
        fit = None if whole is None else partial(whole.classifier, classes)
        return probes.Sweep(flat, len(divisions) * len(penalties), 0, fit)


class _Path:
    """Ridge fits of every penalty, by one eigendecomposition."""

    def __init__(self, features: Features, targets: Float[np.ndarray, "n k"]) -> None:
        self.targets = targets
        self.middle = targets.mean(axis=0)
        self.mean = features.mean(axis=0, dtype=np.float64)
        self.centred: Features = features - self.mean
        n, d = self.centred.shape
        self.dual = d >= n
        if self.dual:
            gram = self.centred @ self.centred.T
            top = np.trace(gram) + 1.0
            values, vectors = np.linalg.eigh(gram + 2 * top / n)  # lifts 1/√n above all others: it comes last
            self.eigenvalues, self.vectors = np.maximum(values[:-1], 0.0), vectors[:, :-1]
            self.coordinates = self.vectors
        else:
            values, self.vectors = np.linalg.eigh(self.centred.T @ self.centred)
            self.eigenvalues = np.maximum(values, 0.0)
            self.coordinates = self.centred @ self.vectors

    def _effects(self, penalties: Float[np.ndarray, " g"]) -> Float[np.ndarray, "r k g"]:
        """diag(1/(λ + α)) times the coordinates' products with the centred targets."""
        effects: Float[np.ndarray, "r k g"] = (self.coordinates.T @ (self.targets - self.middle))[..., None] / (
            self.eigenvalues[:, None] + penalties
        )[:, None]
        return effects

    def predict(self, features: Features, penalties: Float[np.ndarray, " g"]) -> Float[np.ndarray, "g t k"]:
        """What the fit of every penalty says of other rows."""
        effects = self._effects(penalties)
        projected = (features - self.mean) @ (self.centred.T @ self.vectors if self.dual else self.vectors)
        found = np.tensordot(projected, effects, axes=1) + self.middle[:, None]  # (t, k, g)
        decisions: Float[np.ndarray, "g t k"] = np.moveaxis(found, 2, 0)
        return decisions

    def classifier(self, classes: Int[np.ndarray, " c"], C: float) -> LinearClassifier:
        """The fit of one C."""
        effects = self._effects(np.array([1 / C]))[..., 0]
        weights = (self.centred.T @ self.vectors if self.dual else self.vectors) @ effects
        return LinearClassifier(classes, False, True, weights, self.middle - self.mean @ weights)

    def held_out(
        self, rows: Int[np.ndarray, "b t"], penalties: Float[np.ndarray, " g"]
    ) -> tuple[Float[np.ndarray, "b g t k"], Bool[np.ndarray, " b"]]:
        """What fits without the rows of each block say of them, and whether that could be told to 10 digits."""
        t, r, g = rows.shape[1], len(self.eigenvalues), len(penalties)
        at_once = max(1, MAX_ELEMENTS // (t * max(r, t * g)))
        parts = [self._held_out(rows[i : i + at_once], penalties) for i in range(0, len(rows), at_once)]
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def _held_out(
        self, rows: Int[np.ndarray, "b t"], penalties: Float[np.ndarray, " g"]
    ) -> tuple[Float[np.ndarray, "b g t k"], Bool[np.ndarray, " b"]]:
        inverse = 1 / (self.eigenvalues[:, None] + penalties)  # (r, g)
        if self.dual:
            # 1 and the eigenvectors are a whole basis, so that I − H = U diag(α/(λ + α)) Uᵀ, and y − fitted alike:
            # sums of what is left, not differences of what is nearly equal
            shares = penalties * inverse
            effects = (self.vectors.T @ self.targets)[:, :, None] * shares[:, None]
        else:
            shares, effects = inverse, self._effects(penalties)
        some = self.coordinates[rows].transpose(1, 0, 2)  # (t, b, r)
        t, b, _ = some.shape
        left = np.empty((t, t, b, len(penalties)))  # I − H_BB of every block and penalty
        for i in range(t):
            for j in range(i + 1):
                left[i, j] = (some[i] * some[j]) @ shares
                if not self.dual:
                    left[i, j] = float(i == j) - 1 / len(self.targets) - left[i, j]
                left[j, i] = left[i, j]
        residuals = np.tensordot(some, effects, axes=1).transpose(0, 2, 1, 3)  # (t, k, b, g)
        own = self.targets[rows].transpose(1, 2, 0)[..., None]  # (t, k, b, 1)
        if not self.dual:
            residuals = own - self.middle[:, None, None] - residuals
        pivots = _eliminate(left, residuals)
        exact: Bool[np.ndarray, " b"] = self.dual | (pivots > SINGULAR).all(axis=-1)
        decisions: Float[np.ndarray, "b g t k"] = (own - residuals).transpose(2, 3, 0, 1)
        return decisions, exact


def _eliminate(matrices: Float[np.ndarray, "t t b g"], right: Float[np.ndarray, "t k b g"]) -> Float[np.ndarray, "b g"]:
    """Solves all the systems in place, by elimination without pivoting as they are positive definite.

    Returns:
        The smallest pivot of each.
    """
    smallest = np.full(matrices.shape[2:], np.inf)
    for i in range(len(matrices)):
        smallest = np.minimum(smallest, matrices[i, i])
        pivot = np.where(matrices[i, i] > 0, matrices[i, i], 1.0)
        for j in range(i + 1, len(matrices)):
            factor = matrices[j, i] / pivot
            matrices[j, i:] -= factor * matrices[i, i:]
            right[j] -= factor * right[i]
        matrices[i, i] = pivot
    for i in reversed(range(len(matrices))):
        for j in range(i + 1, len(matrices)):
            right[i] -= matrices[i, j] * right[j]
        right[i] /= matrices[i, i]
    return smallest


def _targets(labels: Labels, classes: Int[np.ndarray, " c"]) -> Float[np.ndarray, "n k"]:
    """±1: one column for the second of two classes, else one a class."""
    return 2 * indicators(labels, classes).T - 1
