"""Logistic regressions that share their features, solved as one computation.

For each problem p with its own rows, its own C and n rows in use:

    minimise  Σ log-loss / n + |w|² / (2 C n)        bias unpenalised

which is scikit-learn's objective divided by C n. All problems walk together, so that every step is two
matrix-matrix products over all of them:

    along    = D Z̃ᵀ      how the logits change along the directions; the line search then needs no product
    gradient = R Z̃ / n + ridge θ

Z̃ is the centred features in the eigenbasis of their Gram matrix, with a column of ones for the bias. There
the Hessian is nearly diagonal, about κ s + 1/(C n) with s the eigenvalues and κ = Σ p(1 − p)/n, which
preconditions L-BFGS (Nocedal and Wright 2006, algorithm 7.4). Finished problems leave the batch.
"""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Bool, Features, Float, Int

MEMORY = 10  # pairs of steps and gradient changes that L-BFGS remembers
SLOPES = (-0.9, 0.3)  # a step is accepted when the slope there, over the size of the slope at 0, is within
SEARCHES = 20  # looks at one line before the lower end of the bracket is taken
MAX_ELEMENTS = 2**24  # logits held at once: more problems than fit are solved in turn


@dataclass(frozen=True)
class Space:
    """Features in the eigenbasis of their Gram matrix: X = mean + Z Vᵀ, exactly, with V orthonormal."""

    mean: Float[np.ndarray, " d"]
    vectors: Float[np.ndarray, "d r"]
    variances: Float[np.ndarray, " r"]
    coordinates: Float[np.ndarray, "n m"]
    """Z with a last column of ones: m = r + 1."""

    def astype(self, dtype: type[np.floating]) -> "Space":
        """The same space in another precision."""
        return Space(*(a.astype(dtype) for a in (self.mean, self.vectors, self.variances, self.coordinates)))

    def original(self, theta: Float[np.ndarray, "... m"]) -> Float[np.ndarray, "... d"]:
        """Weights (or the covariant part of a gradient) in the columns of X."""
        weights: Float[np.ndarray, "... d"] = theta[..., :-1] @ self.vectors.T
        return weights


@dataclass(frozen=True)
class Solution:
    """One entry a problem, in the order they were given."""

    theta: Float[np.ndarray, "p k m"]
    gradient: Float[np.ndarray, " p"]
    """max |Xᵀ(p − y)/n + w/(C n)| in the units of the features given, bias included."""
    iterations: Int[np.ndarray, " p"]


def rotate(features: Features) -> Space:
    """The eigenbasis of the features, in float64; at most min(n, d) directions."""
    mean = features.mean(axis=0, dtype=np.float64)
    centred = features - mean
    n, d = centred.shape
    if d > n:  # all weights lie in the span of the rows: centred = Rᵀ Qᵀ, work with the n columns of Rᵀ
        basis, right = np.linalg.qr(centred.T)
        centred = right.T
    variances, vectors = np.linalg.eigh(centred.T @ centred / n)
    coordinates = np.hstack([centred @ vectors, np.ones((n, 1))])
    if d > n:
        vectors = basis @ vectors
    return Space(mean, vectors, np.maximum(variances, 0.0), coordinates)


