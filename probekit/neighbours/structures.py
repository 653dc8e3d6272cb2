"""FAISS's structures behind each engine: empty, trained where there is something to learn.

flat    float32 rows, all of which are read
ivf     float32 rows in `nlist` cells of a k-means partition, of which `nprobe` are read
        (Sivic and Zisserman 2003, Video Google)
hnsw    float32 rows and a graph of `M` links each, walked with a list of `efSearch`
        (Malkov and Yashunin 2018, arXiv:1603.09320)
ivfpq   codes of one byte for each 4 numbers, in cells as above
        (Jégou et al. 2011, Product Quantization for Nearest Neighbor Search)
"""

from typing import Protocol

import numpy as np

from probekit.arrays import Features, Float, Int
from probekit.errors import UsageError

ENGINES = ("flat", "ivf", "hnsw", "ivfpq")
TRAINED = ("ivf", "ivfpq")

ROWS_A_CELL = 39  # that k-means learns from; FAISS warns below
MOST_CELLS = 1 << 14
LEARNT_FROM = 1 << 31  # bytes of rows at most that cells are learnt from: room for all of them up to 840 numbers a row
LINKS = 32  # M of HNSW
WALKS = (10, 1024)  # efSearch; it is never below the number of rows that are asked for
NUMBERS_A_CODE = 4
CODES = 256  # centroids that one byte tells apart


class FaissIndex(Protocol):
    """The part of a FAISS index that is used here."""

    d: int
    ntotal: int

    def train(self, rows: Features) -> None:
        """Learn cells and codes."""

    def add_with_ids(self, rows: Features, ids: Int[np.ndarray, " n"]) -> None:
        """Take in rows."""

    def reset(self) -> None:
        """Forget all rows, not what was learnt."""

    def remove_ids(self, ids: Int[np.ndarray, " n"]) -> int:
        """Forget rows; how many."""

    def search(self, queries: Features, k: int) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
        """Inner products and ids."""


def cells(n: int, d: int) -> int:
    """How many cells n rows of d numbers are put into: about 4√n, each with enough rows to be learnt from.

    It depends on nothing else, so that an index is the same in memory and on disk.
    """
    return int(max(1, min(round(4 * n**0.5), n // ROWS_A_CELL, MOST_CELLS, LEARNT_FROM // (4 * d * ROWS_A_CELL))))


def training_rows(engine: str, n: int, d: int) -> int:
    """How many of n rows of d numbers an engine learns from: for codes of ivfpq 9,984 at least, however wide."""
    if engine not in TRAINED:
        return 0
    return min(n, ROWS_A_CELL * max(cells(n, d), CODES if engine == "ivfpq" else 1))


def empty(engine: str, training: Features, n: int, seed: int) -> FaissIndex:
    """A structure for n rows, without any.

    Args:
        engine: one of `ENGINES`.
        training: unit rows to learn from; of flat and hnsw only the width counts.
        n: rows that are to come.
        seed: of k-means and of the graph.

    Raises:
        UsageError: too few rows to learn from.
    """
    import faiss

    d = training.shape[1]
    if engine == "flat":
        flat: FaissIndex = faiss.IndexIDMap2(faiss.IndexFlatIP(d))
        return flat
    if engine == "hnsw":
        graph = faiss.IndexHNSWFlat(d, LINKS, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.rng = faiss.RandomGenerator(seed)
        named: FaissIndex = faiss.IndexIDMap2(graph)
        return named
    fewest = ROWS_A_CELL * CODES if engine == "ivfpq" else 1
    if len(training) < fewest:
        raise UsageError(f"{engine} learns from at least {fewest:,} rows and there are {len(training):,}: choose flat.")
    return _partition(engine, training, cells(n, d), seed)


def _partition(engine: str, training: Features, n_cells: int, seed: int) -> FaissIndex:
    """Trained cells; widths that no whole number of codes covers are filled up with zeros, which change no cosine."""
    import faiss

    d = training.shape[1]
    wide = -(-d // NUMBERS_A_CODE) * NUMBERS_A_CODE if engine == "ivfpq" else d
    coarse = faiss.IndexFlatIP(wide)
    if engine == "ivf":
        index = faiss.IndexIVFFlat(coarse, wide, n_cells, faiss.METRIC_INNER_PRODUCT)
    else:
        index = faiss.IndexIVFPQ(coarse, wide, n_cells, wide // NUMBERS_A_CODE, 8, faiss.METRIC_INNER_PRODUCT)
        index.pq.cp.seed = seed
    index.cp.seed = seed
    index.cp.min_points_per_centroid = 1  # it prints a warning below 39, which a handful of rows cannot heed
    whole = index if wide == d else faiss.IndexPreTransform(faiss.RemapDimensionsTransform(d, wide, False), index)
    whole.train(training)
    trained: FaissIndex = whole
    return trained


def engine_of(index: FaissIndex) -> str | None:
    """Which engine a structure belongs to, wherever it computes; None where it is none of ours."""
    import faiss

    if index.metric_type != faiss.METRIC_INNER_PRODUCT:  # type: ignore[attr-defined]  # every FAISS index has it
        return None
    name = type(_inner(index)).__name__.removeprefix("Gpu")
    known = {"IndexFlatIP": "flat", "IndexFlat": "flat", "IndexHNSWFlat": "hnsw"}
    partitions = {"IndexIVFFlat": "ivf", "IndexIVFPQ": "ivfpq"}
    return (known if hasattr(index, "id_map") else partitions).get(name)


def effort(index: FaissIndex) -> int | None:
    """How much a query is compared with: `nprobe` of ivf and ivfpq, `efSearch` of hnsw; None of flat."""
    inner = _inner(index)
    if hasattr(inner, "hnsw"):
        return int(inner.hnsw.efSearch)
    return int(inner.nprobe) if hasattr(inner, "nprobe") else None


def set_effort(index: FaissIndex, value: int) -> None:
    """Change what `effort` says."""
    inner = _inner(index)
    if hasattr(inner, "hnsw"):
        inner.hnsw.efSearch = value
    else:
        inner.nprobe = value  # type: ignore[attr-defined]  # of a partition


def efforts(index: FaissIndex) -> tuple[int, int]:
    """The least and the most that are worth trying: one cell and all; or lists to walk a graph with."""
    inner = _inner(index)
    return (1, int(inner.nlist)) if hasattr(inner, "nlist") else WALKS


def reconstructed(index: FaissIndex, ids: Int[np.ndarray, " m"]) -> Features:
    """The rows of these ids as `ivf` holds them: those that were added, to the bit. Ids count from 0 without gaps."""
    import faiss

    inner = faiss.extract_index_ivf(index)
    if inner.direct_map.type == faiss.DirectMap.NoMap:
        inner.set_direct_map_type(faiss.DirectMap.Array)
    rows: Features = index.reconstruct_batch(np.ascontiguousarray(ids, np.int64))  # type: ignore[attr-defined]  # of ivf
    return rows


def _inner(index: FaissIndex) -> FaissIndex:
    """The structure without the part that names rows or fills them up."""
    import faiss

    inner: FaissIndex = faiss.downcast_index(index.index) if hasattr(index, "index") else index
    return inner
