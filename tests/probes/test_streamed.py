"""Fits over blocks against the same probes in memory, on awkward columns; and what cannot be streamed."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.errors import ProbeError
from probekit.probes import streamed
from probekit.probes.conditions import fit_condition
from probekit.probes.lda import LDAProbe
from probekit.probes.logistic import LogisticProbe
from probekit.probes.moments import cell_moments
from probekit.probes.ridge import RidgeProbe

CLOSED = [RidgeProbe(C=1e-3), RidgeProbe(C=10.0), LDAProbe(0.0), LDAProbe(0.3)]
PROBES = [*CLOSED, LogisticProbe(C=1e-3), LogisticProbe(C=1.0)]


def awkward(classes: int = 2, n: int = 301, d: int = 12, dtype=np.float32):
    """Overlapping clouds with a constant column of 0.1, a duplicate, one far from 0 and one of another unit."""
    rng = np.random.default_rng(classes + n)
    labels = rng.integers(classes, size=n)
    features = rng.normal(size=(n, d)) + 0.7 * rng.normal(size=(classes, d))[labels]
    features[:, 1] = 0.1
    features[:, 2] = features[:, 3]
    features[:, 4] += 300.0
    features[:, 5] *= 50.0
    return features.astype(dtype), labels


def cut(features, labels, size):
    """The rows in blocks; those of one class first, so that a block may have a single class."""
    order = np.argsort(labels, kind="stable")
    return lambda: ((features[rows], labels[rows]) for rows in np.array_split(order, max(1, len(order) // size)))


def in_memory(probe, features, labels, condition, widths):
    fitted = fit_condition(condition, features, widths)
    return fitted, probe.fit(fitted.apply(features), labels)


@pytest.mark.parametrize("probe", PROBES, ids=str)
@pytest.mark.parametrize("condition", ["raw", "l2", "layernorm", "zscore"])
@pytest.mark.parametrize("size", [7, 1000])
def test_a_fit_over_blocks_decides_as_a_fit_in_memory(probe, condition, size):
    features, labels = awkward()
    fitted, expected = in_memory(probe, features, labels, condition, (5, 7))
    found = streamed.fit(probe, cut(features, labels, size), condition=condition, widths=(5, 7))
    decisions = expected.decision_function(fitted.apply(features))
    tolerance = 1e-4 if probe == LDAProbe(0.0) else 1e-6  # nothing tames dependent columns there
    assert_allclose(found.decision_function(features), decisions, rtol=0, atol=tolerance * np.abs(decisions).max())
    assert found.classifier.converged
    assert found.rows == len(labels)
    assert_allclose(found.condition.scale, fitted.scale, rtol=1e-6)
    assert_allclose(found.condition.shift, fitted.shift, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("probe", [RidgeProbe(), LDAProbe(), LogisticProbe()], ids=str)
@pytest.mark.parametrize("names", [(-1, 1), (3, 7)])
def test_classes_may_have_any_numbers(probe, names):
    features, labels = awkward()
    labels = np.array(names)[labels]
    _, expected = in_memory(probe, features, labels, "raw", (12,))
    found = streamed.fit(probe, cut(features, labels, 40), widths=(12,))
    assert found.classifier.classes.tolist() == list(names)
    assert_array_equal(found.classifier.predict(features), expected.predict(features))


@pytest.mark.parametrize("probe", [RidgeProbe(), LDAProbe(), LogisticProbe()], ids=str)
@pytest.mark.parametrize("condition", ["raw", "zscore"])
def test_features_may_be_integers(probe, condition):
    features, labels = awkward()
    features = np.round(10 * features).astype(np.int64)
    fitted, expected = in_memory(probe, features, labels, condition, (12,))
    found = streamed.fit(probe, cut(features, labels, 40), condition=condition, widths=(12,))
    decisions = expected.decision_function(fitted.apply(features))
    assert_allclose(found.decision_function(features), decisions, rtol=0, atol=1e-6 * np.abs(decisions).max())


@pytest.mark.parametrize("probe", CLOSED, ids=str)
def test_closed_forms_take_any_number_of_classes_in_one_pass(probe):
    features, labels = awkward(classes=4)
    _, expected = in_memory(probe, features, labels, "raw", (12,))
    found = streamed.fit(probe, cut(features, labels, 50), widths=(12,))
    decisions = expected.decision_function(features)
    assert_allclose(found.decision_function(features), decisions, rtol=0, atol=1e-6 * np.abs(decisions).max())
    assert found.passes == 1


def test_fewer_rows_than_columns_are_fitted_alike():
    features, labels = awkward(n=9, d=30, dtype=np.float64)
    for probe in (RidgeProbe(C=2.0), LDAProbe(0.5), LogisticProbe(C=0.5)):
        _, expected = in_memory(probe, features, labels, "raw", (30,))
        found = streamed.fit(probe, cut(features, labels, 2), widths=(30,))
        decisions = expected.decision_function(features)
        assert_allclose(found.decision_function(features), decisions, rtol=0, atol=1e-6 * np.abs(decisions).max())


@pytest.mark.parametrize("scale", [1e-18, 1e18])
def test_lda_of_scaled_columns_sees_them_vary_whatever_their_unit(scale):
    features, labels = awkward(dtype=np.float64)
    features = np.delete(features * scale, [1, 2], axis=1).astype(np.float32)
    fitted, expected = in_memory(LDAProbe(), features, labels, "zscore", (10,))
    found = streamed.fit(LDAProbe(), cut(features, labels, 40), condition="zscore", widths=(10,))
    decisions = expected.decision_function(fitted.apply(features))
    assert_allclose(found.decision_function(features), decisions, rtol=0, atol=1e-6 * np.abs(decisions).max())


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_lda_of_scaled_columns_refuses_classes_of_equal_rows_whatever_their_unit(scale):
    labels = np.arange(300) % 2
    features = scale * np.where(labels[:, None], 0.3, 0.1) * np.ones((300, 10))
    with pytest.raises(ProbeError, match="no variation"):
        streamed.fit(LDAProbe(), cut(features, labels, 7), condition="zscore", widths=(10,))


def test_moments_far_from_zero_lose_nothing():
    rng = np.random.default_rng(0)
    features, labels = rng.normal(size=(1000, 3)) + 1e6, np.arange(1000) % 2
    found = cell_moments(cut(features, labels, 10)())
    moments = found.of_classes(found.cells)
    centred = features - features.mean(axis=0)
    assert_allclose(moments.total, centred.T @ centred, rtol=1e-9, atol=1e-6)
    assert_allclose(moments.mean, features.mean(axis=0), rtol=1e-15)


def test_logistic_meets_the_gradient_that_it_promises():
    features, labels = awkward(dtype=np.float64)
    probe = LogisticProbe(C=0.5)
    found = streamed.fit(probe, cut(features, labels, 40), widths=(12,)).classifier
    margins = features @ found.weights[:, 0] + found.bias[0]
    residuals = 1 / (1 + np.exp(-margins)) - labels
    gradient = features.T @ residuals / 301 + found.weights[:, 0] / (0.5 * 301)
    assert max(np.abs(gradient).max(), abs(residuals.mean())) <= 2 * probe.tol
    assert found.iterations < 60


def test_separable_classes_converge_because_of_the_penalty():
    labels = np.arange(40) % 2
    features = (2.0 * labels - 1)[:, None] * np.array([[1.0, 1e-3]]) + 0.01 * np.arange(40)[:, None]
    found = streamed.fit(LogisticProbe(C=1e3), cut(features, labels, 8), widths=(2,))
    expected = LogisticProbe(C=1e3).fit(features, labels).decision_function(features)
    assert_allclose(found.decision_function(features), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda x, y: (x, np.zeros_like(y)), "only class 0"),
        (lambda x, y: (x, np.full_like(y, 7)), "only class 7"),
        (lambda x, y: (x[:0], y[:0]), "no samples"),
        (lambda x, y: (np.where(np.arange(len(x))[:, None] == 5, np.nan, x), y), "not finite"),
    ],
)
def test_what_teaches_nothing_is_refused(spoil, message):
    features, labels = spoil(*awkward())
    with pytest.raises(ProbeError, match=message):
        streamed.fit(RidgeProbe(), cut(features, labels, 20), widths=(12,))


def test_what_is_not_streamed_says_so():
    features, labels = awkward(classes=3)
    with pytest.raises(ProbeError, match="two classes"):
        streamed.fit(LogisticProbe(), cut(features, labels, 20), widths=(12,))
    with pytest.raises(ProbeError, match="whiten"):
        streamed.fit(RidgeProbe(), cut(features, labels, 20), condition="whiten", widths=(12,))
    with pytest.raises(ProbeError, match="no variation"):
        streamed.fit(LDAProbe(), lambda: [(np.repeat(np.eye(2), 3, axis=0), np.repeat([0, 1], 3))], widths=(2,))


@pytest.mark.parametrize("condition", ["raw", "zscore"])
@pytest.mark.parametrize("shift", [0.0, 1e3, 1e5])
def test_what_is_found_of_a_training_set_does_not_depend_on_the_others(condition, shift):
    features, classes = awkward(classes=4, n=601)
    features[:, 4] -= 300
    features[classes == 2] += np.float32(shift)

    def sweep(*others):
        taught = np.array([np.where(classes == 0, 0, np.where(classes == other, 1, -1)) for other in others])
        known = np.stack([taught[:, classes == name][:, 0] for name in range(4)], axis=1)

        def blocks(wanted):
            return ((features[rows], classes[rows]) for rows in np.array_split(np.flatnonzero(wanted[classes]), 5))

        moments = cell_moments(blocks(np.ones(4, dtype=bool)), {name: name for name in range(4)})
        fits = streamed.Fits.of(LogisticProbe, moments, known, blocks, condition, (12,))
        return fits.sweep([0.1, 10.0, 1e4])[0]

    rows = (classes == 0) | (classes == 1)
    for alone, beside in zip(sweep(1), sweep(1, 2, 3), strict=True):
        (expected, found) = (one.decision_function(features[rows].astype(np.float64)) for one in (alone, beside))
        assert beside.converged
        assert_allclose(found, expected, rtol=0, atol=2e-5 * np.abs(expected).max())
