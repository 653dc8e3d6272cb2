"""Open-set metrics against slow references written from their formulas, and against scikit-learn."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import roc_auc_score

from probekit.metrics.open_set import (
    auroc,
    ccr_at_fpr,
    det,
    identification,
    oscr,
    searches_needed,
    threshold_at_fpir,
    tnr_at_tpr,
)


def curve(mated, correct, non_mated):
    """(FPR, CCR, threshold) at each unique score from high to low, by counting."""
    points = [(0.0, 0.0, math.inf)]
    for t in sorted({*mated.tolist(), *non_mated.tolist()}, reverse=True):
        points.append((np.mean(non_mated >= t), np.mean(correct & (mated >= t)), t))
    return points


def pools(seed, n=40, m=30, levels=7):
    rng = np.random.default_rng(seed)
    mated = (rng.integers(1, levels + 1, n) * 0.1).astype(np.float32)
    return mated, rng.random(n) < 0.7, (rng.integers(0, levels, m) * 0.1).astype(np.float32)


@given(seed=st.integers(0, 999), n=st.integers(1, 40), m=st.integers(1, 40), levels=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_oscr_and_auroc_equal_the_area_under_their_curve(seed, n, m, levels):
    mated, correct, non_mated = pools(seed, n, m, levels)
    fpr, ccr, _ = np.array(curve(mated, correct, non_mated)).T
    assert_allclose(oscr(mated, correct, non_mated), np.trapezoid(ccr, fpr), atol=1e-12)
    labels = np.r_[np.ones(n), np.zeros(m)]
    assert_allclose(auroc(mated, non_mated), roc_auc_score(labels, np.r_[mated, non_mated]), atol=1e-12)


def test_oscr_of_votes_that_all_tie_is_half_the_accuracy_and_not_zero():
    correct = np.arange(100) < 84
    assert_allclose(oscr(np.ones(100), correct, np.ones(50)), 0.42)


@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_open_set_metrics_do_not_depend_on_the_order_of_rows(seed):
    mated, correct, non_mated = pools(seed)
    order = np.random.default_rng(seed).permutation(len(mated))
    for metric in (oscr, ccr_at_fpr):
        assert metric(mated, correct, non_mated) == metric(mated[order], correct[order], non_mated[::-1])


@given(
    seed=st.integers(0, 999),
    fpr=st.sampled_from([0.003, 0.05, 0.1, 0.29, 0.5, 1.0]),
    levels=st.integers(1, 60),
)
@settings(max_examples=60, deadline=None)
def test_ccr_and_the_threshold_at_an_fpr_are_the_best_points_of_the_curve(seed, fpr, levels):
    mated, correct, non_mated = pools(seed, m=100, levels=levels)
    allowed = [point for point in curve(mated, correct, non_mated) if point[0] <= fpr + 1e-12]
    assert_allclose(ccr_at_fpr(mated, correct, non_mated, fpr), max(ccr for _, ccr, _ in allowed))
    measured = identification(mated, correct, non_mated, threshold_at_fpir(non_mated, fpr))
    assert_allclose(measured.fpir, max(point[0] for point in allowed))
    assert_allclose(measured.dir, max(ccr for _, ccr, _ in allowed))
    assert_allclose(measured.fnir, 1 - measured.dir)


@given(seed=st.integers(0, 999), tpr=st.sampled_from([0.5, 0.95, 1.0]))
@settings(max_examples=40, deadline=None)
def test_tnr_at_tpr_uses_the_highest_threshold_that_accepts_enough(seed, tpr):
    mated, _, non_mated = pools(seed)
    reached = max(t for t in mated if np.mean(mated >= t) >= tpr - 1e-12)
    assert tnr_at_tpr(mated, non_mated, tpr) == np.mean(non_mated < reached)


def test_a_threshold_above_a_float32_score_still_rejects_that_score():
    scores = np.full(50, 0.1, dtype=np.float32)
    threshold = threshold_at_fpir(scores, 0.05)
    assert threshold > float(scores[0])
    assert identification(scores, np.ones(50, bool), scores, threshold).fpir == 0


def test_an_fpir_of_one_accepts_everything():
    assert threshold_at_fpir(np.array([0.1, 0.2]), 1.0) == -math.inf


def test_exact_multiples_are_not_lost_to_rounding():
    scores = np.arange(100.0)
    assert (scores >= threshold_at_fpir(scores, 0.29)).sum() == 29


@pytest.mark.parametrize(("fpir", "needed"), [(0.003, 334), (0.01, 100), (0.05, 20), (1.0, 1)])
def test_the_searches_an_fpir_needs(fpir, needed):
    assert searches_needed(fpir) == needed


def test_an_empty_pool_has_no_value():
    some, none = np.array([0.1]), np.array([])
    for mated, non_mated in [(some, none), (none, some)]:
        correct = np.ones(len(mated), bool)
        values = [
            auroc(mated, non_mated),
            oscr(mated, correct, non_mated),
            ccr_at_fpr(mated, correct, non_mated),
        ]
        assert np.isnan([*values, tnr_at_tpr(mated, non_mated)]).all()


@given(seed=st.integers(0, 999), n=st.integers(1, 40), m=st.integers(1, 40), levels=st.integers(1, 60))
@settings(max_examples=60, deadline=None)
def test_the_det_curve_has_a_vertex_at_every_unique_score(seed, n, m, levels):
    mated, correct, non_mated = pools(seed, n, m, levels)
    fpir, fnir, thresholds = det(mated, correct, non_mated)
    expected = np.array(curve(mated, correct, non_mated))
    assert_allclose(fpir, expected[:, 0], atol=1e-12)
    assert_allclose(fnir, 1 - expected[:, 1], atol=1e-12)
    assert_allclose(thresholds, expected[:, 2])
    for x, y, t in zip(fpir, fnir, thresholds, strict=True):
        rates = identification(mated, correct, non_mated, t)
        assert_allclose([rates.fpir, rates.fnir], [x, y], atol=1e-12)


def test_the_det_curve_of_an_empty_pool_is_empty():
    none = np.zeros(0)
    assert all(len(part) == 0 for part in det(none, none.astype(bool), np.ones(3)))


def test_one_constant_score_gives_a_curve_of_two_ends():
    fpir, fnir, _ = det(np.full(9, 0.1), np.arange(9) < 6, np.full(5, 0.1))
    assert_allclose(fpir, [0, 1])
    assert_allclose(fnir, [1, 1 / 3])
