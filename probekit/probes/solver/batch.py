"""Preconditioned L-BFGS for many problems at once.

Every step is two matrix-matrix products over all problems:

    along    = D Z̃ᵀ               how the logits change along the directions; the line search then needs no product
    gradient = S Z̃ / n + ridge θ   S the slopes of the loss, 0 for rows that are not in use

Z̃ is the centred features in the eigenbasis of their Gram matrix, with a column of ones for the bias. There the Hessian
is nearly diagonal, about κ s + 1/(C n) with s the eigenvalues and κ the mean curvature of the loss, which preconditions
L-BFGS (Nocedal and Wright 2006, algorithm 7.4). Finished problems leave the batch.
"""

from dataclasses import dataclass

import torch

from probekit.arrays import Bool, Float, Int
from probekit.probes.solver.losses import Loss
from probekit.probes.solver.space import Space

MEMORY = 10  # pairs of steps and gradient changes that L-BFGS remembers
SLOPES = (-0.9, 0.3)  # a step is accepted when the slope there, over the size of the slope at 0, is within
SEARCHES = 20  # looks at one line before the lower end of the bracket is taken
MAX_ELEMENTS = 2**22  # logits held at once: more problems than fit are solved in turn
LEAVE = 1 / 8  # finished problems are taken out when they are this share of the batch: it costs a copy of the rest


@dataclass(frozen=True, eq=False)
class Problems:
    """What is to be solved on one space; all arrays on its device, in its precision."""

    targets: Float[torch.Tensor, "#p k n"]
    """1 for the class of a column, else 0; one block for all problems, or one each."""
    rows: Float[torch.Tensor, "p n"]
    """1 for the rows that each problem learns from, else 0."""
    C: Float[torch.Tensor, " p"]
    """Inverse regularisation strength of each problem."""

    def part(self, chosen: Int[torch.Tensor, " q"]) -> "Problems":
        """Some of them."""
        targets = self.targets if len(self.targets) == 1 else self.targets[chosen]
        return Problems(targets, self.rows[chosen], self.C[chosen])


@dataclass(frozen=True, eq=False)
class Solution:
    """One entry a problem, in the order they were given."""

    theta: Float[torch.Tensor, "p k m"]
    gradient: Float[torch.Tensor, " p"]
    """max |Σ x slope / n + w/(C n)| in the units of the features given, bias included."""
    iterations: Int[torch.Tensor, " p"]


def solve(
    space: Space,
    targets: Float[torch.Tensor, "k n"],
    rows: Float[torch.Tensor, "p n"],
    C: Float[torch.Tensor, " p"],
    loss: Loss,
    *,
    tol: float,
    max_iterations: int,
) -> Solution:
    """The minimum of every problem, to a gradient of `tol` or after `max_iterations`.

    Args:
        space: the features; their device and precision are those of the computation and of the other arrays.
        targets: 1 for the class of a column, else 0; all problems have these columns.
        rows: 1 for the rows that each problem learns from, else 0.
        C: inverse regularisation strength of each problem.
        loss: of the logits.
        tol: on max |Σ x slope / n + w/(C n)|.
        max_iterations: steps after which a problem is given up; `Solution.gradient` tells.
    """
    p, k = len(rows), len(targets)
    if loss.coupled or k == 1:
        return _solve_in_turn(space, Problems(targets[None], rows, C), loss, tol, max_iterations)
    columns = Problems(targets[:, None].repeat(p, 1, 1), rows.repeat_interleave(k, dim=0), C.repeat_interleave(k))
    found = _solve_in_turn(space, columns, loss, tol, max_iterations)
    return Solution(
        found.theta.reshape(p, k, -1), found.gradient.reshape(p, k).amax(1), found.iterations.reshape(p, k).amax(1)
    )