def solve(
    space: Space,
    targets: Float[np.ndarray, "k n"],
    rows: Bool[np.ndarray, "p n"],
    C: Float[np.ndarray, " p"],
    *,
    tol: float,
    max_iterations: int,
) -> Solution:
    """The minimum of every problem, to a gradient of `tol` or after `max_iterations`.

    Args:
        space: the features; their precision is the precision of the computation.
        targets: 0/1, one row for the second of two classes, one row a class for more.
        rows: the rows each problem learns from.
        C: the inverse regularisation strength of each problem.
        tol: on max |Xᵀ(p − y)/n + w/(C n)|.
        max_iterations: steps after which a problem is given up; `Solution.gradient` tells.
    """
    at_once = max(1, MAX_ELEMENTS // targets.size)
    parts = [
        _solve(_Batch(space, targets, rows[i : i + at_once], C[i : i + at_once]), tol, max_iterations)
        for i in range(0, len(C), at_once)
    ]
    return Solution(
        np.concatenate([part.theta for part in parts]),
        np.concatenate([part.gradient for part in parts]),
        np.concatenate([part.iterations for part in parts]),
    )


def _solve(batch: "_Batch", tol: float, max_iterations: int) -> Solution:
    theta = np.zeros_like(batch.theta)
    gradient = np.zeros(len(theta))
    iterations = np.zeros(len(theta), dtype=int)
    problems = np.arange(len(theta))  # where each problem of the batch stands in the solution
    for iteration in range(max_iterations + 1):
        finished = (batch.size_of_gradient(tol) <= tol) | batch.stuck | (iteration == max_iterations)
        if finished.any():
            done = problems[finished]
            theta[done], iterations[done] = batch.theta[finished], iteration
            gradient[done] = batch.max_gradient(finished)
            problems = problems[~finished]
            batch.keep(~finished)
        if len(problems) == 0:
            break
        batch.step()
    return Solution(theta, gradient, iterations)


class _Batch:
    """The problems still being solved: p problems, k columns each, m = r + 1 coordinates, n rows."""

    def __init__(
        self,
        space: Space,
        targets: Float[np.ndarray, "k n"],
        rows: Bool[np.ndarray, "p n"],
        C: Float[np.ndarray, " p"],
    ) -> None:
        dtype = space.coordinates.dtype
        p, k, size = len(C), len(targets), space.coordinates.shape[1]
        n = rows.sum(axis=1)
        self.space = space
        self.targets = targets.astype(dtype)
        self.rows = (rows / n[:, None]).astype(dtype)[:, None, :]  # (p, 1, n): 1/n where the row is in use
        self.ridge = np.repeat((1.0 / (C * n)).astype(dtype)[:, None, None], size, axis=2)  # (p, 1, m)
        self.ridge[..., -1] = 0.0
        self.theta = np.zeros((p, k, size), dtype)
        self.logits = np.zeros((p, k, rows.shape[1]), dtype)
        self.residuals = self._residuals(self.logits, slice(None))
        self.gradient = self._gradient()
        self.steps = np.zeros((MEMORY, p, k, size), dtype)
        self.changes = np.zeros_like(self.steps)
        self.inverse = np.zeros((MEMORY, p), dtype)  # 1 / (step · change); 0 where nothing is remembered
        self.newest = -1
        self.stuck = np.zeros(p, dtype=bool)

    def keep(self, chosen: Bool[np.ndarray, " p"]) -> None:
        """Go on with these problems only."""
        for name in ("rows", "ridge", "theta", "logits", "residuals", "gradient", "stuck"):
            setattr(self, name, getattr(self, name)[chosen])
        for name in ("steps", "changes", "inverse"):
            setattr(self, name, getattr(self, name)[:, chosen])

    def step(self) -> None:
        """Every problem moves once."""
        direction = self._direction()
        slope = _dot(direction, self.gradient)
        along = self._product(direction, self.space.coordinates.T)
        length, self.residuals = self._search(direction, along, slope)
        self.stuck = length == 0
        length = length[:, None, None]
        self.theta += length * direction
        self.logits += length * along
        before = self.gradient
        self.gradient = self._gradient()
        self._remember(length * direction, self.gradient - before)

    def size_of_gradient(self, tol: float) -> Float[np.ndarray, " p"]:
        """The largest gradient in the units of the features where it may be below tol, elsewhere its RMS."""
        bound: Float[np.ndarray, " p"] = np.sqrt(_dot(self.gradient, self.gradient) / self.gradient[0].size)
        near = bound <= tol
        if near.any():
            bound[near] = self.max_gradient(near)
        return bound

    def max_gradient(self, chosen: Bool[np.ndarray, " p"]) -> Float[np.ndarray, " q"]:
        """The larger of max |Xᵀ(p − y)/n + w/(C n)| and |Σ(p − y)/n|, in the units of the features."""
        gradient = self.gradient[chosen]
        bias = gradient[..., -1:]
        weights = self.space.original(gradient) + bias * self.space.mean
        largest: Float[np.ndarray, " q"] = np.maximum(np.abs(weights).max(axis=(1, 2)), np.abs(bias).max(axis=(1, 2)))
        return largest

    def _direction(self) -> Float[np.ndarray, "p k m"]:
        """−H gradient with H the L-BFGS inverse Hessian: two loops, all problems at once."""
        size = np.abs(self.residuals)  # = 1 − p or p, over n: Σ p(1 − p)/n without another product
        curvature = (size - size * size / self.rows.max(axis=2, keepdims=True)).sum(axis=2)  # (p, k)
        variances = np.append(self.space.variances, 1.0).astype(size.dtype)
        diagonal = np.maximum(curvature, 1e-6)[..., None] * variances + self.ridge + np.finfo(size.dtype).tiny
        order = [(self.newest - i) % MEMORY for i in range(MEMORY)]
        direction: Float[np.ndarray, "p k m"] = -self.gradient
        factors = {}
        for i in order:
            factors[i] = self.inverse[i] * _dot(self.steps[i], direction)
            direction -= factors[i][:, None, None] * self.changes[i]
        direction /= diagonal
        for i in reversed(order):
            factor = factors[i] - self.inverse[i] * _dot(self.changes[i], direction)
            direction += factor[:, None, None] * self.steps[i]
        uphill = _dot(direction, self.gradient) >= 0  # rounding only: H is positive definite
        direction[uphill] = -self.gradient[uphill] / diagonal[uphill]
        self.inverse[:, uphill] = 0.0
        return direction

    def _search(
        self,
        direction: Float[np.ndarray, "p k m"],
        along: Float[np.ndarray, "p k n"],
        slope: Float[np.ndarray, " p"],
    ) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, "p k n"]]:
        """Step lengths at which the slope is small against the slope at 0, and the residuals there.

        The slope of a convex function grows along the line, so a bracket of its zero is enough and the
        objective, whose differences drown in rounding near the minimum, is never needed.
        """
        linear, square = _dot(self.ridge * self.theta, direction), _dot(self.ridge * direction, direction)
        length, lower, upper = np.ones_like(slope), np.zeros_like(slope), np.full_like(slope, np.inf)
        lower_slope, upper_slope = slope.copy(), np.zeros_like(slope)
        residuals = np.empty_like(along)
        todo = np.flatnonzero(slope < 0)
        length[slope >= 0] = 0.0
        residuals[slope >= 0] = self.residuals[slope >= 0]
        for _ in range(SEARCHES):
            t = length[todo]
            there = self._residuals(self.logits[todo] + t[:, None, None] * along[todo], todo)
            residuals[todo] = there
            found = _dot(there, along[todo]) + linear[todo] + t * square[todo]
            low = found < 0
            lower[todo[low]], lower_slope[todo[low]] = t[low], found[low]
            upper[todo[~low]], upper_slope[todo[~low]] = t[~low], found[~low]
            ratio = found / -slope[todo]
            todo = todo[(ratio < SLOPES[0]) | (ratio > SLOPES[1])]
            if len(todo) == 0:
                return length, residuals
            length[todo] = _next_length(lower[todo], upper[todo], lower_slope[todo], upper_slope[todo])
        length[todo] = lower[todo]  # the slope is still falling there, so the objective is lower than at 0
        residuals[todo] = self._residuals(self.logits[todo] + lower[todo, None, None] * along[todo], todo)
        return length, residuals

    def _residuals(
        self, logits: Float[np.ndarray, "q k n"], chosen: slice | Int[np.ndarray, " q"]
    ) -> Float[np.ndarray, "q k n"]:
        """(p − y)/n, 0 for rows that are not in use."""
        probabilities: Float[np.ndarray, "q k n"]
        if len(self.targets) == 1:
            probabilities = np.tanh(0.5 * logits)  # σ(z) = (1 + tanh(z/2))/2 never overflows
            probabilities += 1.0
            probabilities *= 0.5
        else:
            probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
            probabilities /= probabilities.sum(axis=1, keepdims=True)
        probabilities -= self.targets
        probabilities *= self.rows[chosen]
        return probabilities

    def _gradient(self) -> Float[np.ndarray, "p k m"]:
        gradient = self._product(self.residuals, self.space.coordinates)
        gradient += self.ridge * self.theta
        return gradient

    def _product(self, left: Float[np.ndarray, "p k a"], right: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "p k b"]:
        p, k, _ = left.shape
        product: Float[np.ndarray, "p k b"] = (left.reshape(p * k, -1) @ right).reshape(p, k, -1)
        return product

    def _remember(self, step: Float[np.ndarray, "p k m"], change: Float[np.ndarray, "p k m"]) -> None:
        self.newest = (self.newest + 1) % MEMORY
        self.steps[self.newest], self.changes[self.newest] = step, change
        product = _dot(step, change)  # > 0 by convexity; rounding can spoil it, then the pair is not used
        floor = np.finfo(step.dtype).eps * np.sqrt(_dot(step, step) * _dot(change, change))
        useful = product > floor
        self.inverse[self.newest] = np.divide(1.0, product, out=np.zeros_like(product), where=useful)


def _next_length(
    lower: Float[np.ndarray, " q"],
    upper: Float[np.ndarray, " q"],
    lower_slope: Float[np.ndarray, " q"],
    upper_slope: Float[np.ndarray, " q"],
) -> Float[np.ndarray, " q"]:
    """Four times as far while there is no upper end; then where a straight slope is 0, inside the bracket."""
    open_ended = np.isinf(upper)
    width = np.where(open_ended, 0.0, upper - lower)
    share = lower_slope / np.minimum(lower_slope - upper_slope, -np.finfo(lower.dtype).tiny)
    inside = lower + width * np.clip(share, 0.1, 0.9)
    length: Float[np.ndarray, " q"] = np.where(open_ended, 4.0 * lower, inside).astype(lower.dtype)
    return length


def _dot(a: Float[np.ndarray, "p k m"], b: Float[np.ndarray, "p k m"]) -> Float[np.ndarray, " p"]:
    products: Float[np.ndarray, " p"] = np.einsum("pkm,pkm->p", a, b)
    return products
