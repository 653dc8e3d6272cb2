"""The bootstrap of many AUCs at once against the AUC of repeated samples, and against one column at a time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit.metrics import bootstrap, group_aucs
from probekit.metrics.bootstrap import resample
from probekit.metrics.curves import weighted_auc


def case(seed, n=120, groups=25, columns=3, levels=8, folds=1):
    """Labels, scores with ties, groups that hold both classes, and folds."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    scores = rng.integers(levels, size=(n, columns)) / 10 + 0.2 * labels[:, None]
    return labels, scores, rng.integers(groups, size=n), rng.integers(folds, size=n)


def quantiles(values):
    return np.quantile(values[np.isfinite(values)], [0.025, 0.975])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    n=st.integers(40, 150),
    groups=st.integers(12, 100),
    levels=st.sampled_from([1, 3, 1000]),
    folds=st.integers(1, 4),
)
def test_every_column_has_the_interval_of_the_plain_definition(seed, n, groups, levels, folds):
    labels, scores, group, fold = case(seed, n, groups, levels=levels, folds=folds)
    draws = resample(group, 50, seed=1)
    if min(len(np.unique(group[labels == k])) for k in (0, 1)) < bootstrap.FEWEST_GROUPS:
        assert np.isnan(draws.aucs(labels, scores, fold)).all()
        return
    weights = draws.counts[:, draws.members].astype(float)
    expected = [quantiles(weighted_auc(labels, column, weights, fold)) for column in scores.T]
    assert_allclose(draws.aucs(labels, scores, fold), expected, rtol=0, atol=1e-12)


def test_one_column_among_many_has_the_interval_that_it_has_alone():
    labels, scores, group, fold = case(1, folds=3)
    draws = resample(group, 200, seed=0)
    assert draws.aucs(labels, scores, fold) == [draws.auc(labels, column, fold) for column in scores.T]


def test_the_order_of_the_samples_and_the_size_of_the_blocks_change_nothing(monkeypatch):
    labels, scores, group, fold = case(2, folds=2)
    once = resample(group, 200, seed=0).aucs(labels, scores, fold)
    order = np.random.default_rng(0).permutation(len(labels))
    monkeypatch.setattr(bootstrap, "MAX_ELEMENTS", 333)
    monkeypatch.setattr(group_aucs, "MAX_ELEMENTS", 333)
    again = resample(group[order], 200, seed=0).aucs(labels[order], scores[order], fold[order])
    assert again == once


def test_groups_are_drawn_as_in_one_call_of_the_generator():
    draws = resample(np.arange(70) % 30, 40, seed=5)
    drawn = np.random.default_rng(5).integers(30, size=(40, 30))
    assert_allclose(draws.counts, [np.bincount(row, minlength=30) for row in drawn])


def test_large_counts_are_summed_exactly():
    labels, scores, group, _ = case(3, n=60, groups=20)
    counts = np.random.default_rng(0).integers(0, 30_000, size=(5, 20))
    expected = [weighted_auc(labels, column, counts[:, group].astype(float)) for column in scores.T]
    assert_allclose(group_aucs.group_aucs(counts, group, labels, scores), expected, rtol=1e-14)


def test_a_drawing_without_a_pair_to_compare_has_no_auc():
    labels, scores, group, _ = case(4, n=40, groups=20)
    counts = np.zeros((2, 20), dtype=int)
    counts[1] = 1
    found = group_aucs.group_aucs(counts, group, labels, scores)
    assert np.isnan(found[:, 0]).all()
    assert np.isfinite(found[:, 1]).all()
    apart = group_aucs.group_aucs(counts, group, labels, scores, np.arange(40))
    assert np.isnan(apart).all()


def test_no_columns_have_no_intervals():
    labels, scores, group, _ = case(5)
    assert resample(group, 20, seed=0).aucs(labels, scores[:, :0]) == []


@pytest.mark.parametrize("folds", [1, 3])
def test_the_difference_of_two_aucs_is_taken_within_each_drawing(folds):
    labels, scores, group, fold = case(6, folds=folds)
    draws = resample(group, 300, seed=0)
    weights = draws.counts[:, draws.members].astype(float)
    a, b = (weighted_auc(labels, column, weights, fold) for column in scores.T[:2])
    found = draws.auc_difference(labels, scores[:, 0], scores[:, 1], fold)
    assert_allclose(found, quantiles(a - b), atol=1e-12)


def test_scores_that_rank_alike_differ_by_nothing_although_each_varies():
    labels, scores, group, _ = case(7)
    draws = resample(group, 300, seed=0)
    assert draws.auc_difference(labels, scores[:, 0], 3 * scores[:, 0] + 1) == (0, 0)
    low, high = draws.auc(labels, scores[:, 0])
    assert high - low > 0.05
    assert np.isnan(resample(group % 9, 50, seed=0).auc_difference(labels, *scores.T[:2])).all()
