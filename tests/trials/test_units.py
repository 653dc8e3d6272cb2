"""What is scored as one: an image, or all frames of a video."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit.errors import UsageError
from probekit.protocols import partitions
from probekit.trials import TrialSettings, units_of


def frames():
    """A real and a fake video of one name in each of two domains, and one video in the train split."""
    rows = []
    for split, name in (("test", "440"), ("train", "441")):
        for domain in ("ff", "cdf"):
            for generator in ("real", "lama"):
                rows += [(generator, domain, split, name, f"{domain}/{generator}/{name}/{i}.png") for i in range(3)]
    table = pd.DataFrame(rows, columns=["generator", "domain", "split", "group", "path"])
    return table.assign(label=(table["generator"] != "real").astype(int))


def units(samples, **settings):
    every = np.ones(len(samples), dtype=bool)
    return units_of(samples, partitions(samples, 0, 0), every, TrialSettings(**settings))


def test_a_real_and_a_fake_video_of_one_name_and_those_of_two_domains_never_merge():
    found = units(frames(), aggregate="mean")
    assert len(found.table) == 4
    assert set(zip(found.table["domain"], found.table["generator"], strict=True)) == {
        ("ff", "real"), ("ff", "lama"), ("cdf", "real"), ("cdf", "lama")
    }  # fmt: skip
    assert (found.table["frames"] == 3).all()
    assert (found.table["group"] == "440").all()


def test_scores_and_leaks_of_videos_are_those_of_their_frames_whatever_their_order():
    samples = frames()
    order = np.random.default_rng(0).permutation(len(samples))
    values = np.arange(len(samples), dtype=float)
    marked = np.zeros(len(samples), dtype=bool)
    marked[4] = True  # a frame of ff/lama/440
    for rows in (np.arange(len(samples)), order):
        shuffled = samples.iloc[rows].reset_index(drop=True)
        found = units(shuffled, aggregate="mean")
        table = found.table.assign(score=found.combine(values[rows]), leaked=found.any(marked[rows]))
        table = table.set_index(["domain", "generator"])
        assert_allclose(table.loc[[("ff", "real"), ("ff", "lama"), ("cdf", "real"), ("cdf", "lama")], "score"],
                        [1.0, 4.0, 7.0, 10.0])  # fmt: skip
        assert table.index[table["leaked"]].tolist() == [("ff", "lama")]


def test_a_column_tells_apart_videos_of_one_group():
    samples = frames()
    clips = samples.assign(clip=np.arange(len(samples)) % 3)
    assert len(units(clips, aggregate="mean", unit="clip").table) == 12
    missing = clips.assign(clip=clips["clip"].where(clips.index != 4))
    with pytest.raises(UsageError, match="no 'clip'"):
        units(missing, aggregate="mean", unit="clip")


def test_without_aggregation_each_scored_sample_is_its_own():
    samples = frames()
    found = units(samples)
    assert found.table["path"].tolist() == samples.loc[samples["split"] == "test", "path"].tolist()
    assert "frames" not in found.table
    assert found.combine(np.arange(24.0)).tolist() == list(range(12))
