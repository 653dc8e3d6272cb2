"""Recall, against counts by hand; and the search for the least effort."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from probekit.errors import UsageError
from probekit.neighbours import Index, recall_at, search
from probekit.neighbours.blocks import Blocks
from probekit.neighbours.recall import Trial, least_effort
from probekit.neighbours.rows import normalised


class Finds:
    """An index that always finds the same ids."""

    def __init__(self, *ids):
        self.ids = np.array(ids)

    def search(self, queries, k):
        return np.zeros(self.ids[:, :k].shape, np.float32), self.ids[:, :k]


CIRCLE = np.array([[np.cos(a), np.sin(a)] for a in (0, 0.1, 0.1, 0.2, 0.3, 0.4)], np.float32)  # two rows are equal


@pytest.mark.parametrize(
    ("found", "k", "recall"),
    [
        ([0, 1, 2], 3, 1.0),
        ([2, 0, 1], 3, 1.0),  # order does not matter
        ([0, 2], 2, 1.0),  # as near as row 1
        ([0, 3], 2, 0.5),
        ([-1, -1], 2, 0.0),
        ([0, -1, -1], 3, 1 / 3),
        ([5, 4, 3, 2, 1, 0], 9, 1.0),  # k beyond the gallery
    ],
)
def test_recall_counts_rows_that_are_as_near_as_the_kth(found, k, recall):
    assert recall_at(Finds(found), CIRCLE[:1], CIRCLE, k) == pytest.approx(recall)
    shifted = [i + 100 if i >= 0 else -1 for i in found]
    ids = np.arange(6) + 100
    assert recall_at(Finds(shifted), CIRCLE[:1], CIRCLE, k, ids) == pytest.approx(recall)
    order = np.array([3, 1, 5, 0, 2, 4])
    assert recall_at(Finds(shifted), CIRCLE[:1], CIRCLE[order], k, ids[order]) == pytest.approx(recall)


def test_recall_of_nothing_is_not_a_number():
    empty = np.empty((0, 2), np.float32)
    assert math.isnan(recall_at(Finds([-1]), CIRCLE[:1], empty, 1))


def test_an_index_of_other_rows_is_found_out():
    with pytest.raises(UsageError, match="not in the gallery"):
        recall_at(Finds([77]), CIRCLE[:1], CIRCLE, 1)


@given(
    curve=st.lists(st.floats(0, 1), min_size=1, max_size=70).map(sorted), goal=st.floats(0, 1), least=st.integers(1, 20)
)
def test_the_least_effort_is_the_first_of_a_rising_curve_that_reaches_the_goal(curve, goal, least):
    most = least + len(curve) - 1
    reaching = [effort for effort, found in enumerate(curve, least) if found >= goal]
    effort, found = least_effort(lambda effort: curve[effort - least], least, most, goal)
    assert effort == (reaching[0] if reaching else most)
    assert found == curve[effort - least]


def test_a_trial_knows_the_nearest_rows_of_a_gallery_that_goes_by():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(200, 6)).astype(np.float32)
    rows[50:60] = rows[0]
    queries = rows[:3] + 0.01
    trial = Trial.of(normalised(queries), np.arange(200) + 5)
    for start in (0, 90):
        trial.see(normalised(rows[start : start + (110 if start else 90)]))
    expected = search(queries, rows, 50)
    assert_array_equal(trial.exact.indices, expected.indices)
    assert_array_equal(trial.exact.similarities, expected.similarities)
    index = Index.build(rows, np.arange(200) + 5, "flat")
    assert trial.recall(index._faiss, exact_values=True) == 1.0
    assert trial.recall(index._faiss, exact_values=False) == 1.0
    index.remove(expected.indices[:, 0] + 5)
    assert trial.recall(index._faiss, exact_values=True) < 0.95
    assert trial.recall(index._faiss, exact_values=False) < 0.95


def test_a_gallery_of_copies_is_found_whole_with_the_least_effort():
    rows = np.random.default_rng(0).normal(size=(1, 8)).astype(np.float32).repeat(500, axis=0)
    index = Index.build(rows, np.arange(500), "hnsw")
    assert index.recall == 1.0


@given(cut=st.integers(0, 30), positions=st.sets(st.integers(0, 29)))
def test_rows_are_taken_from_blocks_by_their_positions(cut, positions):
    rows = np.eye(30, dtype=np.float32) * 3
    chosen = np.array(sorted(positions), int)
    assert_array_equal(Blocks.of([rows[:cut], rows[cut:]]).take(chosen), np.eye(30, dtype=np.float32)[chosen])
