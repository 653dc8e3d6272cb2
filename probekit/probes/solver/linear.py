"""Probes that are linear, fitted and swept by the batched solver."""

from collections.abc import Sequence

import numpy as np
import torch

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier, indicators, trainable_classes
from probekit.probes.solver.batch import Solution, solve
from probekit.probes.solver.losses import Loss
from probekit.probes.solver.space import Space, rotate

SWEEP_TOL = 1e-5  # for features of RMS 1: enough to choose C; the chosen fit is then made to the probe's own
SWEEP_ITERATIONS = 500


def fit(
    features: Features,
    labels: Labels,
    loss: Loss,
    *,
    C: float,
    tol: float,
    max_iterations: int,
    probabilistic: bool,
    device: str,
) -> LinearClassifier:
    """The minimum of `C Σ loss + |w|²/2`, found in float64; its `gradient` says how well.

    Raises:
        ProbeError: one class only, or a feature that is not finite.
    """
    classes = trainable_classes(features, labels)
    space = rotate(features, device)
    targets = torch.tensor(indicators(labels, classes), device=device)
    rows = torch.ones((1, len(labels)), dtype=targets.dtype, device=device)
    one = torch.tensor([C], dtype=targets.dtype, device=device)
    found = solve(space, targets, rows, one, loss, tol=tol, max_iterations=max_iterations)
    weights = space.original(found.theta[0])  # (k, d)
    bias = found.theta[0, :, -1] - weights @ space.mean
    gradient = float(found.gradient[0])
    return LinearClassifier(
        classes,
        probabilistic,
        gradient <= tol,
        weights.T.contiguous().cpu().numpy(),
        bias.cpu().numpy(),
        gradient,
        int(found.iterations[0]),
    )


def sweep(
    features: Features,
    labels: Labels,
    divisions: Sequence[probes.Division],
    grid: Sequence[float],
    loss: Loss,
    *,
    device: str,
) -> probes.Sweep:
    """Every C on every division as one computation, in float32.

    Raises:
        ProbeError: one class only, or a feature that is not finite.
    """
    space, found, tol = solve_all(features, labels, divisions, grid, loss, device=device)
    decisions = []
    for number, division in enumerate(divisions):
        theta = found.theta[number * len(grid) : (number + 1) * len(grid)]
        logits = theta @ space.transposed[:, division.test]  # (g, k, t)
        decisions.append((logits[:, 0] if logits.shape[1] == 1 else logits.transpose(1, 2)).cpu().numpy())
    return probes.Sweep(tuple(decisions), len(found.gradient), int((found.gradient > tol).sum()))


def solve_all(
    features: Features,
    labels: Labels,
    divisions: Sequence[probes.Division],
    grid: Sequence[float],
    loss: Loss,
    *,
    device: str,
) -> tuple[Space, Solution, float]:
    """The fits of a sweep, all C of the first division first, in their space, and the tolerance of their gradients.

    Raises:
        ProbeError: one class only, or a feature that is not finite.
    """
    classes = trainable_classes(features, labels)
    space = rotate(features, device).to(torch.float32)
    tol = SWEEP_TOL * space.size()
    targets = torch.tensor(indicators(labels, classes), dtype=torch.float32, device=device)
    learned = np.array([division.learned(len(labels)) for division in divisions])
    rows = torch.tensor(learned, dtype=torch.float32, device=device).repeat_interleave(len(grid), dim=0)
    C = torch.tensor(list(grid), dtype=torch.float32, device=device).repeat(len(divisions))
    return space, solve(space, targets, rows, C, loss, tol=tol, max_iterations=SWEEP_ITERATIONS), tol
