"""Folded probes against the probes themselves, gradients against differences, shares against sums."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit import probes, projections
from probekit.errors import ProbeError
from probekit.probes.calibration import Calibration
from probekit.probes.conditions import CONDITIONS, Makers, fit_condition, fit_projected
from probekit.projections import Fitted
from probekit.saliency.linear import EXACT, LinearScore, fold

LINEAR = ("logistic", "svm", "ridge", "lda", "prototype")


def features(n=40, d=6, seed=0):
    """Columns of very different units, one of them constant at an awkward number."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, d)) * np.logspace(-3, 6, d) + 0.1
    rows[:, 2] = 0.1
    return rows.astype(np.float32)


def fitted(name, condition, classes, rows):
    labels = np.arange(len(rows)) % classes
    own = fit_condition(condition, rows, (rows.shape[1],))
    return own, probes.get(name)().fit(own.apply(rows), labels)


def test_every_condition_that_there_is_folds():
    assert set(EXACT) == set(CONDITIONS)


@pytest.mark.parametrize("condition", EXACT)
@pytest.mark.parametrize("name", LINEAR)
def test_the_folded_score_of_two_classes_is_the_calibrated_decision(name, condition):
    rows = features()
    own, classifier = fitted(name, condition, 2, rows)
    calibration = Calibration("platt", 0.7, -0.3)
    found = fold(own, classifier, calibration, ("real", "fake"), name)
    expected = calibration.apply(classifier.decision_function(own.apply(rows)))
    assert found.names == ("fake",)
    assert_allclose(found.classes[0].values(rows), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("condition", EXACT)
def test_of_more_classes_the_folded_scores_are_logits_less_their_mean(condition):
    rows = features()
    own, classifier = fitted("logistic", condition, 3, rows)
    found = fold(own, classifier, None, ("real", "a", "b"), "logistic")
    logits = classifier.decision_function(own.apply(rows))
    scores = np.stack([one.values(rows) for one in found.classes], axis=1)
    assert_allclose(scores, logits - logits.mean(axis=1, keepdims=True), rtol=1e-6, atol=1e-6)
    assert [found.predicted(row) for row in rows] == logits.argmax(axis=1).tolist()


@pytest.mark.parametrize("condition", EXACT)
@pytest.mark.parametrize("project", ["lda", "whiten:3"])
def test_a_projection_that_is_linear_folds_too(project, condition):
    rows = features()
    labels = np.arange(len(rows)) % 3
    makers = Makers(labels.astype(str).astype(object), np.arange(len(rows)).astype(object))
    own = fit_projected(condition, projections.parse(project), rows, (rows.shape[1],), makers)
    classifier = probes.get("logistic")().fit(own.apply(rows), labels)
    found = fold(own, classifier, None, ("real", "a", "b"), "logistic")
    logits = classifier.decision_function(own.apply(rows))
    scores = np.stack([one.values(rows) for one in found.classes], axis=1)
    assert_allclose(scores, logits - logits.mean(axis=1, keepdims=True), rtol=1e-6, atol=1e-6 * np.abs(logits).max())


def test_a_projection_to_rows_of_length_one_is_refused_in_one_line():
    rows = features()
    own, classifier = fitted("logistic", "zscore", 2, rows)
    projected = Fitted(np.zeros(6), np.eye(6), {"kind": "supcon"})
    own = replace(own, projection=projected, unit=True)
    with pytest.raises(ProbeError, match=r"projection supcon scales rows to length 1.*--project lda or whiten"):
        fold(own, classifier, None, ("real", "fake"), "logistic")


@pytest.mark.parametrize("condition", EXACT)
def test_the_gradient_is_that_of_central_differences(condition):
    rng = np.random.default_rng(1)
    score, x = LinearScore(condition, rng.normal(size=7), 0.3), rng.normal(size=7) + 0.1
    steps = 1e-6 * np.eye(7)
    expected = [(score.values((x + step)[None])[0] - score.values((x - step)[None])[0]) / 2e-6 for step in steps]
    assert_allclose(score.gradient(x), expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("condition", EXACT)
def test_shares_of_tokens_average_to_the_score_of_their_mean(condition, scale):
    rng = np.random.default_rng(2)
    tokens = scale * (rng.normal(size=(16, 5)) + 0.1)
    x = tokens.mean(axis=0)
    score = LinearScore(condition, rng.normal(size=5), -0.2)
    assert_allclose(score.shares(tokens, x).mean() + score.bias, score.values(x[None])[0], rtol=1e-9)


@pytest.mark.parametrize("condition", ["l2", "layernorm"])
def test_a_row_of_equal_numbers_or_zeros_is_divided_by_one(condition):
    score = LinearScore(condition, np.array([1.0, 2.0, 3.0]), 0.5)
    for x in (np.zeros(3), np.full(3, 0.1)) if condition == "layernorm" else (np.zeros(3),):
        assert np.isfinite(score.gradient(x)).all()
        assert_allclose(score.shares(np.tile(x, (4, 1)), x).mean() + 0.5, score.values(x[None])[0], atol=1e-12)


def test_a_probe_that_is_not_linear_is_refused_in_one_line():
    rows = features()
    own, classifier = fitted("knn", "l2", 2, rows)
    with pytest.raises(ProbeError, match="probe knn is not linear"):
        fold(own, classifier, None, ("real", "fake"), "knn")


def test_features_of_two_blocks_are_refused():
    rows = features()
    own = fit_condition("zscore", rows, (4, 2))
    classifier = probes.get("logistic")().fit(own.apply(rows), np.arange(len(rows)) % 2)
    with pytest.raises(ProbeError, match="2 blocks cannot be folded"):
        fold(own, classifier, None, ("real", "fake"), "logistic")
