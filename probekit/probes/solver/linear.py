"""Probes that are linear, fitted and swept by the batched solver."""

from collections.abc import Sequence

import numpy as np
import torch

from probekit import probes
from probekit.arrays import Features, Labels
from probekit.probes.classifier import LinearClassifier, indicators, trainable_classes
from probekit.probes.linear import LinearProbe
from probekit.probes.solver.batch import Solution, solve
from probekit.probes.solver.losses import Loss
from probekit.probes.solver.space import Space, rotate

SWEEP_TOL = 1e-5  # for features of RMS 1: enough to choose C; the chosen fit is then made to the probe's own
SWEEP_ITERATIONS = 500


def fit(features: Features, labels: Labels, probe: LinearProbe, *, device: str) -> LinearClassifier:
    """The minimum of `C Σ loss + |w|²/2`, found in float64; its `gradient` says how well.

    Raises:
        ProbeError: one class only, or a feature that is not finite.
    """
    trainable_classes(features, labels)
    return _fit(rotate(features, device), labels, probe)


def _fit(space: Space, labels: Labels, probe: LinearProbe) -> LinearClassifier:
    loss = probe.loss()
    classes, device = np.unique(labels), space.mean.device
    targets = torch.tensor(indicators(labels, classes), device=device)
    rows = torch.ones((1, len(labels)), dtype=targets.dtype, device=device)
    one = torch.tensor([probe.C], dtype=targets.dtype, device=device)
    found = solve(space, targets, rows, one, loss, tol=probe.tol, max_iterations=probe.max_iterations)
    weights = space.original(found.theta[0])  # (k, d)
    bias = found.theta[0, :, -1] - weights @ space.mean
    gradient = float(found.gradient[0])
    return LinearClassifier(
        classes,
        loss.probabilistic,
        gradient <= probe.tol,
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
    kind: type[LinearProbe],
    *,
    device: str,
) -> probes.Sweep:
    """Every C of a `kind` of probe on every division as one computation, in float32.

    Raises:
        ProbeError: one class only, or a feature that is not finite.
    """
    trainable_classes(features, labels)
    exact = rotate(features, device)
    space = exact.to(torch.float32)
    found, tol = solve_all(space, labels, divisions, grid, kind.loss())
    decisions = []
    for number, division in enumerate(divisions):
        theta = found.theta[number * len(grid) : (number + 1) * len(grid)]
        logits = theta @ space.transposed[:, np.ascontiguousarray(division.test)]  # (g, k, t)
        decisions.append((logits[:, 0] if logits.shape[1] == 1 else logits.transpose(1, 2)).cpu().numpy())
    unconverged = int((found.gradient > tol).sum())
    return probes.Sweep(tuple(decisions), len(found.gradient), unconverged, lambda C: _fit(exact, labels, kind(C=C)))


def solve_all(
    space: Space, labels: Labels, divisions: Sequence[probes.Division], grid: Sequence[float], loss: Loss
) -> tuple[Solution, float]:
    """The fits of a sweep, all C of the first division first, and the tolerance of their gradients."""
    targets = torch.tensor(indicators(labels, np.unique(labels))).to(space.mean)
    learned = np.array([division.learned(len(labels)) for division in divisions])
    rows = torch.tensor(learned).to(space.mean).repeat_interleave(len(grid), dim=0)
    C = torch.tensor(list(grid)).to(space.mean).repeat(len(divisions))
    tol = SWEEP_TOL * space.size()
    return solve(space, targets, rows, C, loss, tol=tol, max_iterations=SWEEP_ITERATIONS), tol
