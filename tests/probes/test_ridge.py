"""Ridge regression against its normal equations, and held-out decisions against fits without the rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit import metrics, probes
from probekit.probes import Division, ridge
from probekit.probes.ridge import RidgeProbe
from tests.probes.test_logistic import two_clouds

auc = metrics.get("auc")


def by_group(groups):
    return [Division(rows, rows) for rows in (np.flatnonzero(groups == group) for group in np.unique(groups))]


def refitted(features, labels, divisions, grid):
    """Decisions of one fit for every division and value."""
    return [
        np.stack(
            [
                RidgeProbe(C=C)
                .fit(features[division.learned(len(labels))], labels[division.learned(len(labels))])
                .decision_function(features[division.test])
                for C in grid
            ]
        )
        for division in divisions
    ]


@pytest.mark.parametrize("C", [1e-4, 1.0, 1e4])
@pytest.mark.parametrize(("n", "d", "classes"), [(80, 9, 2), (80, 9, 4), (20, 50, 2), (20, 50, 3), (30, 30, 2)])
def test_weights_match_scikit_learns_with_alpha_one_over_C(n, d, classes, C):
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(n, d)) + 3, np.arange(n) % classes
    targets = 2.0 * (labels[:, None] == np.arange(classes)) - 1
    targets = targets[:, 1:] if classes == 2 else targets
    theirs = Ridge(alpha=1 / C, solver="svd").fit(features, targets)
    ours = RidgeProbe(C=C).fit(features, labels)
    assert_allclose(ours.weights, np.atleast_2d(theirs.coef_).T, rtol=1e-7, atol=1e-9)
    assert_allclose(ours.bias, theirs.intercept_, rtol=1e-7, atol=1e-8)
    assert ours.converged
    assert not ours.probabilistic


@pytest.mark.parametrize("n", [200, 15])
def test_a_fit_of_large_duplicate_columns_is_that_of_their_singular_values(n):
    rng = np.random.default_rng(5)
    features = 1e6 * rng.normal(size=(n, 20))
    features = np.hstack([features, features[:, :3], np.full((n, 1), 0.1)])
    labels, C = np.arange(n) % 2, 1e5
    targets, centred = 2.0 * labels - 1, features - features.mean(axis=0)
    left, singular, right = np.linalg.svd(centred, full_matrices=False)
    weights = right.T @ (singular / (singular**2 + 1 / C) * (left.T @ (targets - targets.mean())))
    found = RidgeProbe(C=C).fit(features, labels).decision_function(features)
    assert_allclose(found, centred @ weights + targets.mean(), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("n", "d"), [(60, 9), (30, 29), (30, 30), (31, 30), (30, 90)])
@pytest.mark.parametrize("classes", [2, 3])
def test_held_out_decisions_are_those_of_fits_without_the_group(n, d, classes):
    rng = np.random.default_rng(n + d)
    features, labels = rng.normal(size=(n, d)) + 1, np.arange(n) % classes
    groups = np.sort(rng.integers(n // 3, size=n))  # of one row to several
    divisions = by_group(groups)
    sweep = RidgeProbe.sweep(features, labels, divisions, probes.GRID)
    expected = refitted(features, labels, divisions, probes.GRID)
    for found, wanted in zip(sweep.decisions, expected, strict=True):
        assert found.shape == wanted.shape
        assert_allclose(found, wanted, rtol=1e-8, atol=1e-8 * max(1.0, np.abs(wanted).max()))
    assert (sweep.fits, sweep.unconverged) == (len(divisions) * 45, 0)


def test_a_group_that_alone_spans_a_direction_is_held_out_exactly():
    features, labels = two_clouds(1, n=40, d=6)
    features[:, 5] = 0.0
    features[7, 5], features[8, 5] = 1e3, -1e3
    divisions = by_group(np.arange(40) // 2)  # rows 7 and 8 are in different groups
    divisions.append(Division(np.array([7, 8]), np.array([7, 8])))
    found = RidgeProbe.sweep(features, labels, divisions, probes.GRID).decisions
    for one, wanted in zip(found, refitted(features, labels, divisions, probes.GRID), strict=True):
        assert_allclose(one, wanted, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(wanted).max()))


def test_large_groups_and_rows_left_out_unscored_are_fitted_again(monkeypatch):
    features, labels = two_clouds(2, n=60, d=8)
    divisions = [
        Division(np.arange(0, 20), np.arange(0, 20)),
        Division(np.array([3]), np.array([2, 3, 4])),
        Division(np.array([59, 5]), np.array([5, 59])),
    ]
    grid = (1e-3, 1.0, 1e3)
    expected = refitted(features, labels, divisions, grid)
    for largest in (64, 4):
        monkeypatch.setattr(ridge, "BLOCK_ROWS", largest)
        for found, wanted in zip(RidgeProbe.sweep(features, labels, divisions, grid).decisions, expected, strict=True):
            assert_allclose(found, wanted, rtol=1e-8, atol=1e-10)


def test_blocks_too_many_to_hold_are_computed_in_turn(monkeypatch):
    features, labels = two_clouds(3)
    divisions = by_group(np.arange(120) // 3)
    whole = RidgeProbe.sweep(features, labels, divisions, probes.GRID).decisions
    monkeypatch.setattr(ridge, "MAX_ELEMENTS", 3000)
    for one, wanted in zip(RidgeProbe.sweep(features, labels, divisions, probes.GRID).decisions, whole, strict=True):
        assert_allclose(one, wanted, rtol=1e-10, atol=1e-12)


def test_groups_without_signal_score_a_half_where_single_rows_would_score_one():
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(100), 3)
    labels = (np.arange(100) % 2)[groups]  # equal within a group
    features = rng.normal(size=(100, 200))[groups] + 0.05 * rng.normal(size=(300, 200))
    by_rows = RidgeProbe.sweep(features, labels, by_group(np.arange(300)), [1.0])
    by_groups = RidgeProbe.sweep(features, labels, by_group(groups), [1.0])
    assert auc(labels, np.concatenate([found[0] for found in by_rows.decisions])) > 0.99
    assert auc(labels, np.concatenate([found[0] for found in by_groups.decisions])) == pytest.approx(0.5, abs=0.15)


def test_constant_and_duplicate_columns_and_a_lonely_sample_do_no_harm():
    features, _ = two_clouds(6, n=40)
    labels = np.zeros(40, dtype=int)
    labels[17] = 1
    padded = np.hstack([features, features[:, :1], np.full((40, 1), 0.1)])
    found = RidgeProbe(C=1e3).fit(padded, labels)
    assert_allclose(found.weights[0], found.weights[8], rtol=1e-6)
    assert abs(found.weights[9, 0]) < 1e-9
    assert np.isfinite(found.decision_function(padded)).all()
    divisions = [division for division in by_group(np.arange(40)) if 17 not in division.left_out]
    sweep = RidgeProbe.sweep(padded, labels, divisions, probes.GRID)
    expected = refitted(padded, labels, divisions, probes.GRID)
    assert_allclose(sweep.decisions, expected, rtol=1e-6, atol=1e-7)
