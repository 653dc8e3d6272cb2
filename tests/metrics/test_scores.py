"""Metrics of scores against scikit-learn, ties and missing classes included."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit import metrics
from probekit.metrics.bootstrap import resample
from probekit.metrics.curves import eer_threshold, roc, weighted_auc


def scored(seed, n=60, levels=7):
    """Labels of both classes and scores with many ties."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    labels[:2] = 0, 1
    return labels, rng.integers(-levels, levels, size=n) / 10 + 0.1 * labels


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 400), levels=st.integers(1, 40))
def test_all_metrics_match_scikit_learn(seed, n, levels):
    from sklearn import metrics as peer

    labels, scores = scored(seed, n, levels)
    ours, called = metrics.measure(labels, scores), scores > 0
    assert_allclose(ours["auc"], peer.roc_auc_score(labels, scores))
    assert_allclose(ours["ap"], peer.average_precision_score(labels, scores))
    assert_allclose(ours["acc"], peer.accuracy_score(labels, called))
    assert_allclose(ours["balanced_acc"], peer.balanced_accuracy_score(labels, called))
    assert_allclose(ours["real_acc"], peer.recall_score(labels, called, pos_label=0))
    assert_allclose(ours["fake_acc"], peer.recall_score(labels, called))
    fpr, tpr, thresholds = peer.roc_curve(labels, scores, drop_intermediate=False)
    for share, least in ((0.01, 100), (0.05, 20)):
        value = ours[f"tpr_at_fpr{share:.0%}".rstrip("%")]
        assert_allclose(value, tpr[fpr <= share + 1e-12].max() if np.sum(labels == 0) >= least else np.nan)
    for own, other in zip(roc(labels, scores), (fpr, tpr, thresholds), strict=True):
        assert_allclose(own, other)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
def test_the_equal_error_rate_is_where_the_roc_curve_meets_the_falling_diagonal(seed, n):
    labels, scores = scored(seed, n)
    from sklearn.metrics import roc_curve

    fpr, tpr, _ = roc_curve(labels, scores, drop_intermediate=False)
    assert_allclose(metrics.get("eer")(labels, scores), np.interp(1.0, fpr + tpr, fpr), atol=1e-12)


def test_the_equal_error_threshold_makes_both_errors_equal():
    rng = np.random.default_rng(0)
    labels = np.arange(4000) % 2
    scores = rng.normal(size=4000) + labels
    threshold = eer_threshold(labels, scores)
    assert np.mean(scores[labels == 0] > threshold) == pytest.approx(
        np.mean(scores[labels == 1] <= threshold), abs=2e-3
    )
    assert metrics.get("eer")(labels, scores) == pytest.approx(np.mean(scores[labels == 0] > threshold), abs=2e-3)


def test_the_equal_error_threshold_of_classes_apart_lies_in_the_middle_between_them():
    labels, scores = np.array([0, 0, 1, 1, 1]), np.array([0.1, 0.3, 0.7, 0.9, 0.9])
    assert eer_threshold(labels, scores) == pytest.approx(0.5)
    assert eer_threshold(1 - labels, -scores) == pytest.approx(-0.5)


def test_perfect_and_inverted_scores_have_equal_error_rates_0_and_1():
    labels = np.array([0, 0, 1, 1])
    assert metrics.get("eer")(labels, np.array([1.0, 2.0, 3.0, 4.0])) == 0
    assert metrics.get("eer")(labels, np.array([4.0, 3.0, 2.0, 1.0])) == 1


@pytest.mark.parametrize("name", metrics.names())
class TestEveryMetric:
    def test_is_undefined_without_samples(self, name):
        assert np.isnan(metrics.get(name)(np.array([], dtype=int), np.array([])))

    @pytest.mark.parametrize("label", [0, 1])
    def test_with_one_class_is_undefined_unless_it_is_a_share_of_what_is_there(self, name, label):
        value = metrics.get(name)(np.full(5, label), np.linspace(-1, 1, 5))
        defined = name in {"acc", ["real_acc", "fake_acc"][label], "log_loss", "brier", "ece"}
        assert np.isfinite(value) == defined

    def test_does_not_depend_on_the_order_of_the_samples(self, name):
        labels, scores = scored(3, n=300)
        order = np.random.default_rng(0).permutation(len(labels))
        assert metrics.get(name)(labels[order], scores[order]) == metrics.get(name)(labels, scores)


