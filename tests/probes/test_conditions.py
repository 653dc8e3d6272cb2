"""Conditions against the formulas, on awkward columns and rows."""

import tracemalloc

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit.errors import ProbeError, UnknownNameError
from probekit.probes import conditions
from probekit.probes.conditions import CONDITIONS, RIDGE, fit_condition


def samples(seed=0, n=120, d=10, dtype=np.float32):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) @ rng.normal(size=(d, d)) + rng.normal(size=d)).astype(dtype)


def test_zscore_gives_training_columns_mean_0_and_deviation_1():
    features = samples() * 7 + 3
    conditioned = fit_condition("zscore", features, (10,)).apply(features)
    assert_allclose(conditioned.mean(axis=0), 0, atol=1e-6)
    assert_allclose(conditioned.std(axis=0), 1, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["zscore", "whiten"])
def test_a_constant_column_of_a_tenth_becomes_zero_not_noise(name, dtype):
    features = np.full((99, 3), 0.1, dtype=dtype)
    conditioned = fit_condition(name, features, (3,)).apply(features)
    assert np.abs(conditioned).max() < 1e-6


def test_l2_scales_each_block_of_each_row_to_length_1_and_leaves_zeros():
    features = samples()
    features[3, :4] = 0
    conditioned = fit_condition("l2", features, (4, 6)).apply(features)
    lengths = np.linalg.norm(conditioned[:, :4], axis=1)
    assert_allclose(np.delete(lengths, 3), 1.0)
    assert lengths[3] == 0
    assert_allclose(np.linalg.norm(conditioned[:, 4:], axis=1), 1.0)


def test_layernorm_gives_each_block_of_each_row_mean_0_and_deviation_1():
    features = samples()
    features[5, 4:] = 0.1
    conditioned = fit_condition("layernorm", features, (4, 6)).apply(features)
    assert_allclose(conditioned[:, :4].mean(axis=1), 0, atol=1e-12)
    assert_allclose(np.delete(conditioned[:, 4:], 5, axis=0).std(axis=1), 1)
    assert_allclose(conditioned[5, 4:], 0, atol=1e-12)


@pytest.mark.parametrize(("n", "d"), [(120, 10), (7, 10)])
def test_whitened_training_scores_have_the_variance_that_the_formula_gives(n, d):
    features = samples(n=n, d=d)
    centred = features - features.mean(axis=0, dtype=np.float64)
    variances = np.linalg.svd(centred, compute_uv=False) ** 2 / n
    expected = variances / (variances + RIDGE * variances.sum() / d)
    conditioned = fit_condition("whiten", features, (d,)).apply(features)
    assert conditioned.shape == (n, min(n, d))
    assert_allclose(conditioned.T @ conditioned / n, np.diag(expected), atol=1e-9)


def test_whitening_rotates_each_block_within_itself():
    features = samples(n=6, d=10)
    condition = fit_condition("whiten", features, (3, 7))
    apart = [
        fit_condition("whiten", block, (block.shape[1],)).apply(block) for block in np.split(features, [3], axis=1)
    ]
    assert_allclose(condition.apply(features), np.hstack(apart), atol=1e-12)
    assert condition.apply(features).shape == (6, 3 + 6)


def test_whitening_keeps_null_directions_finite_and_of_the_stated_size():
    features = samples(n=50, d=4, dtype=np.float64)
    features = np.hstack([features, features[:, :1], np.full((50, 1), 0.1)])  # a duplicate and a constant column
    condition = fit_condition("whiten", features, (6,))
    moved = features.copy()
    moved[:, 5] += 1.0  # along the constant column, whose variance is 0
    step = np.linalg.norm(condition.apply(moved) - condition.apply(features), axis=1)
    assert_allclose(step, 1 / np.sqrt(RIDGE * features.var(axis=0).mean()), rtol=1e-6)


def test_whitening_does_not_depend_on_the_units_or_the_order_of_the_samples():
    features = samples(n=60, d=5, dtype=np.float64)
    plain = fit_condition("whiten", features, (5,)).apply(features)
    order = np.random.default_rng(0).permutation(60)
    assert_allclose(fit_condition("whiten", features * 1e6, (5,)).apply(features * 1e6), plain, rtol=1e-6, atol=1e-9)
    assert_allclose(fit_condition("whiten", features[order], (5,)).apply(features), plain, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", CONDITIONS)
def test_no_condition_lets_other_rows_into_a_row(name):
    features = samples()
    condition = fit_condition(name, features[:60], (4, 6))
    assert_allclose(condition.apply(features)[90], condition.apply(features[90:91])[0], rtol=1e-12)
    assert np.array_equal(features, samples())


@pytest.mark.parametrize("name", CONDITIONS)
def test_features_too_many_to_convert_at_once_are_taken_in_strips(name, monkeypatch):
    features = samples(n=101)
    whole = fit_condition(name, features, (4, 6)).apply(features)
    monkeypatch.setattr(conditions, "ELEMENTS_AT_ONCE", 80)
    assert_allclose(fit_condition(name, features, (4, 6)).apply(features), whole, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", CONDITIONS)
def test_the_result_is_the_only_array_of_the_size_of_the_features(name, monkeypatch):
    features = samples(n=4000, d=32)
    monkeypatch.setattr(conditions, "ELEMENTS_AT_ONCE", 3200)
    tracemalloc.start()
    try:
        fit_condition(name, features, (32,)).apply(features)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 1.5 * features.size * 8


@pytest.mark.parametrize("name", ["zscore", "whiten"])
def test_statistics_of_a_feature_that_is_not_finite_are_refused_with_its_row(name):
    features = samples()
    features[33, 2] = np.nan
    with pytest.raises(ProbeError, match="row 33"):
        fit_condition(name, features, (10,))


@pytest.mark.parametrize("name", CONDITIONS)
def test_no_rows_give_no_rows(name):
    assert len(fit_condition(name, samples(), (10,)).apply(samples()[:0])) == 0


def test_an_unknown_condition_is_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'whiten'"):
        fit_condition("whitened", samples(), (10,))
