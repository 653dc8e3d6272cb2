"""All pairs above a similarity, against all cosines in float64."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from probekit.arrays import unit_rows
from probekit.errors import UsageError
from probekit.neighbours import across, pairs_above, ranges


def cosines(a, b):
    return np.vecdot(*(unit_rows(x).astype(np.float32).astype(np.float64) for x in (a, b)))


def reference(pairs, similarity):
    """Pairs of (i, j, row, row) that reach a similarity, most similar first."""
    rows = [(i, j, np.float32(cosines(a[None], b[None])[0])) for i, j, a, b in pairs]
    kept = sorted((row for row in rows if row[2] >= similarity - 2.5e-7), key=lambda row: (-row[2], row[0], row[1]))
    return pd.DataFrame(kept, columns=["i", "j", "similarity"])


def near_copies(seed, n, d=5):
    rng = np.random.default_rng(seed)
    few = rng.normal(size=(max(1, n // 3), d))
    return (few[rng.integers(0, len(few), n)] + rng.integers(0, 2, (n, 1)) * rng.normal(size=(n, d)) * 0.1).astype("f4")


def agree(found, expected):
    assert_array_equal(found[["i", "j"]], expected[["i", "j"]].to_numpy(dtype=np.int64))
    assert_allclose(found["similarity"], expected["similarity"].to_numpy(dtype=np.float32), rtol=0, atol=1e-7)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Several blocks of queries and of rows."""
    monkeypatch.setattr(ranges, "QUERIES_AT_ONCE", 5)
    monkeypatch.setattr(ranges, "ROWS_AT_ONCE", 7)


@given(seed=st.integers(0, 99), n=st.integers(0, 25), similarity=st.sampled_from([-1.0, 0.0, 0.5, 0.9, 1.0]))
@settings(max_examples=40, deadline=None)
def test_pairs_within_a_set_are_those_of_all_cosines_each_once_and_none_with_itself(seed, n, similarity):
    rows, groups = near_copies(seed, max(n, 1))[:n], np.random.default_rng(seed).integers(0, 8, n)
    every = [(i, j, rows[i], rows[j]) for i in range(n) for j in range(i + 1, n)]
    agree(pairs_above(rows, None, similarity), reference(every, similarity))
    apart = [pair for pair in every if groups[pair[0]] != groups[pair[1]]]
    agree(pairs_above(rows, groups, similarity), reference(apart, similarity))


@given(seed=st.integers(0, 99), q=st.integers(0, 12), n=st.integers(0, 20))
@settings(max_examples=40, deadline=None)
def test_pairs_across_two_sets_are_those_of_all_cosines(seed, q, n):
    queries, gallery = near_copies(seed, max(q, 1))[:q], near_copies(seed, max(n, 1))[:n]
    rng = np.random.default_rng(seed)
    query_groups, gallery_groups = rng.integers(0, 4, q), rng.integers(0, 4, n)
    every = [(i, j, queries[i], gallery[j]) for i in range(q) for j in range(n)]
    agree(across(queries, gallery, 0.8), reference(every, 0.8))
    apart = [pair for pair in every if query_groups[pair[0]] != gallery_groups[pair[1]]]
    agree(across(queries, gallery, 0.8, query_groups, gallery_groups), reference(apart, 0.8))


@pytest.mark.parametrize("d", [3, 769])
def test_copies_of_any_length_reach_a_similarity_of_one(d):
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, d)).astype(np.float32)
    copies = np.concatenate([rows, rows * rng.uniform(1e-3, 1e6, (40, 1)).astype(np.float32)])
    found = pairs_above(copies, None, 1.0)
    assert_array_equal(np.sort(found["i"]), np.arange(40))
    assert_array_equal(found["j"], found["i"] + 40)


def test_a_table_of_too_many_pairs_is_refused_before_it_fills_the_memory():
    rows = np.ones((30, 3), np.float32)
    assert len(pairs_above(rows, None, 0.9, most=435)) == 435
    with pytest.raises(UsageError, match="more than 434 pairs reach a similarity"):
        pairs_above(rows, None, 0.9, most=434)


@pytest.mark.parametrize("similarity", [1.01, -2, float("nan")])
def test_what_is_no_cosine_is_no_threshold(similarity):
    with pytest.raises(UsageError, match="is no cosine"):
        pairs_above(np.ones((2, 3), np.float32), None, similarity)


def test_sets_of_different_widths_cannot_be_compared():
    with pytest.raises(UsageError, match="2 features and gallery rows 3"):
        across(np.ones((1, 2), np.float32), np.ones((1, 3), np.float32), 0.5)