def test_integer_weights_are_repeated_samples():
    labels, scores = scored(4, n=30)
    weights = np.random.default_rng(0).integers(0, 4, size=(20, 30)).astype(float)
    auc = metrics.get("auc")
    expected = [auc(np.repeat(labels, w.astype(int)), np.repeat(scores, w.astype(int))) for w in weights]
    assert_allclose(weighted_auc(labels, scores, weights), expected)


def test_the_bootstrap_matches_a_loop_over_the_same_draws():
    labels, scores = scored(5, n=90)
    groups = np.array([f"photo{i % 15}" for i in range(90)])
    draws = resample(groups, 300, seed=1)
    values = []
    for counts in draws.counts:
        rows = np.concatenate([np.repeat(np.flatnonzero(draws.members == g), c) for g, c in enumerate(counts)])
        values.append(metrics.get("auc")(labels[rows], scores[rows]))
    assert (draws.counts.sum(axis=1) == 15).all()
    assert_allclose(draws.auc(labels, scores), np.quantile(values, [0.025, 0.975]))


def test_the_interval_of_a_mean_has_the_width_that_theory_gives():
    values = np.random.default_rng(0).normal(size=2000)
    low, high = resample(np.arange(2000), 2000, seed=0).mean(values)
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.08)


def test_the_interval_of_the_class_mean_surrounds_balanced_accuracy():
    labels, scores = scored(6, n=400)
    right = ((scores > 0) == labels).astype(float)
    low, high = resample(np.arange(400), 500, seed=0).class_mean(right, labels)
    assert low < metrics.get("balanced_acc")(labels, scores) < high


def test_samples_of_one_group_are_drawn_together_so_that_copies_do_not_narrow_the_interval():
    labels, scores = scored(7, n=100)
    once = resample(np.arange(100), 500, seed=0).auc(labels, scores)
    copies = np.repeat(np.arange(100), 10)
    assert_allclose(resample(copies, 500, seed=0).auc(labels[copies], scores[copies]), once)


def test_fewer_than_ten_groups_give_no_interval():
    labels, scores = scored(8)
    assert np.isnan(resample(np.arange(60) % 9, 100, seed=0).auc(labels, scores)).all()
    assert np.isfinite(resample(np.arange(60) % 10, 100, seed=0).auc(labels, scores)).all()


def test_one_class_or_no_samples_give_no_interval():
    assert np.isnan(resample(np.arange(20), 100, seed=0).auc(np.ones(20, dtype=int), np.arange(20.0))).all()
    assert np.isnan(resample(np.array([]), 100, seed=0).mean(np.array([]))).all()


def test_a_row_for_json_has_null_where_numbers_are_undefined():
    row = {
        "n": 3,
        "auc": float("nan"),
        "auc_lo": float("nan"),
        "auc_hi": float("nan"),
        "acc_lo": 0.5,
        "acc_hi": 1.0,
    }
    assert metrics.json_row(row) == {"n": 3, "auc": None, "auc_ci": None, "acc_ci": [0.5, 1.0]}
    json.dumps(metrics.json_row(row), allow_nan=False)


def test_three_images_of_one_class_are_too_few_for_an_interval_of_the_auc():
    labels = np.repeat([0, 1], [3, 60])
    scores = np.random.default_rng(0).normal(size=63)
    assert np.isnan(resample(np.arange(63), 100, seed=0).auc(labels, scores)).all()
    assert np.isfinite(resample(np.arange(63), 100, seed=0).mean(scores)).all()


def several_folds(seed, n=90, folds=4):
    """Scores of several probes, each with a zero of its own."""
    labels, scores = scored(seed, n)
    number = np.random.default_rng(seed + 100).integers(folds, size=n)
    return labels, scores + 10 * number, number


def test_out_of_fold_only_samples_of_one_fold_are_compared():
    labels, scores, folds = several_folds(9)
    compared = [
        (scores[fake] > scores[real]) + 0.5 * (scores[fake] == scores[real])
        for fake in np.flatnonzero(labels == 1)
        for real in np.flatnonzero(labels == 0)
        if folds[fake] == folds[real]
    ]
    assert metrics.measure(labels, scores, folds=folds)["auc"] == pytest.approx(np.mean(compared))
    assert metrics.measure(labels, scores, folds=folds)["auc"] > metrics.get("auc")(labels, scores) + 0.02


