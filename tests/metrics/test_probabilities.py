"""Metrics of probabilities against scikit-learn and against their formulas, far from one half too."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.special import expit

from probekit import metrics
from probekit.metrics.probabilities import reliability


def scored(seed, n, spread):
    rng = np.random.default_rng(seed)
    return rng.integers(2, size=n), spread * np.round(rng.normal(size=n), 1)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 200), spread=st.sampled_from([0.0, 0.1, 1.0, 4.0]))
def test_log_loss_and_brier_match_scikit_learn_of_one_class_too(seed, n, spread):
    from sklearn import metrics as peer

    labels, log_odds = scored(seed, n, spread)
    shares = expit(log_odds)
    assert_allclose(metrics.get("log_loss")(labels, log_odds), peer.log_loss(labels, shares, labels=[0, 1]))
    if len(np.unique(labels)) == 2:  # of one class, scikit-learn refuses
        assert_allclose(metrics.get("brier")(labels, log_odds), peer.brier_score_loss(labels, shares))
    assert_allclose(metrics.get("brier")(labels, log_odds), np.mean((shares - labels) ** 2))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 200), spread=st.sampled_from([0.0, 0.1, 1.0, 30.0]))
def test_the_calibration_error_is_that_of_a_loop_over_15_bins(seed, n, spread):
    labels, log_odds = scored(seed, n, spread)
    shares, total = expit(log_odds), 0.0
    for low, high in zip(np.linspace(0, 1, 16)[:-1], np.linspace(0, 1, 16)[1:], strict=True):
        own = ((shares > low) | (low == 0)) & (shares <= high)
        if own.any():
            total += own.sum() / n * abs(shares[own].mean() - labels[own].mean())
    assert_allclose(metrics.get("ece")(labels, log_odds), total, atol=1e-12)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.sampled_from([0.1, 1.0, 4.0]))
def test_the_reliability_diagram_is_that_of_scikit_learn(seed, spread):
    from sklearn.calibration import calibration_curve

    labels, log_odds = scored(seed, 300, spread)
    found = reliability(labels, log_odds, bins=10)
    observed, predicted = calibration_curve(labels, expit(log_odds), n_bins=10)
    full = found.counts > 0
    assert_allclose(found.observed[full], observed)
    assert_allclose(found.predicted[full], predicted)
    assert np.isnan(found.observed[~full]).all()
    assert found.counts.sum() == 300


def test_a_sure_mistake_costs_its_log_odds_where_probabilities_would_have_rounded_to_0_and_1():
    labels, log_odds = np.array([0, 1, 0, 1]), np.array([800.0, -800.0, -800.0, 800.0])
    assert metrics.get("log_loss")(labels, log_odds) == 400
    assert metrics.get("brier")(labels, log_odds) == 0.5
    assert metrics.get("ece")(labels, log_odds) == 0.5


def test_tiny_losses_are_not_lost():
    labels, log_odds = np.array([0, 1]), np.array([-40.0, 40.0])
    assert metrics.get("log_loss")(labels, log_odds) == pytest.approx(math.exp(-40), rel=1e-12)
    assert metrics.get("brier")(labels, log_odds) == pytest.approx(math.exp(-80), rel=1e-12)


def test_calibrated_scores_have_no_calibration_error_and_sharpened_ones_have():
    rng = np.random.default_rng(0)
    log_odds = rng.normal(size=100_000)
    labels = (rng.random(100_000) < expit(log_odds)).astype(int)
    assert metrics.get("ece")(labels, log_odds) < 0.01
    assert metrics.get("ece")(labels, 5 * log_odds) > 0.15


def test_float32_log_odds_of_a_million_are_measured_as_they_are():
    labels, log_odds = np.array([0, 1]), np.array([1e6, -1e6], dtype=np.float32)
    assert metrics.get("log_loss")(labels, log_odds) == 1e6
