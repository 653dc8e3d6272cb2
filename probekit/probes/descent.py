"""Logistic regression over blocks: many fits walk together, and one pass over the rows serves a step of each.

For each fit, with the rows of its own training set, n of them, its own C and y 0 or 1:

    minimise  Σ log-loss / n + |w|² / (2 C n)        bias unpenalised

as `probes.solver` does in memory, by the same preconditioned L-BFGS (Nocedal and Wright 2006, algorithm 7.4): in the
eigenbasis of the training set's own scatter, which the moments of its rows give, the Hessian is nearly diagonal, about
κ s + 1/(C n) with s the eigenvalues and κ the mean curvature of the loss. What differs is the line search. A look along
the line is a pass over the rows, so that every fit looks at one point a pass: mostly the whole step, which is mostly
taken.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from probekit.arrays import Bool, Features, Float, Int
from probekit.probes.classifier import LinearClassifier
from probekit.probes.conditions import Condition, rounding_of
from probekit.probes.moments import NOT_TAUGHT, ClassMoments

MEMORY = 10  # pairs of steps and gradient changes that L-BFGS remembers
SLOPES = (-0.9, 0.3)  # a step is accepted when the slope there, over the size of the slope at 0, is within
SEARCHES = 20  # looks at one line before the lower end of the bracket is taken
NEAR = 4.0  # standard deviations: rows get as far from their own mean, so that float32 loses little more from there

CellBlocks = Callable[[Bool[np.ndarray, " m"]], Iterable[tuple[Features, Int[np.ndarray, " b"]]]]
"""Given which cells are wanted, all their rows anew and the cell of each, a block at a time."""


@dataclass(frozen=True, eq=False)
class Basis:
    """One training set in the eigenbasis of its conditioned features: z = (x − mean) / scale · vectors."""

    classes: Int[np.ndarray, " c"]
    n: int
    taught: Int[np.ndarray, " m"]
    """The class of each cell, or `NOT_TAUGHT`."""
    mean: Float[np.ndarray, " d"]
    """Of the features before shift and scale."""
    reach: Float[np.ndarray, " d"]
    """How far from the mean, in the same units, the rows may be centred: `NEAR` times what they vary."""
    scale: Float[np.ndarray, " d"]
    middle: Float[np.ndarray, " d"]
    """The mean of the conditioned features."""
    vectors: Float[np.ndarray, "d d"]
    variances: Float[np.ndarray, " d"]

    @classmethod
    def of(cls, moments: ClassMoments, condition: Condition, taught: Int[np.ndarray, " m"]) -> "Basis":
        """The basis of these rows, whose moments are those before the condition."""
        conditioned = moments.conditioned(condition)
        variances, vectors = np.linalg.eigh(conditioned.total / moments.n)
        deviations = np.sqrt(np.diag(moments.total) / moments.n)
        constant = rounding_of(moments.largest, moments.epsilon, moments.n)
        return cls(
            moments.classes,
            moments.n,
            taught,
            moments.mean,
            NEAR * np.maximum(deviations, constant),
            condition.scale,
            conditioned.mean,
            vectors,
            np.maximum(variances, 0.0),
        )

    def near(self, centre: Float[np.ndarray, " d"]) -> bool:
        """Whether rows taken from there are as exact as taken from their own mean, but for a few last bits."""
        return bool((np.abs(centre - self.mean) <= self.reach).all())

    @property
    def size(self) -> float:
        """Root mean square of the conditioned features."""
        return float(np.sqrt((self.variances.sum() + self.middle @ self.middle) / len(self.middle)))


@dataclass(frozen=True, eq=False)
class Seen:
    """What one pass found at the point of one fit."""

    gradient: Float[np.ndarray, " e"]
    """In the eigenbasis, the bias last."""
    largest: float
    """max |Σ x (p − y)/n + w/(C n)| of the conditioned features, bias included."""
    curvature: float
    """Mean of p (1 − p)."""


@dataclass(eq=False)
class _Line:
    """A line search for the point where the slope is small, of which a bracket is known."""

    direction: Float[np.ndarray, " e"]
    steepness: float
    """The slope at the beginning, below 0 but for rounding."""
    length: float = 1.0
    """Where to look next."""
    looks: int = 0
    lower: tuple[float, float] = (0.0, 0.0)
    """Length and slope, as the next."""
    upper: tuple[float, float] = (np.inf, 0.0)

    def takes(self, slope: float) -> bool:
        """Whether the search ends here; else it goes on at another length."""
        if SLOPES[0] <= slope / -self.steepness <= SLOPES[1] or self.looks >= SEARCHES:
            return True
        if slope < 0:
            self.lower = (self.length, slope)
        else:
            self.upper = (self.length, slope)
        self.looks += 1
        self.length = self.lower[0] if self.looks == SEARCHES else self._next_length()
        return False

    def _next_length(self) -> float:
        """Four times as far while there is no upper end; then where a straight slope is 0, inside the bracket."""
        (lower, at_lower), (upper, at_upper) = self.lower, self.upper
        if np.isinf(upper):
            return 4 * self.length
        return lower + (upper - lower) * min(0.9, max(0.1, at_lower / (at_lower - at_upper)))


class Walk:
    """One fit on its way: where it is, where it looks, and what L-BFGS remembers."""

    def __init__(self, basis: Basis, C: float) -> None:
        self.basis = basis
        self.ridge = np.append(np.full(len(basis.variances), 1 / (C * basis.n)), 0.0)
        self.point = np.zeros(len(self.ridge))
        self.trial = self.point
        self.iterations = 0
        self.stuck = False
        self._here: Seen | None = None
        self._line = _Line(self.point, 0.0)
        self._pairs: deque[tuple[Float[np.ndarray, " e"], Float[np.ndarray, " e"], float]] = deque(maxlen=MEMORY)

    @property
    def gradient(self) -> float:
        """The largest entry where it stands."""
        return np.inf if self._here is None else self._here.largest

    def begin(self) -> None:
        """Look at the point itself next, as where the numbers are more exact than before."""
        self._here, self.trial, self.stuck = None, self.point, False

    def see(self, found: Seen) -> None:
        """Go to the point that was looked at, or look elsewhere on the line."""
        if self._here is None:
            self._arrive(found)
        elif self._line.takes(float(found.gradient @ self._line.direction)):
            self._remember(self.trial - self.point, found.gradient - self._here.gradient)
            self.point, self.iterations = self.trial, self.iterations + 1
            self._arrive(found)
        else:
            self.stuck = self._line.length == 0.0
            self.trial = self.point + self._line.length * self._line.direction

    def classifier(self, tol: float) -> LinearClassifier:
        """The fit where it stands, of conditioned features."""
        weights = self.basis.vectors @ self.point[:-1]
        bias = np.array([self.point[-1] - weights @ self.basis.middle])
        gradient = self.gradient
        return LinearClassifier(
            self.basis.classes, True, gradient <= tol, weights[:, None], bias, gradient, self.iterations
        )

    def _arrive(self, found: Seen) -> None:
        self._here = found
        direction = self._downhill(found)
        steepness = float(direction @ found.gradient)
        self._line = _Line(direction, steepness, lower=(0.0, steepness))
        self.stuck = steepness >= 0  # rounding only: the Hessian is positive definite
        self.trial = self.point + direction

    def _downhill(self, found: Seen) -> Float[np.ndarray, " e"]:
        """−H gradient with H the L-BFGS inverse Hessian."""
        variances = np.append(self.basis.variances, 1.0)
        diagonal = max(found.curvature, 1e-6) * variances + self.ridge + float(np.finfo(np.float64).tiny)
        direction: Float[np.ndarray, " e"] = -found.gradient
        factors = []
        for step, change, inverse in reversed(self._pairs):
            factors.append(inverse * float(step @ direction))
            direction = direction - factors[-1] * change
        direction = direction / diagonal
        for (step, change, inverse), factor in zip(self._pairs, reversed(factors), strict=True):
            direction = direction + (factor - inverse * float(change @ direction)) * step
        if direction @ found.gradient >= 0:
            self._pairs.clear()
            direction = -found.gradient / diagonal
        return direction

    def _remember(self, step: Float[np.ndarray, " e"], change: Float[np.ndarray, " e"]) -> None:
        product = float(step @ change)  # > 0 by convexity; rounding can spoil it, then the pair is not used
        if product > np.finfo(np.float64).eps * np.sqrt(float(step @ step) * float(change @ change)):
            self._pairs.append((step, change, 1 / product))


def descend(
    walks: Sequence[Walk],
    blocks: CellBlocks,
    *,
    tols: Sequence[float],
    max_iterations: int,
    dtype: type[np.floating],
) -> int:
    """Let every fit walk to the gradient that it is to have, or so many steps; how many passes that took.

    Args:
        walks: the fits; they are changed.
        blocks: the rows of all training sets.
        tols: on the largest entry of each one's gradient.
        max_iterations: steps after which a fit is given up; its gradient tells.
        dtype: of the products of rows and weights; what is summed over blocks is float64.
    """
    for walk in walks:
        walk.begin()
    last = {id(walk): walk.iterations + max_iterations for walk in walks}
    waiting, passes = list(zip(walks, tols, strict=True)), 0
    while waiting:
        passes += 1
        for (walk, _), found in zip(waiting, _look([walk for walk, _ in waiting], blocks, dtype), strict=True):
            walk.see(found)
        waiting = [
            (walk, tol)
            for walk, tol in waiting
            if walk.gradient > tol and not walk.stuck and walk.iterations < last[id(walk)]
        ]
    return passes


def _look(walks: Sequence[Walk], blocks: CellBlocks, dtype: type[np.floating]) -> list[Seen]:
    """What every fit finds at the point that it wants to look at: one pass over the rows of their training sets."""
    numbers = _near_each_other(walks)
    companies = [_Company([walks[i] for i in members], dtype) for members in numbers]
    for features, cells in blocks(np.any([company.wanted for company in companies], axis=0)):
        for company in companies:
            company.take(features, cells)
    found = dict(zip(chain(*numbers), chain(*(company.seen() for company in companies)), strict=True))
    return [found[i] for i in range(len(walks))]


def _near_each_other(walks: Sequence[Walk]) -> list[list[int]]:
    """Numbers of the fits whose rows can be taken from one centre, the mean of the first.

    A training set far from the others must not cost them the digits of their own: what a fit finds depends on it alone.
    """
    found: list[list[int]] = []
    for i, walk in enumerate(walks):
        near = (members for members in found if walk.basis.near(walks[members[0]].basis.mean))
        members = next(near, None)
        if members is None:
            found.append([i])
        else:
            members.append(i)
    return found


class _Company:
    """Fits that look together: one product a block serves all of them, of rows taken from a common centre.

    From a centre, so that no float32 is lost on columns that are far from 0.
    """

    def __init__(self, walks: Sequence[Walk], dtype: type[np.floating]) -> None:
        bases = [walk.basis for walk in walks]
        self.walks, self.dtype, self.centre = walks, dtype, bases[0].mean
        self.weights = np.stack([basis.vectors @ walk.trial[:-1] for basis, walk in zip(bases, walks, strict=True)])
        slanted = self.weights / np.stack([basis.scale for basis in bases])  # (p, d)
        self.off = np.stack([basis.mean for basis in bases]) - self.centre
        bias = np.array([walk.trial[-1] for walk in walks]) - np.vecdot(self.off, slanted)
        taught = np.stack([basis.taught for basis in bases])  # (p, cells)
        self.wanted: Bool[np.ndarray, " m"] = (taught != NOT_TAUGHT).any(axis=0)
        self.positive = taught == np.array([basis.classes[1] for basis in bases])[:, None]
        self.learners = {cell: np.flatnonzero(taught[:, cell] != NOT_TAUGHT) for cell in np.flatnonzero(self.wanted)}
        self.lines = {
            cell: (np.ascontiguousarray(slanted[own].T, dtype=dtype), bias[own].astype(dtype))
            for cell, own in self.learners.items()
        }
        self.sums = np.zeros(self.weights.shape)
        self.residuals, self.curvatures = np.zeros(len(walks)), np.zeros(len(walks))

    def take(self, features: Features, cells: Int[np.ndarray, " b"]) -> None:
        """Add what each fit finds of the rows that it learns from."""
        for cell in np.unique(cells[self.wanted[cells]]).tolist():
            own, (slopes, at_zero) = self.learners[cell], self.lines[cell]
            some = (features[cells == cell] - self.centre).astype(self.dtype)
            shares = _sigmoid(some @ slopes + at_zero)  # (rows, fits)
            self.curvatures[own] += (shares * (1 - shares)).sum(axis=0, dtype=np.float64)
            shares -= self.positive[own, cell].astype(self.dtype)
            self.sums[own] += shares.T @ some
            self.residuals[own] += shares.sum(axis=0, dtype=np.float64)

    def seen(self) -> Iterator[Seen]:
        """What came of it for each fit."""
        for i, walk in enumerate(self.walks):
            residual = self.residuals[i]
            yield _seen(walk, self.weights[i], self.sums[i] - residual * self.off[i], residual, self.curvatures[i])


def _seen(
    walk: Walk,
    weights: Float[np.ndarray, " d"],
    sums: Float[np.ndarray, " d"],
    residual: float,
    curvature: float,
) -> Seen:
    """The gradient in both bases, from Σ (p − y) (x − mean), Σ (p − y) and Σ p (1 − p)."""
    basis = walk.basis
    centred, of_bias = sums / basis.scale / basis.n, residual / basis.n
    gradient = np.append(centred @ basis.vectors, of_bias) + walk.ridge * walk.trial
    given = centred + walk.ridge[0] * weights + of_bias * basis.middle
    return Seen(gradient, float(np.abs(np.append(given, of_bias)).max()), curvature / basis.n)


def _sigmoid(logits: Float[np.ndarray, "b p"]) -> Float[np.ndarray, "b p"]:
    """Of the number format given; it does not overflow."""
    odds = np.exp(-np.abs(logits))
    shares: Float[np.ndarray, "b p"] = np.where(logits >= 0, 1, odds) / (1 + odds)
    return shares
