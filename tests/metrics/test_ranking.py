"""Ranking metrics against slow references written from their formulas, and against scikit-learn."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import average_precision_score

from probekit.metrics.ranking import average_precision, mean_by_class, rank_k, soft_vote


def mean_hit_over_all_orders(similarities, relevant, k):
    """Rank-k averaged over every order of the rows that is sorted by similarity."""
    hits = [
        any(relevant[g] for g in order[:k])
        for order in permutations(range(len(similarities)))
        if all(similarities[a] >= similarities[b] for a, b in pairwise(order))
    ]
    return np.mean(hits)


def tied_rows(seed, q, n, levels=3):
    rng = np.random.default_rng(seed)
    similarities = (rng.integers(0, levels, (q, n)) * 0.1).astype(np.float32)
    return similarities, rng.random((q, n)) < 0.4


@given(seed=st.integers(0, 999), n=st.integers(1, 6), k=st.integers(1, 8))
@settings(max_examples=60, deadline=None)
def test_rank_k_under_ties_is_the_mean_over_all_orders(seed, n, k):
    similarities, relevant = tied_rows(seed, 1, n)
    value = rank_k(similarities, relevant, [k])[0, 0]
    if not relevant.any():
        assert np.isnan(value)
    else:
        assert_allclose(value, mean_hit_over_all_orders(similarities[0], relevant[0], k), rtol=1e-12)


@given(seed=st.integers(0, 999), n=st.integers(2, 60), levels=st.integers(1, 80))
@settings(max_examples=60, deadline=None)
def test_average_precision_equals_scikit_learns_with_and_without_ties(seed, n, levels):
    similarities, relevant = tied_rows(seed, 4, n, levels)
    for value, row, mask in zip(average_precision(similarities, relevant), similarities, relevant, strict=True):
        expected = average_precision_score(mask, row) if mask.any() else np.nan
        assert_allclose(value, expected, rtol=1e-12)


def test_average_precision_of_a_ranking_worked_by_hand():
    similarities = np.array([[0.9, 0.8, 0.7, 0.6, 0.5]])
    relevant = np.array([[True, False, True, False, True]])
    assert_allclose(average_precision(similarities, relevant), [(1 / 1 + 2 / 3 + 3 / 5) / 3])


@given(seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_metrics_do_not_depend_on_the_order_of_gallery_rows(seed):
    similarities, relevant = tied_rows(seed, 5, 30)
    order = np.random.default_rng(seed).permutation(30)
    assert_array_equal(
        rank_k(similarities, relevant, [1, 5]), rank_k(similarities[:, order], relevant[:, order], [1, 5])
    )
    assert_array_equal(
        average_precision(similarities, relevant),
        average_precision(similarities[:, order], relevant[:, order]),
    )


def test_rows_that_are_not_admissible_change_nothing():
    similarities, relevant = tied_rows(1, 6, 12)
    padding = np.full((6, 3), -np.inf, np.float32)
    wider, mask = np.hstack([padding, similarities]), np.hstack([np.ones((6, 3), bool), relevant])
    assert_array_equal(rank_k(wider, mask, [1, 3]), rank_k(similarities, relevant, [1, 3]))
    assert_array_equal(average_precision(wider, mask), average_precision(similarities, relevant))


def test_a_query_without_a_relevant_row_has_no_value():
    similarities, nothing = np.array([[0.5, 0.1]]), np.zeros((1, 2), bool)
    assert np.isnan(rank_k(similarities, nothing, [1])).all()
    assert np.isnan(average_precision(similarities, nothing)).all()
    assert np.isnan(mean_by_class(np.array([np.nan]), np.array(["a"])))


def test_one_class_is_found_at_once_and_k_may_exceed_the_gallery():
    similarities, everything = np.array([[0.3, 0.2]]), np.ones((1, 2), bool)
    assert_array_equal(rank_k(similarities, everything, [1, 10]), [[1, 1]])
    assert_array_equal(average_precision(similarities, everything), [1])


def test_the_mean_by_class_weighs_classes_not_queries():
    values, classes = np.array([1, 1, 1, 0, np.nan]), np.array(["a", "a", "a", "b", "b"])
    assert mean_by_class(values, classes) == 0.5


def test_soft_votes_follow_the_formula():
    similarities = np.array([[0.9, 0.8, 0.1], [0.5, -np.inf, -np.inf], [-np.inf] * 3], np.float32)
    classes = np.array([[1, 0, 0], [2, -1, -1], [-1, -1, -1]])
    weights = np.exp(np.array([0.9, 0.8, 0.1], np.float32).astype(np.float64) / 0.07)
    expected = np.array([[weights[1] + weights[2], weights[0], 0], [0, 0, weights.sum()], [0, 0, 0]]) / weights.sum()
    assert_allclose(soft_vote(similarities, classes, 3), expected, rtol=1e-5)


def test_soft_votes_stay_finite_at_a_tiny_temperature():
    votes = soft_vote(np.array([[0.9, 0.1]]), np.array([[0, 1]]), 2, T=1e-6)
    assert_array_equal(votes, [[1, 0]])


@pytest.mark.parametrize("T", [0.01, 0.07, 1.0])
def test_soft_votes_sum_to_one(T):
    rng = np.random.default_rng(0)
    votes = soft_vote(rng.uniform(-1, 1, (9, 4)), rng.integers(0, 3, (9, 4)), 3, T)
    assert_allclose(votes.sum(axis=1), 1)
