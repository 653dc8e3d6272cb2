"""The logistic probe against scikit-learn and against Newton's method in float64."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit import probes
from probekit.errors import ProbeError
from probekit.probes import solver
from probekit.probes.logistic import LogisticProbe


def two_clouds(seed, n=120, d=8, shift=0.8):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    labels[:2] = 0, 1
    return rng.normal(size=(n, d)) + shift * labels[:, None] * rng.normal(size=d), labels


def newton_reference(features, labels, C):
    """Minimum of C Σ log(1 + exp(−s z)) + |w|²/2 by damped Newton steps, written from the formula."""
    extended = np.hstack([features, np.ones((len(features), 1))])
    penalty = np.append(np.ones(features.shape[1]), 0.0)
    theta = np.zeros(extended.shape[1])

    def objective(theta):
        z = extended @ theta
        return C * np.logaddexp(0, np.where(labels == 1, -z, z)).sum() + (penalty * theta**2).sum() / 2

    for _ in range(200):
        p = 1 / (1 + np.exp(-extended @ theta))
        gradient = C * extended.T @ (p - labels) + penalty * theta
        hessian = C * (extended.T * (p * (1 - p))) @ extended + np.diag(penalty)
        step = np.linalg.solve(hessian, gradient)
        while objective(theta - step) > objective(theta) and np.abs(step).max() > 1e-14:
            step = step / 2
        theta = theta - step
    return theta[:-1], theta[-1]


def sklearn_fit(features, labels, C):
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=C, tol=1e-10, max_iter=10_000).fit(features, labels)


def objective(weights, bias, features, labels, C):
    """C Σ softmax log-loss + |W|²/2 for any number of classes."""
    logits = features @ weights + bias
    if logits.shape[1] == 1:
        logits = np.hstack([np.zeros_like(logits), logits])
    own = logits[np.arange(len(labels)), labels]
    return C * np.sum(np.logaddexp.reduce(logits, axis=1) - own) + np.sum(weights**2) / 2


@pytest.mark.parametrize("C", [1e-3, 0.1, 1.0, 100.0])
def test_scores_match_a_float64_newton_solution(C):
    features, labels = two_clouds(seed=0)
    weights, bias = newton_reference(features, labels, C)
    scores = LogisticProbe(C=C).fit(features, labels).decision_function(features)
    assert_allclose(scores, features @ weights + bias, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("C", [1e-4, 0.1, 100.0])
@pytest.mark.parametrize(("n", "d"), [(200, 20), (40, 90)])
def test_binary_weights_and_probabilities_match_scikit_learn(n, d, C):
    features, labels = two_clouds(1, n, d)
    ours, theirs = LogisticProbe(C=C).fit(features, labels), sklearn_fit(features, labels, C)
    assert ours.converged
    assert_allclose(ours.weights, theirs.coef_.T, rtol=1e-3, atol=1e-5)
    assert_allclose(ours.bias, theirs.intercept_, rtol=1e-3, atol=1e-4)
    assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), atol=1e-4)
    assert np.array_equal(ours.predict(features), theirs.predict(features))


@pytest.mark.parametrize("C", [1e-3, 1.0, 30.0])
def test_multinomial_objective_and_probabilities_match_scikit_learn(C):
    rng = np.random.default_rng(2)
    labels = rng.integers(4, size=200)
    features = rng.normal(size=(200, 12)) + np.eye(4, 12)[labels]
    ours, theirs = LogisticProbe(C=C).fit(features, labels), sklearn_fit(features, labels, C)
    assert ours.converged
    assert ours.weights.shape == (12, 4)
    best = objective(theirs.coef_.T, theirs.intercept_, features, labels, C)
    assert objective(ours.weights, ours.bias, features, labels, C) <= best * (1 + 1e-8)
    assert_allclose(ours.predict_proba(features), theirs.predict_proba(features), atol=1e-5)


def test_the_reported_gradient_is_the_formula_evaluated_at_the_weights():
    features, labels = two_clouds(3)
    features = features + 5.0
    C, n = 0.3, len(labels)
    found = LogisticProbe(C=C, tol=1e-3).fit(features, labels)
    error = found.predict_proba(features)[:, 1] - labels
    expected = np.abs(features.T @ error / n + found.weights[:, 0] / (C * n)).max()
    assert found.gradient == pytest.approx(max(expected, abs(error.mean())), rel=1e-6)


def test_a_fit_that_stops_early_says_that_it_did_not_converge():
    features, labels = two_clouds(4, n=300, d=30)
    found = LogisticProbe(C=100.0, max_iterations=2).fit(features, labels)
    assert not found.converged
    assert found.iterations == 2
    assert found.gradient > 1e-8


def test_separable_samples_get_the_finite_minimum_that_the_penalty_gives():
    features, labels = two_clouds(5, n=60, d=5, shift=20.0)
    C = 1000.0
    ours = LogisticProbe(C=C).fit(features, labels)
    weights, bias = newton_reference(features, labels, C)
    best = objective(weights[:, None], bias, features, labels, C)
    assert ours.converged
    assert objective(ours.weights, ours.bias, features, labels, C) <= best * (1 + 1e-3)


def test_duplicate_and_constant_columns_do_no_harm():
    features, labels = two_clouds(6)
    padded = np.hstack([features, features[:, :1], np.full((len(labels), 1), 0.1)])
    found = LogisticProbe(C=1.0).fit(padded, labels)
    assert found.converged
    assert_allclose(found.weights[0], found.weights[8], rtol=1e-6)
    assert abs(found.weights[9, 0]) < 1e-6


def test_one_sample_in_a_class_is_enough():
    features, labels = two_clouds(7, n=40)
    labels = np.zeros_like(labels)
    labels[17] = 1
    weights, bias = newton_reference(features, labels, 1.0)
    found = LogisticProbe().fit(features, labels)
    assert_allclose(found.decision_function(features), features @ weights + bias, rtol=1e-4, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), C=st.floats(1e-3, 1e3))
def test_the_order_of_the_samples_does_not_change_the_scores(seed, C):
    features, labels = two_clouds(seed)
    order = np.random.default_rng(seed).permutation(len(labels))
    straight = LogisticProbe(C=C).fit(features, labels).decision_function(features)
    shuffled = LogisticProbe(C=C).fit(features[order], labels[order]).decision_function(features)
    assert_allclose(shuffled, straight, rtol=1e-3, atol=1e-4)


def test_a_batch_gives_each_problem_what_it_gets_alone():
    features, labels = two_clouds(8, n=150, d=20)
    space = solver.rotate(features)
    C = np.logspace(-5, 4, 13)
    rows = np.random.default_rng(0).random((13, 150)) < 0.8
    together = solver.solve(space, labels[None].astype(float), rows, C, tol=1e-8, max_iterations=500)
    scores = together.theta[:, 0] @ space.coordinates.T
    for i in range(13):
        alone = LogisticProbe(C=C[i]).fit(features[rows[i]], labels[rows[i]]).decision_function(features)
        assert_allclose(scores[i], alone, rtol=1e-3, atol=1e-5)
    assert (together.gradient <= 1e-8).all()


def test_batches_too_large_to_hold_are_solved_in_turn(monkeypatch):
    features, labels = two_clouds(9)
    space, rows, C = solver.rotate(features), np.ones((7, len(labels)), dtype=bool), np.logspace(-2, 2, 7)
    whole = solver.solve(space, labels[None].astype(float), rows, C, tol=1e-8, max_iterations=500)
    monkeypatch.setattr(solver, "MAX_ELEMENTS", 2 * len(labels))
    parts = solver.solve(space, labels[None].astype(float), rows, C, tol=1e-8, max_iterations=500)
    assert_allclose(parts.theta, whole.theta, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(30, 7), (7, 30)])
def test_the_rotated_features_are_the_features(n, d):
    features = np.random.default_rng(0).normal(size=(n, d)) + 3.0
    space = solver.rotate(features)
    assert_allclose(space.mean + space.coordinates[:, :-1] @ space.vectors.T, features, atol=1e-12)
    assert_allclose(space.vectors.T @ space.vectors, np.eye(min(n, d)), atol=1e-12)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_sweep_gives_the_held_out_loss_that_scikit_learn_gives(classes):
    from sklearn.metrics import log_loss

    rng = np.random.default_rng(10)
    labels = rng.integers(classes, size=120)
    features = rng.normal(size=(120, 6)) + np.eye(classes, 6)[labels]
    folds, grid = np.arange(120) % 4, np.array([0.01, 1.0])
    expected = np.zeros(2)
    for i, C in enumerate(grid):
        for fold in range(4):
            out = folds == fold
            model = sklearn_fit(features[~out], labels[~out], C)
            expected[i] += log_loss(labels[out], model.predict_proba(features[out]), labels=range(classes)) * out.mean()
    sweep = LogisticProbe.sweep(features, labels, folds, grid)
    assert_allclose(sweep.losses, expected, rtol=1e-3)
    assert (sweep.fits, sweep.unconverged) == (8, 0)


def test_extreme_scores_raise_no_warning():
    features, labels = two_clouds(11)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticProbe.sweep(features * 1e6, labels, np.arange(len(labels)) % 3, np.logspace(-6, 5, 5))


@pytest.mark.parametrize("name", probes.names())
class TestEveryProbe:
    def test_refuses_one_class_and_names_it(self, name):
        features, _ = two_clouds(0)
        with pytest.raises(ProbeError, match="only class 1"):
            probes.get(name)(C=1.0).fit(features, np.ones(len(features), dtype=int))

    @pytest.mark.parametrize("value", [np.nan, np.inf])
    def test_refuses_a_feature_that_is_not_finite_and_names_its_row(self, name, value):
        features, labels = two_clouds(0)
        features[33, 2] = value
        with pytest.raises(ProbeError, match="row 33"):
            probes.get(name)(C=1.0).fit(features, labels)

    @pytest.mark.parametrize("C", [0.0, -1.0, np.nan, np.inf])
    def test_refuses_a_C_that_is_not_positive(self, name, C):
        with pytest.raises(ProbeError, match="positive"):
            probes.get(name)(C=C)

    def test_leaves_the_callers_arrays_as_they_are(self, name):
        features, labels = two_clouds(0)
        before = features.copy(), labels.copy()
        probes.get(name)(C=1.0).fit(features, labels)
        assert np.array_equal(features, before[0])
        assert np.array_equal(labels, before[1])

    def test_probabilities_sum_to_one(self, name):
        features, labels = two_clouds(0)
        chances = probes.get(name)(C=1.0).fit(features, labels).predict_proba(features * 1e3)
        assert_allclose(chances.sum(axis=1), 1.0)
