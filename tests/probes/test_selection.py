"""The choice of C."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit.errors import ProbeError, UnknownNameError
from probekit.probes.selection import GRID, selection_record, train_probe


def samples(seed=0, n=120, d=10, shift=1.0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 2
    features = rng.normal(size=(n, d)) + shift * labels[:, None] * (np.arange(d) == 0)
    return features.astype(dtype), labels, np.arange(n) // 2 % 5


def train(features, labels, folds, **changes):
    options = {"probe": "logistic", "condition": "zscore", "widths": (features.shape[1],), "folds": folds}
    return train_probe(features, labels, **options | changes)


@settings(max_examples=15, deadline=None)
@given(scale=st.floats(1e-3, 1e6), shift=st.floats(-10, 10), seed=st.integers(0, 9))
def test_zscored_scores_do_not_depend_on_the_units_of_the_features(scale, shift, seed):
    features, labels, folds = samples(seed, dtype=np.float64)
    plain = train(features, labels, folds, C=0.1).decision_function(features)
    moved = train(features * scale + shift, labels, folds, C=0.1).decision_function(features * scale + shift)
    assert_allclose(moved, plain, rtol=1e-4, atol=1e-5)


def test_signal_free_features_get_a_small_C_and_clear_ones_a_larger_one():
    noise, labels, folds = samples(shift=0.0)
    clear, _, _ = samples(shift=3.0)
    assert train(noise, labels, folds).selection.C < train(clear, labels, folds).selection.C


def test_the_record_says_what_chose_C():
    features, labels, folds = samples()
    probe = train(features, labels, folds)
    record = selection_record({"lama": [probe]})
    assert record["by"] == "5-fold group cross-validation on train"
    assert record["metric"] == "log-loss"
    assert record["condition"] == "zscore"
    assert_allclose(record["grid"], np.logspace(-6, 5, 45))
    assert record["C"] == {"lama": [probe.selection.C]}
    assert record["converged"]
    assert record["probes"][0]["fits"] == 5 * 45


def test_a_given_C_is_used_and_said_to_be_given():
    features, labels, folds = samples()
    probe = train(features, labels, folds, C=0.5)
    assert (probe.selection.C, probe.selection.by, probe.selection.fits) == (0.5, "given", 0)


def test_folds_that_cannot_be_held_out_are_left_out_and_counted():
    features, labels, _ = samples()
    folds = np.where(labels == 1, 0, np.arange(120) // 2 % 2 + 1)  # all fakes in fold 0
    selection = train(features, labels, folds).selection
    assert selection.by.startswith("2-fold")
    assert "1 of 3 folds left out" in selection.by
    assert selection.fits == 2 * len(GRID)


def test_one_group_alone_cannot_select_C():
    features, labels, _ = samples()
    with pytest.raises(ProbeError, match="one group"):
        train(features, labels, np.zeros(120, dtype=int))


def test_groups_of_one_class_each_cannot_select_C():
    features, labels, _ = samples()
    with pytest.raises(ProbeError, match="whichever groups are held out"):
        train(features, labels, labels)


@pytest.mark.parametrize("grid", [(), (0.0, 1.0), (np.nan,)])
def test_a_grid_that_is_empty_or_not_positive_is_refused(grid):
    features, labels, folds = samples()
    with pytest.raises(ProbeError, match="grid"):
        train(features, labels, folds, grid=grid)


def test_unknown_names_are_answered_with_the_nearest():
    features, labels, folds = samples()
    with pytest.raises(UnknownNameError, match="'zscore'"):
        train(features, labels, folds, condition="z-score")
    with pytest.raises(UnknownNameError, match="'logistic'"):
        train(features, labels, folds, probe="logistics")
