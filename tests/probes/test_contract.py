"""What every registered probe keeps to, plug-ins included."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit import probes
from probekit.errors import ProbeError
from probekit.metrics import get as metric
from probekit.probes import Division
from probekit.probes.criteria import CRITERIA


def clouds(seed=0, n=120, d=6, classes=2, shift=1.5, numbers=None):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    features = rng.normal(size=(n, d)) + shift * np.eye(classes, d)[labels]
    return features, labels if numbers is None else np.asarray(numbers)[labels]


def close(found, expected, rtol=1e-2):
    """Equal up to a share of the range of the decisions: iterative fits stop at a tolerance."""
    assert_allclose(found, expected, rtol=0, atol=rtol * max(np.ptp(expected), 1e-6))


def values(kind):
    """The ends and the middle of the grid."""
    return [kind.grid[i] for i in (0, len(kind.grid) // 2, -1)] if kind.parameter else [0.0]


def inner_values(kind):
    """Away from the ends of the grid, where an iterative sweep may stop at once or go on for long."""
    return [kind.grid[len(kind.grid) * i // 4] for i in (1, 2, 3)] if kind.parameter else [0.0]


@pytest.fixture(params=probes.names())
def kind(request):
    return probes.get(request.param)


def test_its_declarations_fit_together(kind):
    assert kind.criterion in CRITERIA
    assert (kind.parameter is None) == (len(kind.grid) == 0)
    if kind.parameter:
        assert len(set(kind.grid)) == len(kind.grid)
        assert getattr(kind.of(kind.grid[0]), kind.parameter) == kind.grid[0]


def test_a_probe_that_declares_no_pytorch_loads_none():
    plain = [name for name in probes.names() if "torch" not in probes.get(name).libraries]
    script = (
        "import sys, numpy as np\n"
        "from probekit import probes\n"
        f"for name in {plain}:\n"
        "    probes.get(name)().fit(np.random.default_rng(0).normal(size=(20, 4)), np.arange(20) % 2)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("classes", [2, 3])
def test_decisions_have_one_column_for_two_classes_and_one_a_class_for_more(kind, classes):
    features, labels = clouds(classes=classes)
    found = kind().fit(features, labels)
    decisions = found.decision_function(features[:7])
    assert decisions.shape == ((7,) if classes == 2 else (7, classes))
    assert found.probabilistic == kind.probabilistic
    assert found.converged
    assert np.array_equal(found.classes, np.arange(classes))


@pytest.mark.parametrize("classes", [2, 3])
def test_clear_classes_are_told_apart(kind, classes):
    features, labels = clouds(classes=classes, shift=8.0)
    fresh, expected = clouds(seed=1, classes=classes, shift=8.0)
    assert np.mean(kind().fit(features, labels).predict(fresh) == expected) > 0.97


@pytest.mark.parametrize("classes", [2, 3])
def test_class_numbers_may_be_any_integers(kind, classes):
    features, labels = clouds(classes=classes)
    names = np.array([-3, 7, 40])[:classes]
    found = kind().fit(features, names[labels])
    assert np.array_equal(found.classes, names)
    assert np.array_equal(found.predict(features), names[kind().fit(features, labels).predict(features)])


def test_probabilities_sum_to_1_and_agree_with_the_decisions(kind):
    if not kind.probabilistic:
        pytest.skip("gives no probabilities")
    features, labels = clouds(classes=3)
    found = kind().fit(features, labels)
    chances = found.predict_proba(features * 100)
    assert_allclose(chances.sum(axis=1), 1.0)
    assert np.array_equal(found.classes[chances.argmax(axis=1)], found.predict(features * 100))


@pytest.mark.parametrize("classes", [2, 3])
def test_the_order_of_the_samples_does_not_matter(kind, classes):
    features, labels = clouds(classes=classes)
    features[5] = features[classes * 10 + 5 % classes]  # two equal rows
    order = np.random.default_rng(3).permutation(len(labels))
    fresh, _ = clouds(seed=1, classes=classes)
    expected = kind().fit(features, labels).decision_function(fresh)
    close(kind().fit(features[order], labels[order]).decision_function(fresh), expected)


def test_renaming_two_classes_turns_the_sign(kind):
    features, labels = clouds()
    expected = kind().fit(features, labels).decision_function(features)
    close(-kind().fit(features, 1 - labels).decision_function(features), expected)


def test_renaming_more_classes_permutes_the_columns(kind):
    features, labels = clouds(classes=3)
    names = np.array([2, 0, 1])
    expected = kind().fit(features, labels).decision_function(features)
    close(kind().fit(features, names[labels]).decision_function(features)[:, names], expected)


@pytest.mark.parametrize("classes", [2, 3])
def test_a_sweep_says_what_the_fits_say(kind, classes):
    features, labels = clouds(n=90, classes=classes, shift=0.7)
    folds = np.arange(90) // classes % 3
    # The second division leaves out more than it scores, the third scores a single row.
    divisions = [
        Division(np.flatnonzero(folds == 0), np.flatnonzero(folds == 0)),
        Division(np.flatnonzero(folds == 1)[::-1], np.flatnonzero(folds != 2)),
        Division(np.array([4]), np.flatnonzero(folds == folds[4])),
    ]
    grid = inner_values(kind)
    sweep = kind.sweep(features, labels, divisions, grid)
    assert sweep.fits == len(divisions) * len(grid)
    for division, found in zip(divisions, sweep.decisions, strict=True):
        rows = division.learned(90)
        refits = [kind.of(value).fit(features[rows], labels[rows]).decision_function(features) for value in grid]
        scale = [np.ptp(refit) for refit in refits]
        expected = np.stack([refit[division.test] for refit in refits])
        assert found.shape == expected.shape
        gap = found - expected
        if classes > 2:  # logits are only defined up to what they share
            gap -= gap.mean(axis=2)[..., None]
        gap = np.abs(gap).reshape(len(grid), -1).max(axis=1)
        assert (gap <= 0.02 * np.array(scale)).all()


def test_refuses_one_class_and_names_it(kind):
    features, labels = clouds()
    with pytest.raises(ProbeError, match="only class 1"):
        kind().fit(features, np.ones_like(labels))


def test_refuses_no_samples(kind):
    with pytest.raises(ProbeError, match="no samples"):
        kind().fit(np.zeros((0, 3)), np.zeros(0, dtype=int))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_refuses_a_feature_that_is_not_finite_and_names_its_row(kind, value):
    features, labels = clouds()
    features[33, 2] = value
    with pytest.raises(ProbeError, match="row 33"):
        kind().fit(features, labels)
    with pytest.raises(ProbeError, match="finite"):
        kind.sweep(features, labels, [Division(np.arange(10), np.arange(10))], values(kind))


def test_leaves_the_callers_arrays_as_they_are(kind):
    features, labels = clouds()
    features.flags.writeable = labels.flags.writeable = False
    before = features.copy()
    kind().fit(features, labels).decision_function(features)
    kind.sweep(features, labels, [Division(np.arange(10), np.arange(10))], values(kind))
    assert np.array_equal(features, before)


def test_learns_nothing_from_shuffled_labels(kind):
    """Held-out AUC of unrelated labels: mean 1/2, variance (n₀ + n₁ + 1)/(12 n₀ n₁) (Mann and Whitney 1947)."""
    features, labels = clouds(n=600, d=20, shift=0.0)
    deviation = np.sqrt(401 / (12 * 200 * 200))
    division = Division(np.arange(400), np.arange(400))
    grid = values(kind)
    for decisions in kind.sweep(features, labels, [division], grid).decisions[0]:
        assert abs(metric("auc")(labels[:400], decisions) - 0.5) < 3 * deviation


def test_constant_and_duplicate_columns_do_no_harm(kind):
    features, labels = clouds(shift=4.0)
    padded = np.hstack([features, features[:, :1], np.full((len(labels), 1), 0.1), np.zeros((len(labels), 1))])
    found = kind().fit(padded, labels)
    assert np.isfinite(found.decision_function(padded)).all()
    assert np.mean(found.predict(padded) == labels) > 0.9


@pytest.mark.parametrize("classes", [2, 3])
def test_more_features_than_samples_are_no_hindrance(kind, classes):
    features, labels = clouds(n=30, d=80, classes=classes, shift=15.0)
    fresh, expected = clouds(seed=1, n=30, d=80, classes=classes, shift=15.0)
    assert np.mean(kind().fit(features, labels).predict(fresh) == expected) > 0.9


def test_features_scaled_a_million_times_give_finite_decisions(kind):
    features, labels = clouds(shift=8.0)
    found = kind().fit(features * 1e6, labels)
    assert np.isfinite(found.decision_function(features * 1e6)).all()
    assert np.mean(found.predict(features * 1e6) == labels) > 0.9


def test_one_sample_in_a_class_is_enough(kind):
    features, labels = clouds(n=41, shift=8.0)
    rows = np.append(np.flatnonzero(labels == 0), 1)
    found = kind().fit(features[rows], labels[rows])
    decisions = found.decision_function(features)
    assert np.isfinite(decisions).all()
    assert metric("auc")(labels, decisions) > 0.9


def test_separable_classes_give_finite_decisions_along_the_whole_grid(kind):
    features, labels = clouds(shift=30.0)
    sweep = kind.sweep(features, labels, [Division(np.arange(20), np.arange(20))], values(kind))
    assert np.isfinite(sweep.decisions[0]).all()
    assert metric("auc")(labels[:20], sweep.decisions[0][-1]) == 1.0


def test_what_it_learns_is_arrays_and_plain_values(kind):
    features, labels = clouds()
    for value in vars(kind().fit(features, labels)).values():
        assert isinstance(value, bool | int | float | str) or (
            isinstance(value, np.ndarray) and value.dtype.kind in "biuf"
        )
