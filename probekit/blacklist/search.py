"""The nearest registered examples of images: exact over the mapped segments, or proposed by an index."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from probekit.arrays import Float, Groups, Int
from probekit.blacklist.opened import Blacklist
from probekit.blacklist.segments import OpenSegment
from probekit.neighbours import Gallery, Index, Neighbours, in_order, merged

BLOCK = 1 << 16  # rows that are searched at once
MOST_RUNS = 8  # of registered rows in a block that are searched where they lie; of more, a copy is made
QUERIES = 1024  # searched at once
SPARE = 16  # candidates that an index is asked for beyond those that are needed, to be put in order exactly


@dataclass(frozen=True, eq=False)
class Part:
    """Registered rows that lie together, ready to be searched."""

    gallery: Gallery
    rows: Int[np.ndarray, " n"]
    """Of the blacklist, ascending."""


@dataclass(frozen=True, eq=False)
class Exhaustive:
    """Compares a query with every registered example; prepared once, whatever is searched."""

    blacklist: Blacklist
    groups: Groups | None = None
    """Of every row: a query never finds one of its own group."""

    @cached_property
    def parts(self) -> list[Part]:
        """All registered rows; vectors stay in the mapped files where few of their neighbours were removed."""
        starts = np.cumsum([0, *(len(opened) for opened in self.blacklist.segments)])
        return [
            Part(Gallery.of_unit(vectors, None if self.groups is None else self.groups[rows]), rows)
            for start, opened in zip(starts.tolist(), self.blacklist.segments, strict=False)
            for rows, vectors in _pieces(start, opened)
        ]

    def search(self, queries: Float[np.ndarray, "q d"], k: int, groups: Groups | None = None) -> Neighbours:
        """The k nearest rows of the blacklist: exact, among equals the one that was registered earlier.

        Args:
            queries: float32 rows of length 1.
            k: neighbours wanted.
            groups: of each query, where the rows have groups.
        """
        best = Neighbours.none(len(queries), k)
        for part in self.parts:
            found = part.gallery.search(queries, k, groups, unit=True)
            there = found.indices >= 0
            rows = np.where(there, part.rows[np.where(there, found.indices, 0)], -1)
            best = best if not there.any() else merged(best, Neighbours(rows, found.similarities))
        return best


@dataclass(frozen=True, eq=False)
class Indexed:
    """Compares a query with what an index proposes: quicker than all, and nearly as good."""

    blacklist: Blacklist
    index: Index
    places: Int[np.ndarray, " n"]
    """Id in the index → row of the blacklist, -1 for one that is registered no more."""

    @cached_property
    def exhaustive(self) -> Exhaustive:
        """For images that the index finds too little for: where rows were taken out, cells may be empty."""
        return Exhaustive(self.blacklist)

    def search(self, queries: Float[np.ndarray, "q d"], k: int) -> Neighbours:
        """The nearest of the proposed rows, in exact order, with exact similarities; k, if there are as many."""
        ids = self.index.search(queries, min(k + SPARE, max(1, len(self.index))))[1]
        rows = np.where(ids >= 0, self.places[np.where(ids >= 0, ids, 0)], -1)
        found = in_order(queries, rows, lambda wanted: vectors_of(self.blacklist, wanted), k)
        lacking = np.flatnonzero((found.indices >= 0).sum(axis=1) < min(k, len(self.blacklist)))
        if len(lacking):
            every = self.exhaustive.search(queries[lacking], k)
            found.indices[lacking], found.similarities[lacking] = every.indices, every.similarities
        return found


def vectors_of(blacklist: Blacklist, rows: Int[np.ndarray, " m"]) -> Float[np.ndarray, "m d"]:
    """Vectors of these rows, a copy."""
    found = np.empty((len(rows), blacklist.record.width), np.float32)
    start = 0
    for opened in blacklist.segments:
        own = (rows >= start) & (rows < start + len(opened))
        found[own] = opened.vectors[rows[own] - start]
        start += len(opened)
    return found


def batches(count: int) -> Iterator[slice]:
    """Queries that are searched together."""
    return (slice(start, start + QUERIES) for start in range(0, count, QUERIES))


def _pieces(start: int, opened: OpenSegment) -> Iterator[tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n d"]]]:
    """Rows of the blacklist and vectors, of registered rows only, some at a time."""
    for first in range(0, len(opened), BLOCK):
        alive = np.flatnonzero(opened.alive[first : first + BLOCK]) + first
        runs = np.split(alive, np.flatnonzero(np.diff(alive) > 1) + 1)
        if len(runs) > MOST_RUNS:
            yield start + alive, opened.vectors[alive]
        elif len(alive):
            for run in runs:
                yield start + run, opened.vectors[run[0] : run[-1] + 1]
