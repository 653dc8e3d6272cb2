"""Ranking metrics against slow references written from their formulas, and against scikit-learn."""

from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.metrics import average_precision_score

from probekit.metrics.ranking import (
    average_precision,
    class_rank_k,
    class_scores,
    mean_by_class,
    most_votes,
    precision_at_r,
    rank_k,
    votes,
)


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


def orders(similarities):
    """Every order of the admissible rows that is sorted by similarity."""
    rows = [g for g in range(len(similarities)) if np.isfinite(similarities[g])]
    return [o for o in permutations(rows) if all(similarities[a] >= similarities[b] for a, b in pairwise(o))]


@given(seed=st.integers(0, 999), n=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_precision_within_r_under_ties_is_the_mean_over_all_orders(seed, n):
    similarities, relevant = tied_rows(seed, 1, n)
    similarities[0, 0] = -np.inf if seed % 2 else similarities[0, 0]
    at_r, r_precision = precision_at_r(similarities, relevant)
    R = int((relevant[0] & np.isfinite(similarities[0])).sum())
    if R == 0:
        assert np.isnan([at_r[0], r_precision[0]]).all()
        return
    hits = np.array([[relevant[0, g] for g in order[:R]] for order in orders(similarities[0])], dtype=float)
    precision = np.cumsum(hits, axis=1) / np.arange(1, R + 1)
    assert_allclose(at_r[0], (precision * hits).sum(axis=1).mean() / R, atol=1e-12)
    assert_allclose(r_precision[0], hits.sum(axis=1).mean() / R, atol=1e-12)


def test_r_precision_of_random_scores_is_the_recall_of_the_first_r_rows():
    rng = np.random.default_rng(0)
    similarities, relevant = rng.random((20, 50)), rng.random((20, 50)) < 0.2
    first = [np.argsort(-s)[: r.sum()] for s, r in zip(similarities, relevant, strict=True)]
    expected = [r[rows].mean() for r, rows in zip(relevant, first, strict=True)]
    assert_allclose(precision_at_r(similarities, relevant)[1], expected)


@given(seed=st.integers(0, 999), top=st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_a_class_scores_the_mean_of_its_nearest_rows(seed, top):
    similarities, admissible = tied_rows(seed, 3, 12, levels=9)
    similarities[~admissible] = -np.inf
    classes = np.random.default_rng(seed).integers(0, 4, 12)
    scores = class_scores(similarities, classes, 5, top)
    for q in range(3):
        for c in range(5):
            own = sorted((float(x) for x in similarities[q, classes == c] if np.isfinite(x)), reverse=True)[:top]
            assert_allclose(scores[q, c], np.mean(own) if own else -np.inf)


@given(seed=st.integers(0, 999), k=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_class_rank_k_under_ties_is_the_mean_over_all_orders(seed, k):
    scores = np.random.default_rng(seed).integers(0, 3, (1, 5)) * 0.1
    scores[0, 4] = -np.inf
    for truth in range(4):
        expected = np.mean([truth in order[:k] for order in orders(scores[0])])
        assert_allclose(class_rank_k(scores, np.array([truth]), [k]), [[expected]])
    assert np.isnan(class_rank_k(scores, np.array([4]), [k])).all()


@given(
    seed=st.integers(0, 999), n=st.integers(1, 6), k=st.integers(1, 8), how=st.sampled_from(["soft", "sum", "majority"])
)
@settings(max_examples=80, deadline=None)
def test_votes_under_ties_are_the_mean_over_all_orders(seed, n, k, how):
    similarities, admissible = tied_rows(seed, 1, n)
    similarities[~admissible] = -np.inf
    classes = np.random.default_rng(seed).integers(0, 3, n)
    weight = {"soft": lambda s: np.exp((s - 0.2) / 0.07), "sum": lambda s: s, "majority": lambda s: 1.0}[how]
    given_ = np.zeros(4)
    every = orders(similarities[0])
    for order in every:
        for g in order[:k]:
            given_[classes[g]] += weight(float(similarities[0, g])) / len(every)
    voters = min(k, len(every[0]))
    total = given_.sum() if how == "soft" else voters
    found = votes(similarities, classes, 4, k, how)[0]
    reached = {classes[g] for order in every for g in order[:k]}
    for c in range(4):
        if c in reached:
            assert_allclose(found[c], given_[c] / total, rtol=1e-5, atol=1e-12)
        else:
            assert found[c] == -np.inf


def test_soft_votes_stay_finite_at_a_tiny_temperature():
    found = votes(np.array([[0.9, 0.1]]), np.array([0, 1]), 2, 2, "soft", T=1e-6)
    assert_array_equal(found, [[1, 0]])


@pytest.mark.parametrize("how", ["soft", "majority"])
def test_shares_of_votes_sum_to_one_whatever_k_is(how):
    rng = np.random.default_rng(0)
    similarities, classes = rng.uniform(-1, 1, (9, 4)), rng.integers(0, 3, 4)
    for k in (1, 3, 4, 50):
        found = votes(similarities, classes, 3, k, how)
        assert_allclose(np.where(np.isfinite(found), found, 0).sum(axis=1), 1)


def test_a_negative_sum_still_beats_a_class_that_has_no_vote():
    found = votes(np.array([[-0.5, -0.9]]), np.array([1, 0]), 3, 1, "sum")
    assert_array_equal(most_votes(found, class_scores(np.array([[-0.5, -0.9]]), np.array([1, 0]), 3)), [1])


def test_equal_votes_go_to_the_class_with_the_nearer_row_then_to_the_first():
    given_ = np.array([[0.5, 0.5, -np.inf], [0.1 + 0.2, 0.3, -np.inf], [0.5, 0.5, -np.inf]])
    nearest = np.array([[0.7, 0.8, 0.9], [0.7, 0.8, 0.9], [0.8, 0.8, 0.9]])
    assert_array_equal(most_votes(given_, nearest), [1, 1, 0])


def test_votes_and_class_scores_do_not_depend_on_the_order_of_rows():
    similarities, _ = tied_rows(3, 6, 40)
    classes = np.random.default_rng(3).integers(0, 5, 40)
    order = np.random.default_rng(4).permutation(40)
    for how in ("soft", "sum", "majority"):
        a, b = votes(similarities, classes, 5, 7, how), votes(similarities[:, order], classes[order], 5, 7, how)
        assert_allclose(a, b, rtol=1e-12)
    a, b = (class_scores(similarities[:, o], classes[o], 5, 3) for o in (np.arange(40), order))
    assert_allclose(a, b, rtol=1e-12)
