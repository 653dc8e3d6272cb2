"""The choice of a condition and of a probe's parameter."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit.errors import ProbeError, UnknownNameError
from probekit.probes import Division
from probekit.probes.calibration import Calibration
from probekit.probes.logistic import LogisticProbe
from probekit.probes.selection import DEFAULT, Choice, fitted, given, select
from probekit.probes.trained import TrainedProbe, selection_record

BY = "5-fold group cross-validation on train"


def samples(seed=0, n=120, d=10, shift=1.0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, d)) + shift * labels[:, None] * (np.arange(d) == 0)
    return features.astype(dtype), labels, np.arange(n) // 2 % 5


def divisions_of(folds):
    tests = [np.flatnonzero(folds == fold) for fold in np.unique(folds)]
    return [Division(test, test) for test in tests]


def choose(features, labels, folds, learned=None, divisions=None, **changes):
    choice = Choice(**{"probe": "logistic", "condition": "zscore"} | changes)
    learned = np.ones(len(labels), dtype=bool) if learned is None else learned
    divisions = divisions_of(folds) if divisions is None else divisions
    return select(choice, features, labels, learned, divisions, widths=(features.shape[1],), by=BY)


def trained(features, labels, selection):
    choice = Choice("logistic", selection.condition)
    condition, probe = fitted(selection, choice, features, (features.shape[1],))
    classifier = probe.fit(condition.apply(features), labels)
    return TrainedProbe("logistic", condition, classifier, selection, Calibration("none"), (60, 60))


def test_signal_free_features_get_a_small_C_and_clear_ones_a_larger_one():
    noise, labels, folds = samples(shift=0.0)
    clear, _, _ = samples(shift=3.0)
    assert choose(noise, labels, folds)[0].value < choose(clear, labels, folds)[0].value


def test_the_record_says_what_chose_C():
    features, labels, folds = samples()
    probe = trained(features, labels, choose(features, labels, folds)[0])
    record = selection_record({"lama": [probe]})
    assert record["by"] == BY
    assert record["metric"] == "log_loss"
    assert record["condition"] == "zscore"
    assert_allclose(record["grid"], np.logspace(-6, 5, 45))
    assert record["C"] == {"lama": [probe.selection.value]}
    assert record["converged"]
    assert record["probes"][0]["fits"] == 5 * 45


def test_a_given_C_is_used_and_said_to_be_given():
    selection = given(Choice("logistic", "zscore", 0.5))
    assert (selection.value, selection.by, selection.fits, selection.default) == (0.5, "given", 0, False)
    assert fitted(selection, Choice("logistic", "zscore", 0.5), np.eye(3), (3,))[1] == LogisticProbe(C=0.5)


def test_the_probes_default_is_said_to_be_one():
    selection = given(Choice("logistic", "best"), f"{DEFAULT}: one group")
    assert (selection.value, selection.condition, selection.default) == (LogisticProbe().C, "zscore", True)


@pytest.mark.parametrize("grid", [(), (0.0, 1.0), (np.nan,), (-1.0,)])
def test_a_grid_that_is_empty_or_not_positive_is_refused(grid):
    features, labels, folds = samples()
    with pytest.raises(ProbeError, match="grid of C"):
        choose(features, labels, folds, grid=grid)


def test_unknown_names_are_answered_with_the_nearest():
    with pytest.raises(UnknownNameError, match="'zscore'"):
        Choice("logistic", "z-score")
    with pytest.raises(UnknownNameError, match="'logistic'"):
        Choice("logistics", "zscore")
    with pytest.raises(UnknownNameError, match="'log_loss'"):
        Choice("logistic", "zscore", criterion="logloss")
