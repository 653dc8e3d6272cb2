"""Rows behind an index: it proposes, float64 puts in order, and rows of a query's own group are left out.

A query for which too little is found is compared with every row, so that none stays without an answer that it has.
What an index misses otherwise stays missing: its recall is measured, and belongs beside every number that rests on it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from probekit.arrays import Features, Groups, Int
from probekit.neighbours.engines import Index
from probekit.neighbours.exact import OWN_AT_MOST, SPARE, Gallery, Neighbours, merged
from probekit.neighbours.rows import normalised, pair_cosines, rounding

TRIED = 256  # queries at most that recall is measured with
DEPTH = 10  # k of recall@k, and what a query must find


@dataclass(frozen=True, eq=False)
class IndexedRows:
    """A gallery in an index, searched as `Gallery` is."""

    rows: Features
    """Need not be normalised."""
    groups: Groups
    index: Index
    """Its ids are row numbers."""

    @classmethod
    def of(cls, rows: Features, groups: Groups, engine: str, *, seed: int = 0) -> "IndexedRows":
        """An index of these rows.

        Raises:
            UnknownNameError, UsageError: as `Index.build`.
        """
        return cls(rows, groups, Index.build(rows, np.arange(len(rows)), engine, seed=seed))

    @cached_property
    def exact(self) -> Gallery:
        """The same rows, to be compared with one by one."""
        return Gallery.of(self.rows, self.groups)

    def search(self, queries: Features, k: int, groups: Groups) -> Neighbours:
        """The k nearest rows that are found for each query, none of them of its group; similarities are exact.

        Args:
            queries: one row a query; need not be normalised.
            k: neighbours wanted; where fewer are found, the rest are -1.
            groups: of each query.
        """
        numbered = self.exact.groups
        codes, unit = numbered.of_queries(groups, len(queries)), normalised(queries)
        own = numbered.own(codes)
        depth = min(len(self.rows), k + min(int(own.max(initial=0)), OWN_AT_MOST) + SPARE)
        _, proposed = self.index.search(unit, depth)
        proposed[numbered.codes[proposed] == codes[:, None]] = -1
        found = in_order(unit, proposed, lambda rows: self.exact.rows[rows], k)
        wanted = np.minimum(min(k, DEPTH), len(self.rows) - own)
        lacking = np.flatnonzero((found.indices >= 0).sum(axis=1) < wanted)
        if len(lacking):
            every = self.exact.search(unit[lacking], k, groups[lacking], unit=True)
            found.indices[lacking], found.similarities[lacking] = every.indices, every.similarities
        return found

    def recall(self, queries: Features, groups: Groups, *, seed: int = 0) -> float:
        """recall@10 of `search` on a seeded sample of the queries; NaN where there is nothing to find.

        Args:
            queries: one row a query.
            groups: of each query.
            seed: of the sample.
        """
        drawn = np.random.default_rng(seed).permutation(len(queries))[:TRIED]
        found, exact = (one.search(queries[drawn], DEPTH, groups[drawn]) for one in (self, self.exact))
        there = exact.indices >= 0
        least = np.where(there, exact.similarities, np.inf).min(axis=1, keepdims=True) - rounding(queries.shape[1])
        right = (found.indices >= 0) & (found.similarities >= least)  # a row as near as the last is as good as it
        return float(right.sum() / there.sum()) if there.any() else float("nan")


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
    query, place = np.nonzero(proposed >= 0)
    wanted, which = np.unique(proposed[query, place], return_inverse=True)
    similarities = np.full(proposed.shape, -np.inf, np.float32)
    similarities[query, place] = pair_cosines(queries, query, vectors(wanted), which)
    return merged(Neighbours.none(len(queries), k), Neighbours(proposed, similarities))
