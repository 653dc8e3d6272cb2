"""Rows behind an index: exact similarities, and never a row of a query's own group."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.neighbours import IndexedRows, search
from tests.neighbours.test_engines import clouds

ROWS = clouds(5, 3000)
HELD, QUERIES = np.arange(0, 3000, 2)[::-1].copy(), np.arange(1, 200, 2)
GROUPS = np.array([f"g{row // 4}" for row in range(len(ROWS))], dtype=object)


@pytest.mark.parametrize("engine", ["flat", "ivf", "hnsw"])
def test_what_an_index_finds_is_put_in_the_order_of_exact_search(engine):
    indexed = IndexedRows.of(ROWS, HELD, GROUPS, engine)
    found = indexed.search(QUERIES, 10)
    exact = search(ROWS[QUERIES], ROWS[HELD], 10, GROUPS[QUERIES], GROUPS[HELD])
    same = found.indices == HELD[exact.indices]
    assert same.mean() > (0.999 if engine == "flat" else 0.7)
    assert_allclose(found.similarities[same], exact.similarities[same], rtol=0, atol=1e-6)
    assert (np.diff(found.similarities, axis=1) <= 0).all()
    assert (GROUPS[found.indices] != GROUPS[QUERIES][:, None]).all()


def test_a_part_of_the_rows_can_be_searched_and_fewer_than_k_are_padded():
    indexed = IndexedRows.of(ROWS, HELD, GROUPS, "ivf")
    among = np.array([0, 2, 4, 6])
    found = indexed.search(np.array([5]), 10, among)  # 4 and 6 are of its group
    assert set(found.indices[0].tolist()) <= {0, 2, -1}
    assert (found.indices[0, 2:] == -1).all()
    assert (found.similarities[0, 2:] == -np.inf).all()


def test_a_query_whose_group_fills_the_gallery_finds_nothing():
    groups = np.full(len(ROWS), "one", dtype=object)
    found = IndexedRows.of(ROWS, HELD, groups, "ivf").search(QUERIES[:3], 4)
    assert_array_equal(found.indices, -1)


def test_recall_is_that_of_the_queries_and_repeats():
    indexed = IndexedRows.of(ROWS, HELD, GROUPS, "ivf")
    recalls = {indexed.recall(QUERIES, HELD, seed=3) for _ in range(2)}
    assert len(recalls) == 1
    assert 0.8 < recalls.pop() <= 1
    assert IndexedRows.of(ROWS, HELD, GROUPS, "flat").recall(QUERIES, HELD) == 1
