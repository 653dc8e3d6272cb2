"""Rows behind an index: it proposes, float64 puts in order, and rows of a query's own group are left out.

What an index misses stays missing: its recall is measured, and belongs beside every number that rests on it.
"""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Groups, Int
from probekit.neighbours.engines import Index
from probekit.neighbours.exact import OWN_AT_MOST, SPARE, Neighbours
from probekit.neighbours.groups import GroupCodes
from probekit.neighbours.recall import recall_at
from probekit.neighbours.rows import normalised, pair_cosines

TRIED = 256  # queries at most that recall is measured with
DEPTH = 10  # k of recall@k


@dataclass(frozen=True, eq=False)
class IndexedRows:
    """Rows that are found by their row number, approximately."""

    index: Index
    """Its ids are row numbers."""
    rows: Features
    """All rows; the index may hold some of them. Need not be normalised."""
    groups: GroupCodes
    """Of all rows."""

    @classmethod
    def of(
        cls, rows: Features, held: Int[np.ndarray, " n"], groups: Groups, engine: str, *, seed: int = 0
    ) -> "IndexedRows":
        """An index of the rows `held`.

        Raises:
            UnknownNameError, UsageError: as `Index.build`.
        """
        return cls(Index.build(rows[held], held, engine, seed=seed), rows, GroupCodes.of(groups, len(rows)))

    def search(self, queries: Int[np.ndarray, " q"], k: int, among: Int[np.ndarray, " m"] | None = None) -> Neighbours:
        """The k nearest rows that are found for each query, none of them of its group; similarities are exact.

        Args:
            queries: row numbers.
            k: neighbours wanted; where fewer are found, the rest are -1.
            among: row numbers that may be found; all that the index holds, unless given.
        """
        codes = self.groups.codes[queries]
        own = min(int(self.groups.own(codes).max(initial=0)), OWN_AT_MOST)
        depth = min(len(self.index), k + own + SPARE)
        _, proposed = self.index.search(self.rows[queries], depth, among)
        proposed[self.groups.codes[proposed] == codes[:, None]] = -1
        query, place = np.nonzero(proposed >= 0)
        wanted, which = np.unique(proposed[query, place], return_inverse=True)
        similarities = np.full(proposed.shape, -np.inf, np.float32)
        similarities[query, place] = pair_cosines(
            normalised(self.rows[queries]), query, normalised(self.rows[wanted]), which
        )
        order = np.lexsort((proposed, -similarities))[:, :k]
        best = Neighbours.none(len(queries), k)
        best.indices[:, : order.shape[1]] = np.take_along_axis(proposed, order, axis=1)
        best.similarities[:, : order.shape[1]] = np.take_along_axis(similarities, order, axis=1)
        return best

    def recall(self, queries: Int[np.ndarray, " q"], held: Int[np.ndarray, " n"], *, seed: int = 0) -> float:
        """recall@10 on a seeded sample of the queries, whatever their groups; NaN without queries.

        Args:
            queries: row numbers.
            held: as given to `of`.
            seed: of the sample.
        """
        drawn = np.random.default_rng(seed).permutation(queries)[:TRIED]
        return recall_at(self.index, self.rows[drawn], self.rows[held], DEPTH, held)
