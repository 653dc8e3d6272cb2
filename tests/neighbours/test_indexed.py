"""Rows behind an index: exact similarities, never a row of a query's own group, and no query without an answer."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.arrays import unit_rows
from probekit.neighbours import IndexedRows, indexed, search
from probekit.neighbours.indexed import in_order
from tests.neighbours.test_engines import clouds

ROWS, QUERIES = clouds(5, 3000), clouds(6, 150)
GROUPS = np.array([f"g{row // 4}" for row in range(len(ROWS))], dtype=object)
ASKED = GROUPS[::20]


@pytest.mark.parametrize("engine", ["flat", "ivf", "hnsw"])
def test_what_an_index_finds_is_put_in_the_order_of_exact_search(engine):
    found = IndexedRows.of(ROWS, GROUPS, engine).search(QUERIES, 10, ASKED)
    exact = search(QUERIES, ROWS, 10, ASKED, GROUPS)
    same = found.indices == exact.indices
    assert same.mean() > (0.999 if engine == "flat" else 0.7)
    assert_allclose(found.similarities[same], exact.similarities[same], rtol=0, atol=0)
    assert (np.diff(found.similarities, axis=1) <= 0).all()
    assert (GROUPS[found.indices] != ASKED[:, None]).all()


@pytest.mark.parametrize("engine", ["ivf", "hnsw"])
def test_a_query_whose_large_group_hides_all_others_is_compared_with_every_row(engine):
    groups = np.array(["video" if row < 2000 else f"g{row}" for row in range(len(ROWS))], dtype=object)
    asked = np.full(20, "video", dtype=object)
    found = IndexedRows.of(ROWS, groups, engine).search(ROWS[:20], 5, asked)
    exact = search(ROWS[:20], ROWS, 5, asked, groups)
    assert (found.indices >= 2000).all()
    assert_array_equal(found.indices[:, 0], exact.indices[:, 0])


def test_a_query_that_has_no_admissible_row_finds_nothing():
    groups = np.full(len(ROWS), "one", dtype=object)
    found = IndexedRows.of(ROWS, groups, "ivf").search(QUERIES[:3], 4, groups[:3])
    assert_array_equal(found.indices, -1)
    assert_array_equal(found.similarities, -np.inf)


def test_recall_is_that_of_admissible_rows_and_repeats():
    indexed = IndexedRows.of(ROWS, GROUPS, "ivf")
    recalls = {indexed.recall(QUERIES, ASKED) for _ in range(2)}
    assert len(recalls) == 1
    found = indexed.search(QUERIES, 10, ASKED).indices
    exact = search(QUERIES, ROWS, 10, ASKED, GROUPS).indices
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(found, exact, strict=True)])
    assert recalls.pop() == pytest.approx(shared)
    assert shared < 1
    assert IndexedRows.of(ROWS, GROUPS, "flat").recall(QUERIES, ASKED) == 1


def test_proposed_rows_are_fetched_for_some_queries_at_a_time(monkeypatch):
    rng = np.random.default_rng(0)
    rows, queries = (unit_rows(rng.normal(size=(n, 8))).astype(np.float32) for n in (200, 30))
    proposed = rng.permuted(np.tile(np.arange(200), (30, 1)), axis=1)[:, :12]
    proposed[:, 10:] = -1
    whole = in_order(queries, proposed, lambda wanted: rows[wanted], 5)
    fetched = []

    def fetch(wanted):
        fetched.append(len(wanted))
        return rows[wanted]

    monkeypatch.setattr(indexed, "FETCHED", 3 * 12 * 8 * 4)  # three queries' worth
    some = in_order(queries, proposed, fetch, 5)
    assert_array_equal(some.indices, whole.indices)
    assert some.similarities.tobytes() == whole.similarities.tobytes()
    assert len(fetched) == 10
    assert max(fetched) <= 30
