"""Nearest neighbours against a float64 sort of everything."""

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from probekit.arrays import unit_rows
from probekit.errors import UsageError
from probekit.neighbours import Gallery, Neighbours, search, search_blocks, similarity_blocks


def reference(queries, gallery, k, query_groups, gallery_groups):
    """Rows and cosines by sorting all of them in float64, one query at a time."""
    unit = [unit_rows(x).astype(np.float32).astype(np.float64) for x in (queries, gallery)]
    rows = np.full((len(queries), k), -1)
    values = np.full((len(queries), k), -np.inf)
    for q, query in enumerate(unit[0]):
        cosines = [
            (-np.float32(query @ row), g) for g, row in enumerate(unit[1]) if gallery_groups[g] != query_groups[q]
        ]
        for place, (negative, g) in enumerate(sorted(cosines)[:k]):
            rows[q, place], values[q, place] = g, -negative
    return rows, values


def clouds(seed, n, d=6, duplicates=True):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(n, d)).astype(np.float32)
    return features[rng.integers(0, n, n)] if duplicates else features


@given(
    seed=st.integers(0, 99),
    n=st.integers(1, 40),
    q=st.integers(1, 8),
    k=st.integers(1, 50),
    n_groups=st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_search_equals_a_sort_of_all_admissible_rows_even_with_duplicates(seed, n, q, k, n_groups):
    rng = np.random.default_rng(seed)
    gallery = clouds(seed, n)
    queries = np.concatenate([gallery, clouds(seed + 1, q)])[:q]
    query_groups, gallery_groups = rng.integers(0, n_groups, q), rng.integers(0, n_groups, n)
    rows, values = reference(queries, gallery, k, query_groups, gallery_groups)
    found = search(queries, gallery, k, query_groups, gallery_groups)
    assert_array_equal(found.indices, rows)
    assert_allclose(found.similarities, values, rtol=0, atol=1e-7)


def test_a_query_whose_own_group_fills_the_first_fetch_still_gets_its_neighbours():
    rng = np.random.default_rng(0)
    own = np.array([1.0, 0, 0]) + rng.normal(size=(900, 3)) * 1e-3
    others = np.array([0.0, 1, 0]) + rng.normal(size=(300, 3)) * 1e-1
    gallery = np.concatenate([own, others]).astype(np.float32)
    groups = np.array(["own"] * 900 + ["other"] * 300)
    queries = np.array([[1.0, 0, 0], [0.0, 1, 0]], dtype=np.float32)
    found = search(queries, gallery, 5, np.array(["own", "neither"]), groups)
    rows, _ = reference(queries, gallery, 5, ["own", "neither"], groups)
    assert_array_equal(found.indices, rows)
    assert (found.indices[0] >= 900).all()


@given(
    seed=st.integers(0, 99),
    n=st.integers(0, 40),
    k=st.integers(1, 50),
    cuts=st.lists(st.integers(0, 40), max_size=4),
    grouped=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_a_gallery_that_streams_by_gives_the_same_bits_as_the_whole_in_any_order_of_its_blocks(
    seed, n, k, cuts, grouped
):
    rng = np.random.default_rng(seed)
    gallery, queries = clouds(seed, max(n, 1), d=19)[:n], clouds(seed + 1, 7, d=19)
    groups = rng.integers(0, 5, n) if grouped else None
    query_groups = rng.integers(0, 6, 7) if grouped else None
    edges = np.unique(np.clip([0, *cuts, n], 0, n))
    blocks = [(int(a), gallery[a:b], None if groups is None else groups[a:b]) for a, b in itertools.pairwise(edges)]
    blocks = [blocks[i] for i in rng.permutation(len(blocks))]
    streamed = search_blocks(queries, iter(blocks), k, query_groups)
    whole = search(queries, gallery, k, query_groups, groups)
    assert_array_equal(streamed.indices, whole.indices)
    assert_array_equal(streamed.similarities, whole.similarities)


@given(seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_the_order_of_gallery_rows_changes_no_similarity(seed):
    gallery, queries = clouds(seed, 50, d=33), clouds(seed + 1, 5, d=33)
    order = np.random.default_rng(seed).permutation(50)
    one, other = search(queries, gallery, 9), search(queries, gallery[order], 9)
    assert_array_equal(one.similarities, other.similarities)
    assert_array_equal(np.asfortranarray(gallery)[one.indices], gallery[order][other.indices])


def test_a_prepared_gallery_answers_like_search_every_time_it_is_asked():
    gallery, queries = clouds(8, 300), clouds(9, 20)
    groups, query_groups = np.arange(300) // 3, np.arange(20)
    prepared = Gallery.of(gallery, groups)
    whole = search(queries, gallery, 5, query_groups, groups)
    for some in (slice(0, 7), slice(7, 20), slice(0, 20)):
        found = prepared.search(queries[some], 5, query_groups[some])
        assert_array_equal(found.indices, whole.indices[some])
        assert_array_equal(found.similarities, whole.similarities[some])
    assert len(prepared) == 300


def test_rows_that_float32_sums_badly_are_still_ranked_by_float64():
    rng = np.random.default_rng(2)  # all cosines within 1e-6 of each other: less than float32 gets wrong at this width
    gallery = (0.1 + rng.normal(size=(600, 2048)) * 1e-4).astype(np.float32)
    queries = np.full((25, 2048), 0.1, np.float32) + rng.normal(size=(25, 2048)).astype(np.float32) * 1e-4
    rows, values = reference(queries, gallery, 5, np.full(25, -1), np.arange(600))
    found = search(queries, gallery, 5)
    assert_array_equal(found.indices, rows)
    assert_allclose(found.similarities, values, rtol=0, atol=1e-7)


def test_the_layout_of_an_array_in_memory_changes_nothing():
    gallery, queries = clouds(3, 90, d=40), clouds(4, 6, d=40)
    one, other = search(queries, gallery, 9), search(np.asfortranarray(queries), np.asfortranarray(gallery), 9)
    assert_array_equal(one.indices, other.indices)
    assert_array_equal(one.similarities, other.similarities)


@pytest.mark.parametrize("n", [1, 7, 2000])
def test_equal_rows_come_in_gallery_order(n):
    gallery = np.full((n, 5), 0.1, dtype=np.float32)
    found = search(gallery[:1], gallery, 4)
    assert_array_equal(found.indices[0], ([0, 1, 2, 3] if n >= 4 else [0, -1, -1, -1]) if n < 7 else [0, 1, 2, 3])


def test_duplicates_scattered_over_a_wide_gallery_tie_exactly():
    rng = np.random.default_rng(1)
    gallery = rng.normal(size=(3001, 769)).astype(np.float32)
    copies = rng.permutation(3001)[:37]
    gallery[copies] = gallery[copies[0]]
    found = search(gallery[copies[:1]] + 0.1, gallery, 20)
    assert_array_equal(found.indices[0], np.sort(copies)[:20])
    assert len(np.unique(found.similarities)) == 1


def test_fewer_admissible_rows_than_k_are_padded_with_minus_one():
    gallery = np.eye(4, dtype=np.float32)
    found = search(gallery, gallery, 6, np.arange(4), np.arange(4))
    assert_array_equal((found.indices >= 0).sum(axis=1), [3, 3, 3, 3])
    assert_array_equal(found.indices[:, 3:], -1)
    assert np.isneginf(found.similarities[:, 3:]).all()
    nothing = search(gallery, gallery, 2, np.zeros(4), np.zeros(4))
    assert_array_equal(nothing.indices, -1)


@pytest.mark.parametrize(("q", "n"), [(0, 3), (3, 0), (0, 0)])
def test_no_queries_or_no_gallery_is_an_empty_answer(q, n):
    found = search(np.zeros((q, 4), np.float32), np.zeros((n, 4), np.float32), 2)
    assert_array_equal(found.indices, np.full((q, 2), -1))


@pytest.mark.parametrize(("scored", "given"), [(100, 1 << 21), (600, 100), (1 << 25, 200)])
def test_similarity_blocks_give_the_same_numbers_as_search(monkeypatch, scored, given):
    monkeypatch.setattr("probekit.neighbours.exact.SCORED_AT_ONCE", scored)
    monkeypatch.setattr("probekit.neighbours.exact.GIVEN_AT_ONCE", given)
    monkeypatch.setattr("probekit.neighbours.exact.FEWEST", 1)
    gallery, queries, groups = clouds(3, 60), clouds(4, 25), np.arange(60) % 7
    found = search(queries, gallery, 60, groups[:25], groups)
    blocks = list(similarity_blocks(queries, gallery, groups[:25], groups))
    assert len(blocks) == -(-25 // (min(scored, given) // 60))
    places = np.concatenate([np.arange(25)[rows] for rows, _ in blocks])
    assert_array_equal(places, np.arange(25))
    everything = np.concatenate([block for _, block in blocks])
    assert_array_equal(np.sort(everything, axis=1)[:, ::-1], found.similarities)


def test_the_nearest_among_similarities_that_are_known_are_those_that_a_search_finds():
    gallery, queries, groups = clouds(3, 60), clouds(4, 25), np.arange(60) % 7
    gallery[20:40] = gallery[0]  # many equals: the earlier row comes first
    for k in (1, 7, 60, 80):
        found = search(queries, gallery, k, groups[:25], groups)
        near = [Neighbours.among(some, k) for _, some in similarity_blocks(queries, gallery, groups[:25], groups)]
        assert_array_equal(np.concatenate([one.indices for one in near]), found.indices)
        assert_array_equal(np.concatenate([one.similarities for one in near]), found.similarities)


def test_where_nothing_is_admissible_nothing_is_near():
    found = Neighbours.among(np.full((2, 3), -np.inf, np.float32), 2)
    assert_array_equal(found.indices, -1)
    assert_array_equal(Neighbours.among(np.empty((2, 0), np.float32), 2).indices, -1)


def test_search_does_not_change_with_the_scale_of_a_row_and_leaves_its_input_alone():
    gallery, queries = clouds(5, 50, duplicates=False), clouds(6, 9)
    before = gallery.copy()
    scales = np.random.default_rng(0).uniform(1e-3, 1e3, size=(50, 1)).astype(np.float32)
    assert_array_equal(search(queries, gallery, 5).indices, search(queries, gallery * scales, 5).indices)
    assert_array_equal(gallery, before)


def test_a_row_of_zeros_is_equally_far_from_everything():
    found = search(np.zeros((1, 3), np.float32), np.eye(3, dtype=np.float32), 3)
    assert_array_equal(found.similarities, 0)


def test_mixed_kinds_of_group_labels_are_compared_by_value():
    gallery = np.eye(3, dtype=np.float32)
    found = search(gallery[:1], gallery, 3, np.array(["7"], object), np.array([7, "7", "x"], object))
    assert_array_equal(found.indices[0], [0, 2, -1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"k": 0}, "k is 0"),
        ({"queries": np.ones((1, 2), np.float32)}, "2 features"),
        ({"gallery_groups": np.arange(3)}, "one side only"),
        ({"query_groups": np.arange(1)}, "one side only"),
        ({"gallery_groups": np.arange(2), "query_groups": np.arange(1)}, "2 groups for 3 gallery rows"),
        ({"gallery_groups": np.arange(3), "query_groups": np.arange(2)}, "2 groups for 1 queries"),
    ],
)
def test_requests_that_cannot_be_answered_say_why(change, message):
    asked = {"queries": np.ones((1, 3), np.float32), "gallery": np.eye(3, dtype=np.float32), "k": 1} | change
    with pytest.raises(UsageError, match=message):
        search(**asked)


@pytest.mark.parametrize("first", ["faiss", "torch"])
def test_faiss_and_torch_compute_in_one_process_in_either_order(first):
    faiss = "from probekit.neighbours import search; x = np.eye(300, 64, dtype='f4'); search(x, x, 5)"
    torch = "import torch; (torch.ones(400, 400) @ torch.ones(400, 400)).sum()"
    order = [faiss, torch, faiss] if first == "faiss" else [torch, faiss, torch]
    code = ";".join(["import numpy as np", *order, "print('both')"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "both", done.stderr


def test_importing_the_module_loads_no_faiss():
    code = "import sys, probekit.neighbours; print('faiss' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"
