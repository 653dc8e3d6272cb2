"""The nearest neighbours' votes and banks, against the formulas row by row."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit.errors import ProbeError
from probekit.probes import similarity
from probekit.probes.bank import BankProbe
from probekit.probes.knn import KNNProbe

T = 0.07


def clouds(seed=0, n=80, d=6, classes=3):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    return (rng.normal(size=(n, d)) + np.eye(classes, d)[labels]).astype(np.float32), labels


def cosine(one, other):
    one, other = one.astype(float), other.astype(float)
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


def share(query, features, labels, classes, k):
    """DINOv2's score: softmax(similarity / T) over the k nearest, summed by class."""
    similar = np.array([cosine(query, row) for row in features])
    nearest = np.argsort(-similar)[:k]
    weights = np.exp(similar[nearest] / T)
    return np.array([weights[labels[nearest] == label].sum() for label in range(classes)]) / weights.sum()


@pytest.mark.parametrize("k", [1, 5, 80])
@pytest.mark.parametrize("classes", [2, 3])
def test_probabilities_are_dinov2s_shares_and_one_vote_for_all_classes(k, classes):
    features, labels = clouds(classes=classes)
    fresh, _ = clouds(seed=1, n=12, classes=classes)
    chances = KNNProbe(k=k).fit(features, labels).predict_proba(fresh)
    expected = [(k * share(row, features, labels, classes, k) + 1 / classes) / (k + 1) for row in fresh]
    assert_allclose(chances, expected, rtol=1e-5)


def test_a_class_without_a_vote_gets_the_floor():
    features, labels = np.eye(4, dtype=np.float32), np.array([0, 0, 1, 2])
    chances = KNNProbe(k=2).fit(features, labels).predict_proba(np.array([[1.0, 1.0, 0.0, 0.0]]))
    assert_allclose(chances, [[1 - 2 / 9, 1 / 9, 1 / 9]])


def test_rows_that_tie_for_the_last_places_share_them():
    # One real at similarity 1; then a real and three fakes at the same similarity compete for two places.
    features = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 1], [1, -1, 0], [1, 0, -1]], dtype=np.float32)
    labels = np.array([0, 0, 1, 1, 1])
    tied = np.exp((np.sqrt(0.5) - 1) / T)
    real = (1 + 2 / 4 * tied) / (1 + 2 * tied)
    for order in (np.arange(5), np.arange(5)[::-1], np.array([2, 0, 4, 1, 3])):
        chances = KNNProbe(k=3).fit(features[order], labels[order]).predict_proba(np.array([[1.0, 0.0, 0.0]]))
        assert_allclose(chances[0, 0], (3 * real + 1 / 2) / 4, rtol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 7])
def test_copies_of_a_row_tie_wherever_they_lie_in_the_bank(k):
    rng = np.random.default_rng(0)
    features = np.repeat(rng.normal(size=(40, 33)).astype(np.float32), 5, axis=0)
    labels = rng.integers(2, size=200)
    order = rng.permutation(200)
    straight = KNNProbe(k=k).fit(features, labels).decision_function(features)
    assert_allclose(KNNProbe(k=k).fit(features[order], labels[order]).decision_function(features), straight, rtol=1e-7)


def test_features_that_are_all_alike_give_the_shares_of_the_classes():
    labels = np.array([0, 1, 1, 1])
    chances = KNNProbe(k=1).fit(np.full((4, 3), 0.1), labels).predict_proba(np.full((2, 3), 0.1))
    assert_allclose(chances[:, 1], (0.75 + 0.5) / 2)


@pytest.mark.parametrize("probe", [KNNProbe, BankProbe])
def test_the_lengths_of_rows_do_not_matter(probe):
    features, labels = clouds()
    lengths = np.random.default_rng(0).uniform(0.1, 1e6, size=(80, 1))
    expected = probe(k=5).fit(features, labels).decision_function(features)
    found = probe(k=5).fit(features * lengths, labels).decision_function(features * lengths[::-1])
    assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("probe", [KNNProbe, BankProbe])
def test_queries_too_many_to_hold_are_taken_in_blocks(probe, monkeypatch):
    features, labels = clouds()
    whole = probe(k=3).fit(features, labels).decision_function(features)
    monkeypatch.setattr(similarity, "ELEMENTS_AT_ONCE", 800)
    assert_allclose(probe(k=3).fit(features, labels).decision_function(features), whole, rtol=1e-9)


def test_all_rows_vote_where_they_are_fewer_than_k():
    features, labels = clouds(n=9)
    found = KNNProbe(k=200).fit(features, labels)
    assert found.k == 9
    expected = KNNProbe(k=9).fit(features, labels).decision_function(features)
    assert np.array_equal(found.decision_function(features), expected)


@pytest.mark.parametrize("k", [1, 3, 9])
def test_the_banks_are_compared_by_mean_similarity_with_their_k_nearest(k):
    features, labels = clouds(classes=2)
    fresh, _ = clouds(seed=1, n=12)

    def nearness(row, label):
        return np.mean(sorted(cosine(row, other) for other in features[labels == label])[-k:])

    expected = [nearness(row, 1) - nearness(row, 0) for row in fresh]
    assert_allclose(BankProbe(k=k).fit(features, labels).decision_function(fresh), expected, atol=1e-6)


def test_more_banks_get_a_column_each():
    features, labels = clouds()
    decisions = BankProbe(k=1).fit(features, labels).decision_function(features)
    assert_allclose(decisions[np.arange(80), labels], 1.0, rtol=1e-6)  # itself


def test_no_bank_is_searched_deeper_than_the_smallest():
    features, labels = clouds(classes=2)
    rows = np.append(np.flatnonzero(labels == 0), [1, 3])
    found = BankProbe(k=9).fit(features[rows], labels[rows])
    assert found.k == 2
    expected = BankProbe(k=2).fit(features[rows], labels[rows]).decision_function(features)
    assert np.array_equal(found.decision_function(features), expected)


@pytest.mark.parametrize("probe", [KNNProbe, BankProbe])
@pytest.mark.parametrize("k", [0, -1, 2.5, np.nan, np.inf])
def test_a_k_that_is_not_a_count_is_refused(probe, k):
    with pytest.raises(ProbeError, match="whole number"):
        probe(k=k)


def test_a_temperature_that_is_not_positive_is_refused():
    with pytest.raises(ProbeError, match="temperature"):
        KNNProbe(temperature=0.0)
