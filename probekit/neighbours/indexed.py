"""Rows behind an index: it proposes, float64 puts in order, and rows of a query's own group are left out.

A query for which too little is found is compared with every row, so that none stays without an answer that it has.
What an index misses otherwise stays missing: its recall is measured, and belongs beside every number that rests on it.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from probekit.arrays import Features, Groups, Int
from probekit.errors import UsageError
from probekit.neighbours.engines import Index
from probekit.neighbours.exact import OWN_AT_MOST, SPARE, Gallery, Neighbours, merged, search_blocks
from probekit.neighbours.groups import GroupCodes
from probekit.neighbours.rows import normalised, pair_cosines, rounding

TRIED = 256  # queries at most that recall is measured with
DEPTH = 10  # k of recall@k, and what a query must find
FETCHED = 1 << 26  # bytes of proposed rows in memory at once, unless one query has more


@dataclass(frozen=True, eq=False)
class Indexed(ABC):
    """A gallery in an index, searched as `Gallery` is."""

    groups: Groups
    index: Index
    """Its ids are row numbers."""

    @cached_property
    def numbered(self) -> GroupCodes:
        """The groups of the rows."""
        return GroupCodes.of(self.groups, len(self.groups))

    @abstractmethod
    def vectors(self, rows: Int[np.ndarray, " n"]) -> Features:
        """The rows of these numbers, float32 of length 1."""

    @abstractmethod
    def compare(self, queries: Features, k: int, groups: Groups) -> Neighbours:
        """The k nearest of all rows, for queries of length 1: exact."""

    def search(self, queries: Features, k: int, groups: Groups) -> Neighbours:
        """The k nearest rows that are found for each query, none of them of its group; similarities are exact.

        Args:
            queries: one row a query; need not be normalised.
            k: neighbours wanted; where fewer are found, the rest are -1.
            groups: of each query.
        """
        numbered, n = self.numbered, len(self.groups)
        codes, unit = numbered.of_queries(groups, len(queries)), normalised(queries)
        own = numbered.own(codes)
        depth = min(n, k + min(int(own.max(initial=0)), OWN_AT_MOST) + SPARE)
        _, proposed = self.index.search(unit, depth)
        proposed[numbered.codes[proposed] == codes[:, None]] = -1
        found = in_order(unit, proposed, self.vectors, k)
        wanted = np.minimum(min(k, DEPTH), n - own)
        lacking = np.flatnonzero((found.indices >= 0).sum(axis=1) < wanted)
        if len(lacking):
            every = self.compare(unit[lacking], k, groups[lacking])
            found.indices[lacking], found.similarities[lacking] = every.indices, every.similarities
        return found

    def recall(self, queries: Features, groups: Groups) -> float:
        """recall@10 of `search` on these queries, such as `tried` of them; NaN where there is nothing to find."""
        found, exact = self.search(queries, DEPTH, groups), self.compare(normalised(queries), DEPTH, groups)
        there = exact.indices >= 0
        least = np.where(there, exact.similarities, np.inf).min(axis=1, keepdims=True) - rounding(queries.shape[1])
        right = (found.indices >= 0) & (found.similarities >= least)  # a row as near as the last is as good as it
        return float(right.sum() / there.sum()) if there.any() else float("nan")


@dataclass(frozen=True, eq=False)
class IndexedRows(Indexed):
    """Rows in memory."""

    rows: Features
    """Need not be normalised."""

    @classmethod
    def of(cls, rows: Features, groups: Groups, engine: str, *, seed: int = 0) -> "IndexedRows":
        """An index of these rows.

        Raises:
            UnknownNameError, UsageError: as `Index.build`.
        """
        return cls(groups, Index.build(rows, np.arange(len(rows)), engine, seed=seed), rows)

    @cached_property
    def exact(self) -> Gallery:
        """The same rows, to be compared with one by one."""
        return Gallery.of(self.rows, self.groups)

    def vectors(self, rows: Int[np.ndarray, " n"]) -> Features:
        """From memory."""
        found: Features = self.exact.rows[rows]
        return found

    def compare(self, queries: Features, k: int, groups: Groups) -> Neighbours:
        """With all rows at once."""
        return self.exact.search(queries, k, groups, unit=True)


@dataclass(frozen=True, eq=False)
class RowsOnDisk(Indexed):
    """Rows that are larger than memory, in the lists of `ivf` on disk."""

    blocks: Iterable[Features]
    """All rows, a block at a time, whenever they are asked for."""

    @classmethod
    def of(
        cls, blocks: Iterable[Features], groups: Groups, engine: str, folder: Path, *, at_once: int, seed: int = 0
    ) -> "RowsOnDisk":
        """An index of these rows, which stand in the folder as long as they are searched.

        Args:
            blocks: rows, which need not be normalised; gone through several times.
            groups: of all rows.
            engine: `ivf`.
            folder: an empty one.
            at_once: bytes of rows in memory on their way there.
            seed: as in `Index.build`.

        Raises:
            UsageError: another engine, or as `Index.build`.
        """
        if engine != "ivf":
            raise UsageError(f"--index {engine} needs the gallery in memory: take --index ivf, or give more --memory.")
        ids = np.arange(len(groups))
        return cls(groups, Index.build(blocks, ids, engine, seed=seed, folder=folder, at_once=at_once), blocks)

    def vectors(self, rows: Int[np.ndarray, " n"]) -> Features:
        """From the lists."""
        return self.index.rows(rows)

    def compare(self, queries: Features, k: int, groups: Groups) -> Neighbours:
        """With a block at a time."""
        return search_blocks(queries, numbered_blocks(self.blocks, self.groups), k, groups)


def numbered_blocks(blocks: Iterable[Features], groups: Groups) -> Iterator[tuple[int, Features, Groups]]:
    """First row, rows and their groups of each block."""
    first = 0
    for rows in blocks:
        yield first, rows, groups[first : first + len(rows)]
        first += len(rows)


def tried(n: int, seed: int) -> Int[np.ndarray, " m"]:
    """The queries out of n that recall is measured with: a seeded sample."""
    return np.random.default_rng(seed).permutation(n)[:TRIED]


def in_order(
    queries: Features, proposed: Int[np.ndarray, "q m"], vectors: Callable[[Int[np.ndarray, " n"]], Features], k: int
) -> Neighbours:
    """The k nearest of the proposed rows, with exact similarities; among equals the earlier row.

    Args:
        queries: float32 rows of length 1.
        proposed: row numbers, -1 for none.
        vectors: gives the rows of these numbers, float32 of length 1.
        k: neighbours wanted.
    """
    similarities = np.full(proposed.shape, -np.inf, np.float32)
    step = max(1, FETCHED // max(1, 4 * queries.shape[1] * proposed.shape[1]))
    for start in range(0, len(queries), step):
        some = slice(start, start + step)
        query, place = np.nonzero(proposed[some] >= 0)
        wanted, which = np.unique(proposed[some][query, place], return_inverse=True)
        similarities[some][query, place] = pair_cosines(queries[some], query, vectors(wanted), which)
    return merged(Neighbours.none(len(queries), k), Neighbours(proposed, similarities))
