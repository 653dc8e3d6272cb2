"""The logistic probe against scikit-learn and against Newton's method in float64."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit import probes
from probekit.errors import ProbeError
from probekit.probes import Division
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


def divided(folds):
    return [Division(rows, rows) for rows in (np.flatnonzero(folds == fold) for fold in np.unique(folds))]


@pytest.mark.parametrize("classes", [2, 3])
def test_the_sweep_gives_held_out_rows_the_log_odds_that_scikit_learn_gives_them(classes):
    rng = np.random.default_rng(10)
    labels = rng.integers(classes, size=120)
    features = rng.normal(size=(120, 6)) + np.eye(classes, 6)[labels]
    divisions, grid = divided(np.arange(120) % 4), (0.01, 1.0)
    sweep = LogisticProbe.sweep(features, labels, divisions, grid)
    for division, decisions in zip(divisions, sweep.decisions, strict=True):
        rows = division.learned(120)
        for C, found in zip(grid, decisions, strict=True):
            expected = sklearn_fit(features[rows], labels[rows], C).decision_function(features[division.test])
            assert_allclose(found, expected, atol=1e-3)
    assert (sweep.fits, sweep.unconverged) == (8, 0)


def test_a_division_learns_from_nothing_that_it_leaves_out():
    features, labels = two_clouds(12)
    division = Division(test=np.array([3, 50]), left_out=np.array([3, 4, 50, 51]))
    spoilt = features.copy()
    spoilt[[4, 51]] *= -3.0
    ours, theirs = (LogisticProbe.sweep(x, labels, [division], [1.0]).decisions[0] for x in (features, spoilt))
    assert_allclose(ours, theirs, atol=1e-4)


def test_a_sweep_gives_each_division_and_C_what_they_get_without_the_others():
    features, labels = two_clouds(13, n=150, d=20)
    divisions = divided(np.arange(150) % 5)
    grid = np.logspace(-5, 1, 10)
    together = LogisticProbe.sweep(features, labels, divisions, grid)
    backwards = LogisticProbe.sweep(features, labels, divisions[::-1], grid[::-1])
    for number, division in enumerate(divisions):
        assert_allclose(backwards.decisions[-1 - number][::-1], together.decisions[number], rtol=1e-3, atol=1e-3)
        alone = LogisticProbe.sweep(features, labels, [division], grid[3:4]).decisions[0]
        assert_allclose(alone[0], together.decisions[number][3], rtol=1e-3, atol=1e-3)


def test_the_same_sweep_gives_the_same_bits():
    features, labels = two_clouds(14)
    divisions = divided(np.arange(len(labels)) % 3)
    once, again = (LogisticProbe.sweep(features, labels, divisions, probes.GRID) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once.decisions, again.decisions, strict=True))


def test_extreme_scores_raise_no_warning():
    features, labels = two_clouds(11)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        LogisticProbe.sweep(features * 1e6, labels, divided(np.arange(len(labels)) % 3), np.logspace(-6, 5, 5))


@pytest.mark.parametrize("unit", [1e-3, 1e6])
def test_the_sweep_does_not_depend_on_the_units_of_the_features(unit):
    features, labels = two_clouds(15)
    divisions, grid = divided(np.arange(len(labels)) % 3), np.array([1e-2, 1.0])
    plain = LogisticProbe.sweep(features, labels, divisions, grid)
    scaled = LogisticProbe.sweep(features * unit, labels, divisions, grid / unit**2)
    assert scaled.unconverged == 0
    for a, b in zip(plain.decisions, scaled.decisions, strict=True):
        assert_allclose(b, a, rtol=1e-3, atol=5e-4)


def test_features_of_a_million_are_fitted_too():
    features, labels = two_clouds(16)
    ours = LogisticProbe(C=1e-12).fit(features * 1e6, labels)
    plain = LogisticProbe(C=1.0).fit(features, labels)
    assert_allclose(ours.weights * 1e6, plain.weights, rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in probes.names() if probes.get(name).parameter == "C"])
@pytest.mark.parametrize("C", [0.0, -1.0, np.nan, np.inf])
def test_a_C_that_is_not_positive_is_refused(name, C):
    with pytest.raises(ProbeError, match="positive"):
        probes.get(name).of(C)
