"""Calibration against scikit-learn, SciPy's minimisers and the formulas, on awkward samples too."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit, log_softmax

from probekit import metrics
from probekit.errors import ProbeError, UnknownNameError
from probekit.probes.calibration import CALIBRATIONS, Calibration, fit_calibration
from probekit.probes.classifier import probabilities

FITTED = sorted(set(CALIBRATIONS) - {"none"})


def overlapping(seed, n=200, spread=1.0, shift=0.0):
    """Labels of both classes and scores that overlap."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    labels[:4] = 0, 1, 0, 1
    scores = rng.normal(size=n) + labels - 0.5
    scores[:2] = 0.2, -0.2  # a real above a fake: no maximum of the likelihood lies at infinity
    return labels, spread * scores + shift


def several(seed, n=200, k=4, spread=3.0):
    """Labels and logits of k classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % k
    return labels, spread * (rng.normal(size=(n, k)) + np.eye(k)[labels])


def platts_loss(theta, labels, scores):
    """−Σ t log p + (1 − t) log (1 − p) with the targets of Platt 1999, equation after (9)."""
    fakes, reals = np.sum(labels == 1), np.sum(labels == 0)
    targets = np.where(labels == 1, (fakes + 1) / (fakes + 2), 1 / (reals + 2))
    logits = theta[0] * scores + theta[1]
    return np.sum(np.logaddexp(0, logits) - targets * logits)


def nll(T, labels, decisions):
    logits = np.stack([np.zeros(len(labels)), decisions], axis=1) if decisions.ndim == 1 else decisions
    return -np.mean(log_softmax(logits / T, axis=1)[np.arange(len(labels)), labels])


def temperatures(decisions):
    """Where calibrated logits have root mean squares of 30, which is all but certain, and 0.001, all but chance."""
    logits = np.stack([-decisions / 2, decisions / 2], axis=1) if decisions.ndim == 1 else decisions
    scale = np.sqrt(np.mean((logits - logits.mean(axis=1, keepdims=True)) ** 2))
    return scale / 30, scale / 1e-3


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(4, 300), spread=st.sampled_from([0.1, 1.0, 10.0]))
def test_platts_slope_and_offset_are_those_of_scikit_learn_and_scipy(seed, n, spread):
    from sklearn.calibration import _SigmoidCalibration

    labels, scores = overlapping(seed, n, spread, shift=0.7)
    found = fit_calibration("platt", labels, scores)
    ours = np.array([found.slope, found.offset])
    peer = _SigmoidCalibration().fit(scores, labels)
    assert_allclose(expit(found.apply(scores)), peer.predict(scores), atol=2e-4)
    free = minimize(platts_loss, [0.0, 0.0], (labels, scores), method="Nelder-Mead", options={"xatol": 1e-9})
    for other in (np.array([-peer.a_, -peer.b_]), free.x):
        assert platts_loss(ours, labels, scores) <= platts_loss(other, labels, scores) + 1e-9
    gap = 1e-4 * np.maximum(np.abs(ours), 1e-3)
    for step in (gap * [1, 0], gap * [0, 1]):
        assert platts_loss(ours, labels, scores) < min(platts_loss(ours + s, labels, scores) for s in (step, -step))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(8, 200), k=st.integers(1, 5), spread=st.sampled_from([0.5, 5.0]))
def test_the_temperature_is_where_scipy_finds_the_smallest_log_loss(seed, n, k, spread):
    labels, decisions = overlapping(seed, n, spread) if k == 1 else several(seed, n, k, spread)
    found = fit_calibration("temperature", labels, decisions)
    T, allowed = 1 / found.slope, np.log(temperatures(decisions))
    free = minimize_scalar(lambda log_T: nll(np.exp(log_T), labels, decisions), bounds=allowed, method="bounded")
    assert found.offset == 0
    assert allowed[0] - 1e-9 <= np.log(T) <= allowed[1] + 1e-9
    assert nll(T, labels, decisions) <= free.fun + 1e-12
    assert_allclose(found.apply(decisions), decisions / T)


@settings(max_examples=25, deadline=None)
@given(kind=st.sampled_from(FITTED), seed=st.integers(0, 10_000), scale=st.sampled_from([1e-6, 1e-3, 1e3, 1e6]))
def test_calibrated_probabilities_do_not_depend_on_the_units_of_the_scores(kind, seed, scale):
    labels, scores = overlapping(seed)
    once, scaled = (fit_calibration(kind, labels, s).apply(s) for s in (scores, scale * scores))
    assert_allclose(scaled, once, rtol=1e-6, atol=1e-7)


def test_a_large_offset_of_the_scores_is_found_and_undone():
    labels, scores = overlapping(0)
    expected = fit_calibration("platt", labels, scores).apply(scores)
    assert_allclose(fit_calibration("platt", labels, scores + 1e6).apply(scores + 1e6), expected, atol=1e-6)


@pytest.mark.parametrize("kind", FITTED)
class TestEveryKind:
    def test_lowers_the_log_loss_and_the_calibration_error_of_overconfident_scores(self, kind):
        labels, scores = overlapping(1, n=4000, spread=10.0)
        calibrated = fit_calibration(kind, labels, scores).apply(scores)
        for name in ("log_loss", "brier", "ece"):
            assert metrics.get(name)(labels, calibrated) < 0.8 * metrics.get(name)(labels, scores)
        assert metrics.get("auc")(labels, calibrated) == metrics.get("auc")(labels, scores)
        assert metrics.get("ece")(labels, calibrated) < 0.03

    @pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
    def test_stays_finite_where_the_classes_are_apart(self, kind, scale):
        labels = np.arange(30) % 2
        scores = scale * (2.0 * labels - 1)
        calibrated = fit_calibration(kind, labels, scores).apply(scores)
        assert np.isfinite(calibrated).all()
        assert ((calibrated > 0) == (labels == 1)).all()
        assert np.abs(calibrated).min() > 2

    def test_stays_finite_and_modest_where_the_scores_point_the_wrong_way(self, kind):
        labels = np.arange(30) % 2
        found = fit_calibration(kind, labels, 1 - 2.0 * labels)
        calibrated = found.apply(1 - 2.0 * labels)
        assert metrics.get("log_loss")(labels, calibrated) <= np.log(2) + 2e-3
        assert found.slope < 0 if kind == "platt" else found.slope > 0

    @pytest.mark.parametrize("power", [3, 9])
    def test_converges_on_scores_of_heavy_tails(self, kind, power):
        rng = np.random.default_rng(0)
        for _ in range(20):
            scores = rng.normal(size=100) ** power * 10.0 ** rng.integers(-3, 4)
            labels = (scores + np.median(np.abs(scores)) * rng.normal(size=100) > 0).astype(int)
            calibrated = fit_calibration(kind, labels, scores).apply(scores)
            assert metrics.get("log_loss")(labels, calibrated) <= np.log(2) + 2e-3

    def test_of_constant_scores_gives_constant_probabilities(self, kind):
        labels = np.repeat([0, 1], [30, 10])
        calibrated = fit_calibration(kind, labels, np.full(40, 0.1)).apply(np.full(40, 0.1))
        assert np.ptp(calibrated) == 0
        if kind == "platt":
            assert expit(calibrated[0]) == pytest.approx(np.mean(np.where(labels == 1, 11 / 12, 1 / 32)))

    @pytest.mark.parametrize(("labels", "held"), [([1, 1, 1], "only class 1"), ([0], "only class 0"), ([], "none")])
    def test_refuses_samples_of_one_class_in_one_line(self, kind, labels, held):
        with pytest.raises(ProbeError, match=f"^calibration {kind} needs samples of two classes, there are {held}: "):
            fit_calibration(kind, np.array(labels, dtype=int), np.ones(len(labels)))

    def test_refuses_decisions_that_are_not_finite(self, kind):
        with pytest.raises(ProbeError, match=f"calibration {kind}: 2 decisions are not finite"):
            fit_calibration(kind, np.array([0, 1, 1]), np.array([0.1, np.nan, np.inf]))

    def test_does_not_depend_on_the_order_of_the_samples_or_change_them(self, kind):
        labels, scores = overlapping(2)
        order, before = np.random.default_rng(0).permutation(200), scores.copy()
        one, other = (fit_calibration(kind, labels[rows], scores[rows]) for rows in (slice(None), order))
        assert_allclose([one.slope, one.offset], [other.slope, other.offset], rtol=1e-9, atol=1e-12)
        assert (scores == before).all()

    def test_survives_json(self, kind):
        labels, scores = overlapping(3)
        found = fit_calibration(kind, labels, scores)
        assert Calibration(**json.loads(json.dumps(asdict(found)))) == found


def test_temperature_keeps_the_class_of_every_sample_and_rows_that_sum_to_1():
    labels, logits = several(0)
    calibrated = fit_calibration("temperature", labels, logits).apply(logits)
    assert (calibrated.argmax(axis=1) == logits.argmax(axis=1)).all()
    assert_allclose(probabilities(calibrated).sum(axis=1), 1)


def test_temperature_of_logits_is_that_of_the_log_odds_between_them():
    labels, log_odds = overlapping(4)
    logits = np.stack([5 - log_odds / 2, 5 + log_odds / 2], axis=1)
    expected = fit_calibration("temperature", labels, log_odds)
    assert fit_calibration("temperature", labels, logits).slope == pytest.approx(expected.slope)


def test_logits_that_are_all_alike_keep_a_temperature_of_1():
    assert fit_calibration("temperature", np.arange(6) % 3, np.full((6, 3), 0.1)).slope == 1


def test_platt_of_several_classes_says_to_use_temperature():
    labels, logits = several(1)
    with pytest.raises(ProbeError, match=r"not logits of 4 classes: use temperature\.$"):
        fit_calibration("platt", labels, logits)


def test_no_calibration_leaves_decisions_as_they_are_whatever_the_samples():
    decisions = np.array([0.1, np.nan])
    assert_allclose(fit_calibration("none", np.array([1, 1]), decisions).apply(decisions), decisions)


def test_an_unknown_kind_lists_the_known_ones():
    with pytest.raises(UnknownNameError, match=r"unknown calibration 'plat'\. Did you mean 'platt'"):
        fit_calibration("plat", np.array([0, 1]), np.array([0.0, 1.0]))
