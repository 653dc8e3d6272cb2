"""Videos from frames: against pandas, and keys that never merge two videos."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit.errors import UsageError
from probekit.metrics.aggregate import aggregate, composite

WAYS = {
    "mean": lambda scores: scores.mean(),
    "max": lambda scores: scores.max(),
    "top1": lambda scores: scores.max(),
    "top3": lambda scores: scores.nlargest(3).mean(),
    "top5": lambda scores: scores.nlargest(5).mean(),
}


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(1, 80), videos=st.integers(1, 20), how=st.sampled_from(list(WAYS)))
def test_each_way_is_that_of_pandas_in_order_of_appearance(seed, n, videos, how):
    rng = np.random.default_rng(seed)
    units, scores = np.array([f"v{i}" for i in rng.integers(videos, size=n)]), rng.integers(9, size=n) / 10
    found = aggregate(scores, units, how)
    grouped = pd.DataFrame({"unit": units, "score": scores, "row": np.arange(n)}).groupby("unit", sort=False)
    assert_allclose(found.scores, grouped["score"].agg(WAYS[how]))
    assert found.first.tolist() == grouped["row"].first().tolist()
    assert found.frames.tolist() == grouped.size().tolist()
    assert units[found.first].tolist() == list(grouped.groups)


def test_the_order_of_the_frames_changes_no_score():
    rng = np.random.default_rng(0)
    scores, units = rng.normal(size=100), rng.integers(7, size=100)
    order = rng.permutation(100)
    one, other = aggregate(scores, units, "mean"), aggregate(scores[order], units[order], "mean")
    by_name = dict(zip(units[order][other.first], other.scores, strict=True))
    assert [by_name[unit] for unit in units[one.first]] == one.scores.tolist()


def test_logits_of_several_classes_have_a_mean_and_nothing_else():
    logits, units = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 5
    expected = np.stack([logits[units == unit].mean(axis=0) for unit in range(5)])
    assert_allclose(aggregate(logits, units, "mean").scores, expected)
    for how in ("max", "top5"):
        with pytest.raises(UsageError, match=r"these are logits of 4 classes: use mean\.$"):
            aggregate(logits, units, how)


@pytest.mark.parametrize("how", ["top0", "top", "median", "top-3", ""])
def test_an_unknown_way_lists_the_known_ones(how):
    with pytest.raises(UsageError, match=r"unknown aggregation .* Known: mean .*; max .*; topK"):
        aggregate(np.zeros(3), np.arange(3), how)


def test_no_frames_make_no_videos():
    found = aggregate(np.zeros(0), np.array([], dtype=object), "top5")
    assert len(found.scores) == len(found.first) == len(found.frames) == 0
    assert aggregate(np.zeros((0, 3)), np.array([], dtype=object), "mean").scores.shape == (0, 3)


def test_the_callers_scores_stay_as_they_are():
    scores = np.array([3.0, 1.0, 2.0])
    aggregate(scores, np.array(["a", "b", "a"]), "top1")
    assert scores.tolist() == [3, 1, 2]


def test_a_real_video_and_a_fake_one_of_the_same_folder_name_are_two():
    table = pd.DataFrame(
        {
            "generator": ["real", "real", "vqgan", "vqgan"],
            "domain": "ff",
            "folder": ["frames/440"] * 4,
        }
    )
    units = composite(table, ["generator", "domain", "folder"])
    assert aggregate(np.arange(4.0), units, "mean").scores.tolist() == [0.5, 2.5]
    assert len(set(composite(table, ["folder"]))) == 1
    assert units[0] == '["real", "ff", "frames/440"]'


@given(rows=st.lists(st.tuples(st.text('a",[/\\é ', max_size=3), st.text('a",[/\\é ', max_size=3)), min_size=1))
def test_keys_are_equal_only_where_every_part_is(rows):
    keys = composite(pd.DataFrame(rows, columns=["one", "two"]), ["one", "two"])
    assert len(set(keys)) == len(set(rows)) == len(set(zip(keys, rows, strict=True)))


def test_a_column_that_is_missing_or_has_gaps_is_named():
    table = pd.DataFrame({"video": ["a", None, "b"], "frame": [1, 2, 3]})
    with pytest.raises(UsageError, match=r"no column 'clip'\. Known: video, frame\."):
        composite(table, ["frame", "clip"])
    with pytest.raises(UsageError, match="1 of 3 rows have no 'video', the first is row 1"):
        composite(table, ["frame", "video"])
    with pytest.raises(UsageError, match="at least one column"):
        composite(table, [])
