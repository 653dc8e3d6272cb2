"""The batched solver: its space, its batches, and what it says of its own convergence."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from probekit.probes.solver import batch, losses
from probekit.probes.solver.space import rotate
from tests.probes.test_logistic import two_clouds

LOSSES = [losses.LogLoss(), losses.SquaredHinge()]


def solve(space, targets, rows, C, loss, max_iterations=500):
    return batch.solve(
        space,
        torch.tensor(targets, dtype=torch.float64),
        torch.tensor(rows, dtype=torch.float64),
        torch.tensor(C, dtype=torch.float64),
        loss,
        tol=1e-8,
        max_iterations=max_iterations,
    )


def problems(seed=0, n=150, d=20, k=1, p=13):
    features, labels = two_clouds(seed, n, d)
    rng = np.random.default_rng(seed)
    targets = labels[None] if k == 1 else np.eye(k)[rng.integers(k, size=n)].T
    return features, targets, rng.random((p, n)) < 0.8, np.logspace(-4, 1, p)


@pytest.mark.parametrize(("n", "d"), [(30, 7), (7, 30)])
def test_the_rotated_features_are_the_features(n, d):
    features = np.random.default_rng(0).normal(size=(n, d)) + 3.0
    space = rotate(features)
    assert_allclose(space.mean + space.coordinates[:, :-1] @ space.vectors.T, features, atol=1e-12)
    assert_allclose(space.vectors.T @ space.vectors, np.eye(min(n, d)), atol=1e-12)
    assert torch.equal(space.transposed, space.coordinates.T)
    assert space.size() == pytest.approx(np.sqrt(np.mean(features**2)))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("k", [1, 3])
def test_a_batch_gives_each_problem_what_it_gets_alone(loss, k):
    features, targets, rows, C = problems(k=k)
    space = rotate(features)
    together = solve(space, targets, rows, C, loss)
    assert together.theta.shape == (13, k, 21)
    assert (together.gradient <= 1e-8).all()
    for i in range(0, 13, 4):
        alone = solve(space, targets, rows[i : i + 1], C[i : i + 1], loss)
        assert_allclose(together.theta[i], alone.theta[0], rtol=1e-6, atol=1e-6)
        only = rows[i]
        own = solve(rotate(features[only]), targets[:, only], np.ones((1, only.sum())), C[i : i + 1], loss)
        logits = features @ rotate(features[only]).original(own.theta[0]).numpy().T
        expected = features @ space.original(together.theta[i]).numpy().T
        assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_order_of_the_problems_changes_nothing(loss):
    features, targets, rows, C = problems()
    space, order = rotate(features), np.random.default_rng(1).permutation(13)
    straight = solve(space, targets, rows, C, loss)
    permuted = solve(space, targets, rows[order], C[order], loss)
    assert_allclose(permuted.theta, straight.theta[order], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_batches_too_large_to_hold_are_solved_in_turn(loss, monkeypatch):
    features, targets, rows, C = problems(k=3)
    space = rotate(features)
    whole = solve(space, targets, rows, C, loss)
    monkeypatch.setattr(batch, "MAX_ELEMENTS", 2 * targets.size)
    parts = solve(space, targets, rows, C, loss)
    assert_allclose(parts.theta, whole.theta, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_problem_that_is_given_up_tells_its_gradient(loss):
    features, targets, rows, C = problems()
    found = solve(rotate(features), targets, rows, C, loss, max_iterations=1)
    assert (found.gradient > 1e-8).any()
    assert (found.iterations <= 1).all()
    for i in (0, 12):
        theta, used = found.theta[i, 0].numpy(), rows[i]
        space = rotate(features)
        weights = space.original(found.theta[i, 0]).numpy()
        z = space.coordinates.numpy() @ theta
        signs = 2.0 * targets[0] - 1
        slope = 1 / (1 + np.exp(-z)) - targets[0] if loss.coupled else -2 * signs * np.maximum(0, 1 - signs * z)
        slope = slope * used / used.sum()
        expected = max(np.abs(features.T @ slope + weights / (C[i] * used.sum())).max(), abs(slope.sum()))
        assert float(found.gradient[i]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("loss", LOSSES)
def test_the_derivatives_of_a_loss_are_those_of_its_formula(loss):
    logits = torch.linspace(-3, 3, 8, dtype=torch.float64).reshape(1, 1, 8)
    targets = torch.tensor([[[0.0, 1, 0, 1, 0, 1, 0, 1]]], dtype=torch.float64)
    signs = 2 * targets - 1

    def value(z):
        margins = signs * z
        return torch.nn.functional.softplus(-margins) if loss.coupled else (1 - margins).clamp(min=0) ** 2

    logits.requires_grad_()
    (first,) = torch.autograd.grad(value(logits).sum(), logits, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), logits)
    slope = loss.slope(logits.detach(), targets)
    assert_allclose(slope, first.detach(), atol=1e-12)
    assert_allclose(loss.curvature(slope), second, atol=1e-12)