def _solve_in_turn(space: Space, problems: Problems, loss: Loss, tol: float, max_iterations: int) -> Solution:
    """As many at once as memory should hold, those of like C together: they take about as many steps."""
    at_once = max(1, MAX_ELEMENTS // problems.targets[0].numel())
    order = torch.argsort(problems.C, stable=True)
    parts = [
        _solve(_Batch(space, problems.part(order[i : i + at_once]), loss), tol, max_iterations)
        for i in range(0, len(order), at_once)
    ]
    back = torch.argsort(order)
    return Solution(
        torch.cat([part.theta for part in parts])[back],
        torch.cat([part.gradient for part in parts])[back],
        torch.cat([part.iterations for part in parts])[back],
    )


def _solve(batch: "_Batch", tol: float, max_iterations: int) -> Solution:
    theta = torch.zeros_like(batch.theta)
    gradient = torch.zeros_like(batch.n)
    iterations = torch.zeros(len(theta), dtype=torch.int64, device=theta.device)
    places = torch.arange(len(theta), device=theta.device)  # where each problem of the batch stands in the solution
    waiting = torch.ones_like(places, dtype=torch.bool)  # for its end; others only wait to leave
    for iteration in range(max_iterations + 1):
        ended = (batch.size_of_gradient(tol) <= tol) | batch.stuck | (iteration == max_iterations)
        ended &= waiting
        if ended.any():
            done = places[ended]
            theta[done], iterations[done] = batch.theta[ended], iteration
            gradient[done] = batch.max_gradient(ended)
            waiting &= ~ended
            left = int(waiting.sum())
            if left == 0:
                break
            if left <= (1 - LEAVE) * len(waiting):
                places = places[waiting]
                batch.keep(waiting)
                waiting = torch.ones_like(places, dtype=torch.bool)
        batch.step()
    return Solution(theta, gradient, iterations)


class _Batch:
    """The problems still being solved: p problems, k columns each, m = r + 1 coordinates, n rows."""

    def __init__(self, space: Space, problems: Problems, loss: Loss) -> None:
        p, k, size = len(problems.C), problems.targets.shape[1], space.coordinates.shape[1]
        self.space = space
        self.loss = loss
        self.targets = problems.targets
        self.rows = problems.rows[:, None, :]
        self.n = problems.rows.sum(dim=1)
        self.ridge = (1.0 / (problems.C * self.n))[:, None, None].repeat(1, 1, size)
        self.ridge[..., -1] = 0.0
        self.theta = space.coordinates.new_zeros((p, k, size))
        self.logits = space.coordinates.new_zeros((p, k, len(space.coordinates)))
        self.slopes = self._slopes(self.logits, self.targets, self.rows)
        self.gradient = self._gradient()
        self.steps = space.coordinates.new_zeros((MEMORY, p, k, size))
        self.changes = torch.zeros_like(self.steps)
        self.inverse = space.coordinates.new_zeros((MEMORY, p))  # 1 / (step · change); 0: nothing is remembered
        self.newest = -1
        self.stuck = torch.zeros_like(self.n, dtype=torch.bool)

    def keep(self, chosen: Bool[torch.Tensor, " p"]) -> None:
        """Go on with these problems only."""
        for name in ("rows", "n", "ridge", "theta", "logits", "slopes", "gradient", "stuck"):
            setattr(self, name, getattr(self, name)[chosen])
        for name in ("steps", "changes", "inverse"):
            setattr(self, name, getattr(self, name)[:, chosen])
        if len(self.targets) > 1:
            self.targets = self.targets[chosen]

    def step(self) -> None:
        """Every problem moves once."""
        direction = self._direction()
        along = _product(direction, self.space.transposed)
        length = self._search(direction, along)
        self.stuck = length == 0
        step = length[:, None, None] * direction
        self.theta += step
        before = self.gradient
        self.gradient = self._gradient()
        self._remember(step, self.gradient - before)

    def size_of_gradient(self, tol: float) -> Float[torch.Tensor, " p"]:
        """The largest gradient in the units of the features where it may be below tol, elsewhere its RMS."""
        bound = (_dot(self.gradient, self.gradient) / self.gradient[0].numel()).sqrt()
        near = bound <= tol
        if near.any():
            bound[near] = self.max_gradient(near)
        return bound

    def max_gradient(self, chosen: Bool[torch.Tensor, " p"]) -> Float[torch.Tensor, " q"]:
        """The largest entry of the gradient in the units of the features, bias included."""
        gradient = self.gradient[chosen]
        bias = gradient[..., -1:]
        weights = self.space.original(gradient) + bias * self.space.mean
        return torch.maximum(weights.abs().amax(dim=(1, 2)), bias.abs().amax(dim=(1, 2)))

    def _direction(self) -> Float[torch.Tensor, "p k m"]:
        """−H gradient with H the L-BFGS inverse Hessian: two loops, all problems at once."""
        diagonal = self._diagonal()
        order = [(self.newest - i) % MEMORY for i in range(MEMORY)]
        direction = -self.gradient
        factors = {}
        for i in order:
            factors[i] = (self.inverse[i] * _dot(self.steps[i], direction))[:, None, None]
            direction.addcmul_(factors[i], self.changes[i], value=-1)
        direction = self._precondition(direction, diagonal)
        for i in reversed(order):
            factor = factors[i] - (self.inverse[i] * _dot(self.changes[i], direction))[:, None, None]
            direction.addcmul_(factor, self.steps[i])
        uphill = _dot(direction, self.gradient) >= 0  # rounding only: H is positive definite
        direction[uphill] = self._precondition(-self.gradient[uphill], diagonal[uphill])
        self.inverse[:, uphill] = 0.0
        return direction

    def _precondition(
        self, direction: Float[torch.Tensor, "q k m"], diagonal: Float[torch.Tensor, "q k m"]
    ) -> Float[torch.Tensor, "q k m"]:
        """D⁻¹ direction; of a softmax, within the columns that sum to 0, where its minimum lies.

        Moving all columns by the same changes no probability: only the ridge bends the objective that way, far less
        than D tells, and what went astray there would come back in many small steps. Within the subspace the solution
        is D⁻¹ (direction − μ), with μ such that it sums to 0.
        """
        inverse = 1 / diagonal
        step = direction * inverse
        if step.shape[1] > 1:
            step -= inverse * (step.sum(dim=1, keepdim=True) / inverse.sum(dim=1, keepdim=True))
        return step

    def _diagonal(self) -> Float[torch.Tensor, "p k m"]:
        """κ s + ridge, with κ the mean curvature of each column."""
        curvature = self.loss.curvature(self.slopes).sum(dim=2) / self.n[:, None]
        variances = torch.cat([self.space.variances, self.space.variances.new_ones(1)])
        tiny = torch.finfo(variances.dtype).tiny
        return curvature.clamp_(min=1e-6)[..., None] * variances + self.ridge + tiny

    def _search(
        self, direction: Float[torch.Tensor, "p k m"], along: Float[torch.Tensor, "p k n"]
    ) -> Float[torch.Tensor, " p"]:
        """Step lengths at which the slope is small against the slope at 0; logits and slopes move there.

        The slope of a convex function grows along the line, so a bracket of its zero is enough and the objective, whose
        differences drown in rounding near the minimum, is never needed.
        """
        steepness = _dot(direction, self.gradient)
        linear, square = _dot(self.ridge * self.theta, direction), _dot(self.ridge * direction, direction)
        length = torch.where(steepness < 0, 1.0, 0.0).to(steepness.dtype)
        lower, upper = torch.zeros_like(length), torch.full_like(length, torch.inf)
        lower_slope, upper_slope = steepness.clone(), torch.zeros_like(length)
        before = self.logits
        self.logits = torch.addcmul(before, length[:, None, None], along)
        self.slopes = self._slopes(self.logits, self.targets, self.rows)
        found = _dot(self.slopes, along) / self.n + linear + length * square
        todo = torch.arange(len(length), device=length.device)
        for look in range(SEARCHES):
            low = found < 0
            lower[todo[low]], lower_slope[todo[low]] = length[todo[low]], found[low]
            upper[todo[~low]], upper_slope[todo[~low]] = length[todo[~low]], found[~low]
            ratio = found / -steepness[todo]
            todo = todo[((ratio < SLOPES[0]) | (ratio > SLOPES[1])) & (steepness[todo] < 0)]
            if len(todo) == 0:
                return length
            last = look == SEARCHES - 1  # the slope is still falling at the lower end: the objective is lower than at 0
            length[todo] = (
                lower[todo] if last else _next_length(lower[todo], upper[todo], lower_slope[todo], upper_slope[todo])
            )
            logits = torch.addcmul(before[todo], length[todo, None, None], along[todo])
            targets = self.targets if len(self.targets) == 1 else self.targets[todo]
            slopes = self._slopes(logits, targets, self.rows[todo])
            self.logits[todo], self.slopes[todo] = logits, slopes
            found = _dot(slopes, along[todo]) / self.n[todo] + linear[todo] + length[todo] * square[todo]
        return length

    def _slopes(
        self,
        logits: Float[torch.Tensor, "q k n"],
        targets: Float[torch.Tensor, "#q k n"],
        rows: Float[torch.Tensor, "q 1 n"],
    ) -> Float[torch.Tensor, "q k n"]:
        """Of the loss, 0 for rows that are not in use."""
        return self.loss.slope(logits, targets).mul_(rows)

    def _gradient(self) -> Float[torch.Tensor, "p k m"]:
        gradient = _product(self.slopes, self.space.coordinates)
        gradient /= self.n[:, None, None]
        return gradient.addcmul_(self.ridge, self.theta)

    def _remember(self, step: Float[torch.Tensor, "p k m"], change: Float[torch.Tensor, "p k m"]) -> None:
        self.newest = (self.newest + 1) % MEMORY
        self.steps[self.newest], self.changes[self.newest] = step, change
        product = _dot(step, change)  # > 0 by convexity; rounding can spoil it, then the pair is not used
        floor = torch.finfo(step.dtype).eps * (_dot(step, step) * _dot(change, change)).sqrt()
        self.inverse[self.newest] = torch.where(product > floor, 1.0 / product, 0.0)


def _next_length(
    lower: Float[torch.Tensor, " q"],
    upper: Float[torch.Tensor, " q"],
    lower_slope: Float[torch.Tensor, " q"],
    upper_slope: Float[torch.Tensor, " q"],
) -> Float[torch.Tensor, " q"]:
    """Four times as far while there is no upper end; then where a straight slope is 0, inside the bracket."""
    open_ended = upper.isinf()
    width = torch.where(open_ended, 0.0, upper - lower)
    share = lower_slope / (lower_slope - upper_slope).clamp_(max=-torch.finfo(lower.dtype).tiny)
    return torch.where(open_ended, 4.0 * lower, lower + width * share.clamp_(0.1, 0.9))


def _product(left: Float[torch.Tensor, "p k a"], right: Float[torch.Tensor, "a b"]) -> Float[torch.Tensor, "p k b"]:
    p, k, _ = left.shape
    return (left.reshape(p * k, -1) @ right).reshape(p, k, -1)


def _dot(a: Float[torch.Tensor, "p k m"], b: Float[torch.Tensor, "p k m"]) -> Float[torch.Tensor, " p"]:
    return (a * b).sum(dim=(1, 2))
