"""Indexes: each engine finds what it says it finds, under the ids it was given, before and after a change."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.errors import StoreCorruptError, StoreError, UnknownNameError, UsageError
from probekit.neighbours import ENGINES, Index, choose_engine, recall_at, search
from probekit.neighbours.engines import available_memory

N, D, FIRST = 10_000, 18, 7  # IVF-PQ learns from 9,984 rows; no whole number of codes of 4 covers 18
LEAST = {"flat": 1.0, "ivf": 0.92, "hnsw": 0.92, "ivfpq": 0.5}


def clouds(seed, n, d=D):
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(size=(50, d))
    return (centres[rng.integers(0, 50, n)] + 0.5 * rng.normal(size=(n, d))).astype(np.float32)


GALLERY, QUERIES = clouds(1, N), clouds(2, 60)
IDS = np.random.default_rng(3).permutation(N) + FIRST


@pytest.fixture(scope="module", params=ENGINES)
def index(request):
    """One of each engine; not to be changed."""
    return Index.build(GALLERY, IDS, request.param)


@pytest.fixture
def own(index, tmp_path):
    """A copy to change."""
    index.write(tmp_path / "own.faiss")
    return Index.read(tmp_path / "own.faiss")


def same_answers(one, other, k=10):
    for a, b in zip(one.search(QUERIES, k), other.search(QUERIES, k), strict=True):
        assert_array_equal(a, b)


def test_each_engine_finds_as_many_of_the_nearest_rows_as_it_says(index):
    measured = recall_at(index, QUERIES, GALLERY, 10, IDS)
    assert measured >= LEAST[index.engine]
    if index.engine == "flat":
        assert index.recall is None
        assert index.effort is None
    else:
        assert measured == pytest.approx(index.recall, abs=0.06)  # other queries
    assert (len(index), index.width, index.device) == (N, D, "cpu")


def test_the_effort_is_the_smallest_that_reaches_the_goal():
    index = Index.build(GALLERY, IDS, "ivf")
    assert index.recall >= 0.95
    assert 1 < index.effort < 256
    effort = index.effort
    index._faiss.nprobe = effort // 2
    assert recall_at(index, QUERIES, GALLERY, 10, IDS) < 0.95


def test_similarities_are_cosines_and_come_highest_first(index):
    similarities, ids = index.search(QUERIES * 1e4, 5)
    assert similarities.dtype == np.float32
    assert ids.dtype == np.int64
    assert (np.diff(similarities, axis=1) <= 0).all()
    position = np.argsort(IDS)
    rows = GALLERY[position[ids - FIRST]].astype(np.float64)
    true = (rows @ QUERIES[:, :, None])[..., 0]
    true /= np.linalg.norm(rows, axis=2) * np.linalg.norm(QUERIES, axis=1)[:, None]
    assert_allclose(similarities, true, atol=1e-6 if index.engine != "ivfpq" else 0.1)


def test_flat_agrees_with_exact_search_row_by_row():
    found = search(QUERIES, GALLERY, 10)
    similarities, ids = Index.build(GALLERY, np.arange(N), "flat").search(QUERIES, 10)
    assert_allclose(similarities, found.similarities, atol=1e-6)
    assert (ids == found.indices).mean() > 0.99  # float32 may swap near ties


def test_an_index_is_the_same_after_its_file(index, tmp_path):
    index.write(tmp_path / "a.faiss")
    for mapped in (False, True):
        found = Index.read(tmp_path / "a.faiss", mapped=mapped)
        assert (found.engine, found.effort, len(found)) == (index.engine, index.effort, N)
        same_answers(found, index)
    assert [path.name for path in tmp_path.iterdir()] == ["a.faiss"]
    with pytest.raises(UsageError, match="cannot be changed"):
        found.add(QUERIES[:1], np.array([1]))


@pytest.mark.parametrize("engine", ["flat", "ivf"])
def test_blocks_make_the_same_index_as_the_whole(engine):
    blocks = [GALLERY[:4000], GALLERY[4000:4000], GALLERY[4000:]]
    same_answers(Index.build(blocks, IDS, engine), Index.build(GALLERY, IDS, engine))


def test_another_seed_makes_another_partition():
    one, same, other = (Index.build(GALLERY, IDS, "ivf", seed=seed) for seed in (0, 0, 1))
    same_answers(one, same, 100)
    assert (one.search(QUERIES, 100)[1] != other.search(QUERIES, 100)[1]).any()


def test_added_rows_are_found_under_their_ids(own):
    own.add(QUERIES, np.arange(60) + 1_000_000)
    assert len(own) == N + 60
    found = own.search(QUERIES, 3)[1]
    assert (found == np.arange(60)[:, None] + 1_000_000).any(axis=1).mean() >= 0.9
    own.add(QUERIES[:0], np.arange(0))
    assert len(own) == N + 60


def test_removed_rows_are_not_found_and_the_others_keep_their_ids(own):
    if own.engine == "hnsw":
        with pytest.raises(UsageError, match="hnsw cannot remove rows"):
            own.remove(IDS[:1])
        return
    before = own.search(QUERIES, 20)[1]
    gone = np.unique(before[:, ::2])
    assert own.remove(np.append(gone, 10**9)) == len(gone)
    assert len(own) == N - len(gone)
    after = own.search(QUERIES, 10)[1]
    assert not np.isin(after, gone).any()
    for was, now in zip(before, after, strict=True):
        kept = was[~np.isin(was, gone)][:10]
        assert_array_equal(now[: len(kept)], kept)


@pytest.mark.parametrize("engine", ["flat", "hnsw", "ivf"])
def test_few_rows_are_padded(engine):
    similarities, ids = Index.build(np.eye(3, dtype=np.float32), np.arange(3), engine).search(np.ones((2, 3)), 5)
    assert_array_equal(np.sort(ids, axis=1), [[-1, -1, 0, 1, 2]] * 2)
    assert np.isneginf(similarities[:, 3:]).all()


@pytest.mark.parametrize("engine", ["flat", "hnsw"])
def test_an_index_may_begin_empty(engine):
    index = Index.build(np.empty((0, 4), np.float32), np.arange(0), engine)
    assert_array_equal(index.search(np.ones((1, 4), np.float32), 2)[1], [[-1, -1]])
    index.add(np.eye(4, dtype=np.float32), np.arange(4) + 5)
    assert index.search(np.eye(4, dtype=np.float32)[2:3], 1)[1].item() == 7


def test_a_search_leaves_its_queries_alone(index):
    before = QUERIES.copy()
    index.search(QUERIES, 2)
    assert_array_equal(QUERIES, before)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"engine": "annoy"}, UnknownNameError, "choose from flat, ivf, hnsw, ivfpq"),
        ({"engine": "ivfpq"}, UsageError, "at least 9,984 rows and there are 4"),
        ({"engine": "ivf", "blocks": np.empty((0, 4), np.float32), "ids": np.arange(0)}, UsageError, "choose flat"),
        ({"ids": np.arange(3)}, UsageError, "ids for 4 rows"),
        ({"ids": np.arange(5)}, UsageError, "5 ids for 4 rows"),
        ({"ids": np.zeros(4, int)}, UsageError, "an id is given twice"),
        ({"ids": np.arange(4) - 1}, UsageError, "-1 is no id"),
        ({"blocks": iter([np.eye(4)])}, UsageError, "several times"),
        ({"blocks": []}, UsageError, "not one block"),
        ({"blocks": [np.eye(4)[:2], np.eye(3)[:2]]}, UsageError, "3 features and the first one 4"),
        ({"device": "tpu"}, UsageError, "'tpu' is no device"),
        ({"device": "cuda:64"}, UsageError, "search on cpu"),
    ],
)
def test_an_index_that_cannot_be_built_says_why(change, error, message):
    asked = {"blocks": np.eye(4, dtype=np.float32), "ids": np.arange(4), "engine": "flat"} | change
    with pytest.raises(error, match=message):
        Index.build(**asked)


def test_rows_that_do_not_fit_an_index_are_refused():
    index = Index.build(np.eye(4, dtype=np.float32), np.arange(4), "flat")
    with pytest.raises(UsageError, match="rows have 3 features and the index 4"):
        index.search(np.eye(3), 1)
    with pytest.raises(UsageError, match="rows have 3 features and the index 4"):
        index.add(np.eye(3), np.arange(3))
    with pytest.raises(UsageError, match="2 ids for 4 rows"):
        index.add(np.eye(4), np.arange(2))
    with pytest.raises(UsageError, match="k is 0"):
        index.search(np.eye(4), 0)


def test_files_that_are_no_index_of_ours_are_refused(tmp_path):
    import faiss

    with pytest.raises(StoreError, match="there is no index at"):
        Index.read(tmp_path / "none")
    (tmp_path / "noise").write_bytes(b"IxFI" + bytes(20))
    with pytest.raises(StoreCorruptError, match="cannot be read"):
        Index.read(tmp_path / "noise")
    for other in (faiss.IndexFlatL2(3), faiss.IndexFlatIP(3), faiss.IndexLSH(3, 4)):
        faiss.write_index(other, str(tmp_path / "other"))
        with pytest.raises(StoreCorruptError, match="none of flat, ivf, hnsw, ivfpq"):
            Index.read(tmp_path / "other")


@pytest.mark.parametrize(
    ("n", "d", "gib", "engine"),
    [
        (1000, 768, 16, "flat"),
        (349_525, 768, 16, "flat"),
        (349_526, 768, 16, "ivf"),
        (2_000_000, 768, 16, "ivf"),
        (3_000_000, 768, 16, "ivfpq"),
        (0, 768, 16, "flat"),
    ],
)
def test_an_engine_is_chosen_by_size_and_memory(n, d, gib, engine):
    assert choose_engine(n, d, memory=gib << 30) == engine


def test_memory_is_asked_of_the_system_where_it_is_not_given():
    assert 1 << 20 < available_memory() < 1 << 60
    assert choose_engine(1 << 40, 1 << 20) == "ivfpq"


@pytest.mark.gpu
@pytest.mark.parametrize("engine", ["flat", "ivf"])
def test_a_gpu_finds_what_the_cpu_finds_and_keeps_the_same_file(engine, tmp_path):
    index = Index.build(GALLERY, IDS, engine)
    there = index.to("cuda:0")
    assert recall_at(there, QUERIES, GALLERY, 10, IDS) == pytest.approx(
        recall_at(index, QUERIES, GALLERY, 10, IDS), abs=0.01
    )
    there.write(tmp_path / "a.faiss")
    same_answers(Index.read(tmp_path / "a.faiss"), index)
