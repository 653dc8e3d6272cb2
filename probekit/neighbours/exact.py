"""Exact nearest neighbours by cosine similarity, with FAISS's exhaustive inner-product search.

Features are L2-normalised, so that an inner product is a cosine. A gallery row is *admissible* for a query
unless it belongs to the query's group; every sample belongs to its own group, so a query never finds
itself.

FAISS proposes, float64 decides: inner products summed in float32 depend, in their last bits, on where a row
lies in the gallery. Candidates are therefore scored again in float64 and rounded to float32, so that equal
rows tie exactly.

    order: similarity, highest first; among equals, the earlier gallery row
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, Groups, Int, Mask
from probekit.errors import UsageError
from probekit.neighbours.groups import GroupCodes
from probekit.neighbours.rows import normalised, pair_cosines, rounding, same_width

SPARE = 8  # rows fetched beyond those that are needed, to see past ties
OWN_AT_MOST = 256  # rows fetched to see past a query's own group
PROPOSED_AT_ONCE = 1 << 24  # candidates held at once
FEW = 20  # queries below which FAISS compares each on one thread: a matrix product does it on all
SCORED_AT_ONCE = 1 << 25  # numbers held while all rows are scored: 256 MB of float64
GIVEN_AT_ONCE = 1 << 21  # of these: whoever looks at them several times finds them in the processor's cache,
FEWEST = 16  # as far as so many queries fit, because some work is for the gallery, however few queries there are


@dataclass(frozen=True)
class Neighbours:
    """The k nearest admissible gallery rows of each query, nearest first."""

    indices: Int[np.ndarray, "q k"]
    """int64 gallery rows; -1 where a query has fewer than k admissible rows."""
    similarities: Float[np.ndarray, "q k"]
    """float32 cosines in -1 … 1; -inf beside an index of -1."""

    @classmethod
    def none(cls, n_queries: int, k: int) -> "Neighbours":
        """No neighbours yet."""
        return cls(np.full((n_queries, k), -1, dtype=np.int64), np.full((n_queries, k), -np.inf, dtype=np.float32))

    @classmethod
    def among(cls, similarities: Float[np.ndarray, "q n"], k: int) -> "Neighbours":
        """The k nearest of all gallery rows, of which every similarity is known; -inf where one is not admissible."""
        found = cls.none(len(similarities), k)
        width = min(k, similarities.shape[1])
        if not width:
            return found
        last = np.partition(similarities, -width, axis=1)[:, -width]
        for query, row in enumerate(similarities):
            rows = np.flatnonzero((row >= last[query]) & (row > -np.inf))
            rows = rows[np.argsort(-row[rows], kind="stable")[:k]]
            found.indices[query, : len(rows)], found.similarities[query, : len(rows)] = rows, row[rows]
        return found

    def shifted(self, first: int) -> "Neighbours":
        """The same rows, counted from a gallery in which theirs begins at row `first`."""
        return Neighbours(np.where(self.indices < 0, -1, self.indices + first), self.similarities)


def search(
    queries: Features,
    gallery: Features,
    k: int,
    query_groups: Groups | None = None,
    gallery_groups: Groups | None = None,
) -> Neighbours:
    """The k nearest admissible gallery rows of each query: exact, whatever the groups exclude.

    A gallery that is searched more than once is prepared once with `Gallery.of`.

    Args:
        queries: one row a query, every feature finite; need not be normalised.
        gallery: rows of the same width.
        k: neighbours wanted; more than the gallery holds is padded with -1.
        query_groups: group of each query; without groups every gallery row is admissible.
        gallery_groups: group of each gallery row, given together with `query_groups`.

    Raises:
        UsageError: k is below 1, the widths differ, or there are groups for one side only.
    """
    return Gallery.of(gallery, gallery_groups).search(queries, k, query_groups)


def search_blocks(
    queries: Features,
    blocks: Iterable[tuple[int, Features, Groups | None]],
    k: int,
    query_groups: Groups | None = None,
) -> Neighbours:
    """What `search` finds, to the bit, in a gallery of which one block at a time is in memory.

    Args:
        queries: one row a query.
        blocks: first gallery row, rows, and groups (or None) of each block, in any order.
        k: neighbours wanted.
        query_groups: group of each query, given together with the groups of the blocks.

    Raises:
        UsageError: as `search`.
    """
    queries = normalised(queries)
    best = Neighbours.none(len(queries), _positive(k))
    for first, rows, groups in blocks:
        found = Gallery.of(rows, groups).search(queries, k, query_groups, unit=True)
        best = merged(best, found.shifted(first))
    return best


def merged(best: Neighbours, other: Neighbours) -> Neighbours:
    """The nearest of both, as many as `best` has; among equals the earlier row."""
    k = best.indices.shape[1]
    indices = np.concatenate([best.indices, other.indices], axis=1)
    similarities = np.concatenate([best.similarities, other.similarities], axis=1)
    order = np.lexsort((indices, -similarities))[:, :k]
    return Neighbours(np.take_along_axis(indices, order, axis=1), np.take_along_axis(similarities, order, axis=1))


def similarity_blocks(
    queries: Features,
    gallery: Features,
    query_groups: Groups | None = None,
    gallery_groups: Groups | None = None,
) -> Iterator[tuple[slice, Float[np.ndarray, "b n"]]]:
    """Cosines of some queries at a time with the whole gallery, float32; -inf where a row is not admissible.

    Summed in float64 and rounded to float32, as in `search`: a full ranking for metrics that need every row.

    Yields:
        The queries' rows as a slice, and their similarities in gallery order.
    """
    same_width(queries, gallery)
    codes = GroupCodes.of(gallery_groups, len(gallery))
    query_codes = codes.of_queries(query_groups, len(queries))
    queries, wide = normalised(queries), normalised(gallery).astype(np.float64)
    for block in _slices(len(queries), SCORED_AT_ONCE // max(1, len(gallery))):
        similarities = (queries[block].astype(np.float64) @ wide.T).astype(np.float32)
        similarities[query_codes[block, None] == codes.codes] = -np.inf
        for part in _slices(len(similarities), max(FEWEST, GIVEN_AT_ONCE // max(1, len(gallery)))):
            yield slice(block.start + part.start, block.start + part.stop), similarities[part]


@dataclass(frozen=True)
class Gallery:
    """Rows that are ready to be searched: normalised, their groups numbered."""

    rows: Features
    """float32, of length 1."""
    groups: GroupCodes

    @classmethod
    def of(cls, rows: Features, groups: Groups | None = None) -> "Gallery":
        """A prepared copy; the rows that are given need not be normalised.

        Raises:
            UsageError: groups and rows differ in number.
        """
        return cls.of_unit(normalised(rows), groups)

    @classmethod
    def of_unit(cls, rows: Features, groups: Groups | None = None) -> "Gallery":
        """A gallery of float32 rows of length 1, which are not copied."""
        return cls(rows, GroupCodes.of(groups, len(rows)))

    def __len__(self) -> int:
        return len(self.rows)

    def search(self, queries: Features, k: int, groups: Groups | None = None, *, unit: bool = False) -> Neighbours:
        """The k nearest admissible rows of each query: exact, whatever the groups exclude.

        A fetch of the m nearest rows settles a query when its k-th admissible row is clearly nearer than the
        m-th fetched one: then no unseen row can belong, not even by a tie. A query that it leaves unsettled
        (rows of its own group, or ties, fill the fetch) is compared with every row; so are queries that are few.

        Args:
            queries: one row a query; need not be normalised.
            k: neighbours wanted.
            groups: group of each query, given together with the gallery's.
            unit: the queries are float32 rows of length 1 already.

        Raises:
            UsageError: k is below 1, the widths differ, or there are groups for one side only.
        """
        same_width(queries, self.rows)
        codes = self.groups.of_queries(groups, len(queries))
        found = Neighbours.none(len(queries), _positive(k))
        width = min(k, len(self))
        if len(queries) == 0 or width == 0:
            return found
        queries = queries if unit else normalised(queries)
        own = min(int(self.groups.own(codes).max()), OWN_AT_MOST)
        depth = min(len(self), width + own + SPARE)
        settled = np.zeros(len(queries), dtype=bool)
        for block in _slices(len(queries), PROPOSED_AT_ONCE // depth) if len(queries) >= FEW else ():
            part = Neighbours(found.indices[block, :width], found.similarities[block, :width])
            settled[block] = self._fetch(queries[block], codes[block], depth, part)
        waiting = np.flatnonzero(~settled)
        for block in _slices(len(waiting), SCORED_AT_ONCE // 4 // len(self)):
            now = waiting[block]
            part = Neighbours.none(len(now), width)
            self._compare_all(queries[now], codes[now], part)
            found.indices[now, :width], found.similarities[now, :width] = part.indices, part.similarities
        return found

    def _fetch(self, queries: Features, codes: Int[np.ndarray, " q"], depth: int, into: Neighbours) -> Mask:
        """Fill in the best of the `depth` rows that FAISS finds nearest; True where no other row can belong."""
        import faiss

        proposed, rows = faiss.knn(queries, self.rows, depth, metric=faiss.METRIC_INNER_PRODUCT)
        last = proposed[:, -1].copy()
        proposed[self.groups.codes[rows] == codes[:, None]] = -np.inf
        query, place = np.nonzero(self._contenders(proposed, into.indices.shape[1]))
        self._decide(queries, query, rows[query, place], into)
        if depth == len(self):
            return np.ones(len(queries), dtype=bool)
        settled: Mask = into.similarities[:, -1] > last + rounding(queries.shape[1])
        return settled

    def _compare_all(self, queries: Features, codes: Int[np.ndarray, " q"], into: Neighbours) -> None:
        """Fill in the best of all rows."""
        approximate = queries @ self.rows.T
        approximate[codes[:, None] == self.groups.codes] = -np.inf
        query, row = np.nonzero(self._contenders(approximate, into.indices.shape[1]))
        self._decide(queries, query, row, into)

    def _contenders(self, approximate: Float[np.ndarray, "q m"], width: int) -> Mask:
        """Where a float32 similarity is so high that its row may be among the `width` nearest.

        p: the width-th highest approximate similarity of a query; e: the most that one can be wrong. At least
        `width` rows are truly at p − e or above, so a row below p − 2e in float32 is not among the nearest.
        """
        kth = approximate.shape[1] - width
        p = np.partition(approximate, kth, axis=1)[:, kth, None]
        return (approximate >= p - 2 * rounding(self.rows.shape[1])) & (approximate > -np.inf)

    def _decide(
        self, queries: Features, query: Int[np.ndarray, " p"], row: Int[np.ndarray, " p"], into: Neighbours
    ) -> None:
        """Score pairs of a query and a row in float64 and fill in the best of each query."""
        cosines = pair_cosines(queries, query, self.rows, row)
        order = np.lexsort((row, -cosines, query))
        query, row, cosines = query[order], row[order], cosines[order]
        place = np.arange(len(query)) - np.searchsorted(query, query)  # among the pairs of its query
        best = place < into.indices.shape[1]
        into.indices[query[best], place[best]] = row[best]
        into.similarities[query[best], place[best]] = cosines[best]


def _positive(k: int) -> int:
    if k < 1:
        raise UsageError(f"k is {k}: ask for at least 1 neighbour.")
    return k


def _slices(n: int, step: int) -> Iterator[slice]:
    """Consecutive slices of at least one row each."""
    step = max(1, step)
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))
