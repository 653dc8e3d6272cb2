"""Trials over blocks: what comes out is that of trials in memory, in the memory that there is for it."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.errors import ProbeError
from probekit.features import FeatureStream
from probekit.protocols import Pool, members, partitions
from probekit.trials import TrainingSet, TrialSettings, run_streamed_trials, run_trials
from tests.trials.studies import chosen, study, where

SIX = tuple("abcdef")


def stream_of(features, memory=1 << 30, read=None):
    """The same features in blocks, in an order of their own."""
    matrix = features.matrix
    order = np.random.default_rng(0).permutation(len(matrix))
    read = read or matrix.__getitem__
    return FeatureStream(
        "clip", features.sources, features.samples, features.widths, pd.DataFrame(), order, read, memory
    )


def asked_of(features, names=("lama", "ldm"), classes=None):
    samples = features.samples
    every = np.ones(len(samples), dtype=bool)
    classes = samples["label"].to_numpy() if classes is None else classes
    asked = [TrainingSet(name, classes, members(samples, Pool.of(name), every)) for name in names]
    return asked, partitions(samples, 0, 0), every


@pytest.mark.parametrize("selection", ["val", "oracle"])
@pytest.mark.parametrize("calibration", ["none", "platt"])
def test_trials_over_blocks_are_those_in_memory(selection, calibration):
    features = study(strength=1.0)
    settings = TrialSettings(probe="ridge", selection=selection, calibration=calibration)
    (asked, divided, every) = asked_of(features)
    expected = list(run_trials(asked, features, divided, every, settings))
    found = list(run_streamed_trials(asked, stream_of(features), divided, every, settings))
    for one, other in zip(found, expected, strict=True):
        assert one.probes[0].selection.record() == {
            **other.probes[0].selection.record(),
            "loss": pytest.approx(other.probes[0].selection.loss),
        }
        assert_allclose(one.decisions, other.decisions, rtol=1e-6)
        assert one.held_out[0].by == other.held_out[0].by
        assert_array_equal(one.held_out[0].rows, other.held_out[0].rows)
        assert_allclose(one.held_out[0].decisions, other.held_out[0].decisions, rtol=1e-6)


@pytest.mark.parametrize("probe", ["ridge", "lda", "logistic"])
def test_what_cannot_be_chosen_is_refused_in_the_same_words(probe):
    features = study()
    features = chosen(features, ~where(features, split="val"))
    asked, divided, every = asked_of(features)
    settings = TrialSettings(probe=probe, selection="val")
    with pytest.raises(ProbeError) as expected:
        list(run_trials(asked, features, divided, every, settings))
    with pytest.raises(ProbeError) as found:
        list(run_streamed_trials(asked, stream_of(features), divided, every, settings))
    assert str(found.value) == str(expected.value)


@pytest.mark.parametrize("calibration", ["none", "platt"])
def test_an_oracle_chosen_without_val_samples_holds_the_same_out(calibration):
    features = study()
    features = chosen(features, ~where(features, split="val"))
    asked, divided, every = asked_of(features)
    settings = TrialSettings(probe="ridge", selection="oracle", calibration=calibration)
    expected = list(run_trials(asked, features, divided, every, settings))
    found = list(run_streamed_trials(asked, stream_of(features), divided, every, settings))
    for one, other in zip(found, expected, strict=True):
        (mine,), (theirs,) = one.held_out, other.held_out
        assert mine.by == theirs.by
        assert_array_equal(mine.rows, theirs.rows)
        assert_allclose(mine.decisions, theirs.decisions, rtol=1e-6)


def rounds(features, memory, settings):
    """How often the first training row is read to fit what is asked, each round once."""
    row, times = int(np.flatnonzero(where(features, generator="real", split="train"))[0]), []

    def read(numbers):
        times.append(row in numbers)
        return features.matrix[numbers]

    asked, divided, every = asked_of(features, SIX)
    list(run_streamed_trials(asked, stream_of(features, memory, read), divided, every, settings))
    return sum(times)


def test_rows_count_too_where_they_are_more_than_matrices():
    features = study(d=7, photos=500, generators=SIX)
    settings = TrialSettings(probe="ridge", C=1.0)
    assert rounds(features, 1 << 30, settings) == 1
    assert rounds(features, 50_000, settings) == 3, "the matrices of one take 2 kB, its rows 18 kB"
    assert rounds(features, 1, settings) == 6
