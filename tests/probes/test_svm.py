"""The linear support vector machine against Newton's method in float64 and against scikit-learn."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit.probes import Division
from probekit.probes.criteria import CRITERIA
from probekit.probes.svm import SVMProbe
from tests.probes.test_logistic import two_clouds


def objective(weights, bias, features, signs, C):
    return C * np.sum(np.maximum(0, 1 - signs * (features @ weights + bias)) ** 2) + weights @ weights / 2


def newton_reference(features, signs, C):
    """Minimum of C Σ max(0, 1 − y f)² + |w|²/2 by damped generalised Newton steps, written from the formula."""
    extended = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.append(np.ones(features.shape[1]), 0.0)
    theta = np.zeros(extended.shape[1])
    for _ in range(100):
        margin = 1 - signs * (extended @ theta)
        inside = margin > 0
        gradient = -2 * C * extended.T @ (signs * np.maximum(0, margin)) + penalty * theta
        hessian = 2 * C * extended[inside].T @ extended[inside] + np.diag(penalty + 1e-12)
        step = np.linalg.solve(hessian, gradient)
        now = objective(theta[:-1], theta[-1], features, signs, C)
        while np.abs(step).max() > 1e-14:
            after = theta - step
            if objective(after[:-1], after[-1], features, signs, C) <= now:
                break
            step = step / 2
        theta = theta - step
    return theta[:-1], theta[-1]


@pytest.mark.parametrize("C", [1e-3, 0.1, 10.0])
@pytest.mark.parametrize(("n", "d"), [(120, 8), (40, 90)])
def test_weights_match_a_float64_newton_solution(n, d, C):
    features, labels = two_clouds(0, n, d)
    found = SVMProbe(C=C).fit(features, labels)
    weights, bias = newton_reference(features, 2.0 * labels - 1, C)
    assert found.converged
    assert_allclose(found.weights[:, 0], weights, rtol=1e-4, atol=1e-5)
    assert found.bias[0] == pytest.approx(bias, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("classes", [2, 4])
def test_decisions_match_scikit_learns_where_that_hardly_penalises_the_bias(classes):
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(1)
    labels = rng.integers(classes, size=160)
    features = rng.normal(size=(160, 6)) + 2 * np.eye(classes, 6)[labels]
    theirs = LinearSVC(C=0.1, intercept_scaling=1e3, tol=1e-10, max_iter=1_000_000, dual=False).fit(features, labels)
    ours = SVMProbe(C=0.1).fit(features, labels)
    assert_allclose(ours.decision_function(features), theirs.decision_function(features), atol=1e-3)
    assert np.array_equal(ours.predict(features), theirs.predict(features))
    assert not ours.probabilistic


@pytest.mark.parametrize("classes", [2, 3])
def test_the_sweep_gives_held_out_rows_what_fits_without_them_give(classes):
    rng = np.random.default_rng(2)
    labels = rng.integers(classes, size=90)
    features = rng.normal(size=(90, 5)) + np.eye(classes, 5)[labels]
    divisions = [Division(rows, rows) for rows in np.split(np.arange(90), 3)]
    grid = (1e-3, 1.0)
    sweep = SVMProbe.sweep(features, labels, divisions, grid)
    assert (sweep.fits, sweep.unconverged) == (6, 0)
    for division, decisions in zip(divisions, sweep.decisions, strict=True):
        rows = division.learned(90)
        for C, found in zip(grid, decisions, strict=True):
            expected = SVMProbe(C=C).fit(features[rows], labels[rows]).decision_function(features[division.test])
            assert_allclose(found, expected, atol=1e-3)


def test_separable_samples_get_the_finite_minimum_that_the_penalty_gives():
    features, labels = two_clouds(5, n=60, d=5, shift=20.0)
    found = SVMProbe(C=100.0).fit(features, labels)
    signs = 2.0 * labels - 1
    weights, bias = newton_reference(features, signs, 100.0)
    best = objective(weights, bias, features, signs, 100.0)
    assert found.converged
    assert objective(found.weights[:, 0], found.bias[0], features, signs, 100.0) <= best * (1 + 1e-3)


def test_a_fit_that_stops_early_says_that_it_did_not_converge():
    features, labels = two_clouds(4, n=300, d=30)
    found = SVMProbe(C=100.0, max_iterations=1).fit(features, labels)
    assert not found.converged
    assert found.iterations == 1


def test_its_criterion_is_the_loss_that_it_minimises():
    labels, decisions = np.array([0, 1, 1]), np.array([-2.0, 0.5, -1.0])
    assert CRITERIA[SVMProbe.criterion](labels, decisions) == pytest.approx((0 + 0.25 + 4) / 3)
