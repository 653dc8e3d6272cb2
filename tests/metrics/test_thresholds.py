"""Rules for thresholds against a search over all of them, and what a threshold costs elsewhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit.errors import ProbeError, UnknownNameError
from probekit.metrics.curves import eer_threshold
from probekit.metrics.thresholds import THRESHOLDS, find_threshold, threshold_transfer


def scored(seed, n=80, levels=9):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    labels[:2] = 0, 1
    return labels, rng.integers(-levels, levels, size=n) / 10 + 0.3 * labels


def rates(labels, scores, threshold):
    return np.mean(scores[labels == 0] > threshold), np.mean(scores[labels == 1] > threshold)


def cuts(scores):
    """A threshold at each distinct score, and one below all."""
    return np.append(np.unique(scores), -np.inf)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 80), levels=st.integers(1, 40))
def test_youdens_threshold_is_the_highest_of_the_best_in_the_middle_between_scores(seed, n, levels):
    labels, scores = scored(seed, n, levels)
    threshold = find_threshold("val-youden", labels, scores)
    index = [np.subtract(*rates(labels, scores, cut)[::-1]) for cut in cuts(scores)]
    fpr, tpr = rates(labels, scores, threshold)
    assert tpr - fpr == pytest.approx(max(index))
    best = max(cut for cut, value in zip(cuts(scores), index, strict=True) if value >= max(index) - 1e-12)
    above = scores[scores > best]
    assert_allclose(threshold, (best + above.min()) / 2 if len(above) else best)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(45, 300), levels=st.integers(1, 60))
def test_the_threshold_of_a_false_positive_rate_is_the_lowest_that_keeps_it(seed, n, levels):
    labels, scores = scored(seed, n, levels)
    if np.sum(labels == 0) < 20:
        return
    threshold = find_threshold("val-fpr5", labels, scores)
    assert rates(labels, scores, threshold)[0] <= 0.05
    assert rates(labels, scores, np.nextafter(threshold, -np.inf))[0] > 0.05


def test_tied_reals_stay_real_as_a_whole():
    labels = np.repeat([0, 1], [20, 3])
    scores = np.append(np.repeat([0.1, 0.7], [18, 2]), [0.7, 0.8, 0.9])
    assert find_threshold("val-fpr5", labels, scores) == 0.7
    assert find_threshold("val-fpr5", labels, np.append(np.arange(20.0), [1, 2, 3])) == 18


def test_the_equal_error_threshold_and_one_half_are_what_they_say():
    labels, scores = scored(0)
    assert find_threshold("val-eer", labels, scores) == eer_threshold(labels, scores)
    assert find_threshold("0.5", labels[:0], scores[:0]) == 0


@pytest.mark.parametrize("name", [name for name in THRESHOLDS if name != "0.5"])
class TestEveryRule:
    @pytest.mark.parametrize(("label", "missing"), [(0, "fake"), (1, "real")])
    def test_refuses_samples_of_one_class_in_one_line(self, name, label, missing):
        with pytest.raises(ProbeError, match=f"^threshold {name}: there are no {missing} samples") as caught:
            find_threshold(name, np.full(50, label), np.linspace(0, 1, 50))
        assert "\n" not in str(caught.value)

    def test_does_not_depend_on_the_order_of_the_samples_and_moves_with_the_scores(self, name):
        labels, scores = scored(1, n=120)
        scores = np.round(8 * scores) / 8  # so that moving them rounds nothing
        order = np.random.default_rng(0).permutation(120)
        threshold = find_threshold(name, labels, scores)
        assert find_threshold(name, labels[order], scores[order]) == threshold
        assert find_threshold(name, labels, 4 * scores + 1000) == pytest.approx(4 * threshold + 1000)

    def test_is_finite_and_calls_equal_scores_alike(self, name):
        labels = np.arange(60) % 2
        assert find_threshold(name, labels, np.full(60, 0.1)) == pytest.approx(0.1)

    def test_decides_in_float64_where_float32_scores_would_round_onto_the_threshold(self, name):
        scores = np.nextafter(np.float32(1), np.float32(2)) * np.ones(60, dtype=np.float32)
        labels = np.arange(60) % 2
        scores[labels == 0] = 1
        found = threshold_transfer(labels, scores, find_threshold(name, labels, scores))
        assert found["fpr"] == found["fnr"] == 0


def test_too_few_reals_for_a_rate_of_5_percent_are_refused_in_one_line():
    labels = np.repeat([0, 1], [19, 30])
    with pytest.raises(ProbeError, match=r"19 real samples cannot resolve an FPR of 5 %, which takes 20\."):
        find_threshold("val-fpr5", labels, np.arange(49.0))


def test_an_unknown_rule_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"'val-yuden'\. Did you mean 'val-youden'"):
        find_threshold("val-yuden", np.array([0, 1]), np.array([0.0, 1.0]))


def test_scores_that_point_the_wrong_way_have_a_threshold_that_calls_nothing_fake():
    labels, scores = np.array([1, 1, 0, 0]), np.array([0.0, 1.0, 2.0, 3.0])
    assert find_threshold("val-youden", labels, scores) == 3
    assert threshold_transfer(labels, scores, 3)["balanced_acc"] == 0.5


def test_the_middle_between_neighbouring_floats_still_parts_them():
    low, high = 1.0, np.nextafter(1.0, 2)
    assert find_threshold("val-youden", np.array([0, 1]), np.array([low, high])) == low
    assert find_threshold("val-youden", np.array([0, 1]), np.array([-1.7e308, 1.7e308])) == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.floats(-1, 1))
def test_a_transferred_threshold_is_compared_with_the_best_of_all_that_the_samples_allow(seed, threshold):
    from sklearn.metrics import balanced_accuracy_score

    labels, scores = scored(seed)
    found = threshold_transfer(labels, scores, threshold)
    assert_allclose(found["balanced_acc"], balanced_accuracy_score(labels, scores > threshold))
    assert_allclose([found["fpr"], 1 - found["fnr"]], rates(labels, scores, threshold))
    best = max(balanced_accuracy_score(labels, scores > cut) for cut in cuts(scores))
    assert_allclose(found["oracle_best_balanced_acc"], best)
    assert_allclose(found["loss_to_best"], best - found["balanced_acc"], atol=1e-12)
    assert found["loss_to_best"] >= -1e-12
    own = eer_threshold(labels, scores)
    assert found["oracle_eer_threshold"] == own
    assert_allclose(found["oracle_eer_balanced_acc"], balanced_accuracy_score(labels, scores > own))
    assert_allclose(found["loss_to_eer"], found["oracle_eer_balanced_acc"] - found["balanced_acc"])


def test_of_one_class_only_its_own_error_rate_is_defined():
    found = threshold_transfer(np.zeros(4, dtype=int), np.arange(4.0), 2.5)
    assert found["fpr"] == 0.25
    assert all(np.isnan(value) for name, value in found.items() if name != "fpr")