def test_one_fold_gives_the_metrics_of_its_samples():
    labels, scores = scored(10, n=400)
    found = metrics.measure(labels, scores)
    assert np.isfinite(list(found.values())).all()
    assert metrics.measure(labels, scores, folds=np.zeros(400, dtype=int)) == found


def test_without_a_fold_of_both_classes_nothing_is_compared():
    labels, scores = scored(11, n=400)
    found, pooled = metrics.measure(labels, scores, folds=np.arange(400)), metrics.measure(labels, scores)
    undefined = {"auc", "ap", "eer", "tpr_at_fpr1", "tpr_at_fpr5"}
    assert {name for name, value in found.items() if np.isnan(value)} == undefined
    assert {name: found[name] for name in pooled.keys() - undefined} == {
        name: pooled[name] for name in pooled.keys() - undefined
    }
    labels, scores = labels[:60], scores[:60]
    assert np.isnan(resample(np.arange(60), 100, seed=0).auc(labels, scores, np.arange(60))).all()


def test_the_bootstrap_compares_within_folds_as_the_estimate_does():
    labels, scores, folds = several_folds(12)
    weights = np.random.default_rng(0).integers(0, 4, size=(20, 90))
    expected = [
        metrics.measure(np.repeat(labels, w), np.repeat(scores, w), folds=np.repeat(folds, w))["auc"] for w in weights
    ]
    assert_allclose(weighted_auc(labels, scores, weights.astype(float), folds), expected)


def test_a_false_positive_rate_is_met_exactly_where_the_samples_allow_it():
    scores = np.append(np.arange(100.0), [98.5, 97.5])
    labels = np.repeat([0, 1], [100, 2])
    assert metrics.get("tpr_at_fpr1")(labels, scores) == 0.5
    assert metrics.get("tpr_at_fpr5")(labels, scores) == 1
    tied = np.append(np.repeat([0.0, 1.0], [90, 10]), [1.0, 2.0])
    assert metrics.get("tpr_at_fpr5")(labels, tied) == 0.5


def test_decisions_are_made_at_the_threshold_and_probabilities_are_not_moved_by_it():
    labels, scores = scored(13, n=200)
    thresholds = np.where(np.arange(200) % 2, 0.1, -0.2)
    found = metrics.measure(labels, scores, thresholds)
    assert found["acc"] == np.mean((scores > thresholds) == labels)
    assert found["auc"] == metrics.get("auc")(labels, scores - thresholds)
    assert found["log_loss"] == metrics.get("log_loss")(labels, scores)


def test_float32_scores_are_held_against_a_threshold_that_float32_cannot_tell_from_them():
    score = np.float32(0.1)
    found = metrics.measure(np.array([0, 1]), np.array([score, score]), float(score) + 1e-12)
    assert (found["real_acc"], found["fake_acc"]) == (1, 0)
    found = metrics.measure(np.array([0, 1]), np.array([score, score]), float(score) - 1e-12)
    assert (found["real_acc"], found["fake_acc"]) == (0, 1)


def test_scores_that_mean_no_probability_have_no_metrics_of_probabilities():
    labels, scores = scored(14, n=400)
    found, whole = metrics.measure(labels, scores, probabilistic=False), metrics.measure(labels, scores)
    assert {name for name, value in found.items() if np.isnan(value)} == {"log_loss", "brier", "ece"}
    assert {name: value for name, value in whole.items() if name not in {"log_loss", "brier", "ece"}}.items() <= (
        found.items()
    )


@pytest.mark.parametrize("name", metrics.names())
def test_the_better_of_two_score_columns_wins_in_every_metric(name):
    labels = np.arange(400) % 2
    noise = np.random.default_rng(0).normal(size=400)
    bad, good = (metrics.get(name)(labels, strength * (2 * labels - 1) + 2 * noise) for strength in (0.1, 5.0))
    assert good > bad if metrics.higher_is_better(name) else good < bad


def test_a_plug_in_may_register_a_metric_by_name_alone(monkeypatch):
    monkeypatch.setattr(metrics._metrics, "_parts", dict(metrics._metrics._parts))
    metrics.names()

    @metrics.add("share_called_fake")
    def share(labels, margins):
        return float(np.mean(margins > 0))

    labels, scores = scored(15)
    assert metrics.measure(labels, scores, 0.1)["share_called_fake"] == np.mean(scores > 0.1)
    assert share(labels, scores) == np.mean(scores > 0)
    assert metrics.higher_is_better("share_called_fake")
