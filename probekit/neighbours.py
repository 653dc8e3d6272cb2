"""Exact nearest neighbours by cosine similarity, with FAISS's flat inner-product index.

Features are L2-normalised, so that an inner product is a cosine. A gallery row is *admissible* for a query
unless it belongs to the query's group; every sample belongs to its own group, so a query never finds
itself.

FAISS proposes, float64 decides: inner products summed in float32 depend, in their last bits, on where a row
lies in the gallery. Candidates are therefore scored again in float64 and rounded to float32, so that equal
rows tie exactly.

    order: similarity, highest first; among equals, the earlier gallery row
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Groups, Int, unit_rows
from probekit.errors import UsageError

SPARE = 8  # rows fetched beyond those that are needed, to see past ties
ROWS_AT_ONCE = 1 << 24  # candidates held at once
SCORED_AT_ONCE = 1 << 25  # float64 numbers held while candidates are scored: 256 MB


@dataclass(frozen=True)
class Neighbours:
    """The k nearest admissible gallery rows of each query, nearest first."""

    indices: Int[np.ndarray, "q k"]
    """int64 gallery rows; -1 where a query has fewer than k admissible rows."""
    similarities: Float[np.ndarray, "q k"]
    """float32 cosines in -1 … 1; -inf beside an index of -1."""


def search(
    queries: Features,
    gallery: Features,
    k: int,
    query_groups: Groups | None = None,
    gallery_groups: Groups | None = None,
) -> Neighbours:
    """The k nearest admissible gallery rows of each query: exact, whatever the groups exclude.

    A fetch of the m nearest rows settles a query when its k-th admissible row is clearly nearer than the
    m-th fetched one: then no unseen row can belong, not even by a tie. Only unsettled queries are fetched
    again, four times deeper.

    Args:
        queries: one row a query, every feature finite; need not be normalised.
        gallery: rows of the same width.
        k: neighbours wanted; more than the gallery holds is padded with -1.
        query_groups: group of each query; without groups every gallery row is admissible.
        gallery_groups: group of each gallery row, given together with `query_groups`.

    Raises:
        UsageError: k is below 1, or the widths differ.
    """
    if k < 1:
        raise UsageError(f"k is {k}: ask for at least 1 neighbour.")
    queries, gallery = _comparable(queries, gallery)
    query_codes, gallery_codes = _group_codes(query_groups, gallery_groups, len(queries), len(gallery))
    indices = np.full((len(queries), k), -1, dtype=np.int64)
    similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
    if len(queries) == 0 or len(gallery) == 0:
        return Neighbours(indices, similarities)

    index = _flat_index(gallery)
    largest_group = int(np.bincount(gallery_codes[gallery_codes >= 0], minlength=1).max())
    width = min(k, len(gallery))
    depth = min(len(gallery), width + min(largest_group, 256) + SPARE)
    waiting = np.arange(len(queries))
    while len(waiting):
        unsettled = []
        for now in np.array_split(waiting, -(-len(waiting) * depth // ROWS_AT_ONCE)):
            rows, proposed = _fetch(index, queries[now], depth)
            cosines = _cosines(queries[now], gallery, rows)
            cosines[gallery_codes[rows] == query_codes[now, None]] = -np.inf
            order = np.lexsort((rows, -cosines))[:, :width]
            similarities[now, :width] = best = np.take_along_axis(cosines, order, axis=1)
            indices[now, :width] = np.where(np.isneginf(best), -1, np.take_along_axis(rows, order, axis=1))
            if depth < len(gallery):
                unsettled.append(now[best[:, -1] <= proposed[:, -1] + _rounding(gallery)])
        waiting = np.concatenate(unsettled) if unsettled else waiting[:0]
        depth = min(len(gallery), 4 * depth)
    return Neighbours(indices, similarities)


def similarity_blocks(
    queries: Features,
    gallery: Features,
    query_groups: Groups | None = None,
    gallery_groups: Groups | None = None,
) -> Iterator[tuple[slice, Float[np.ndarray, "b n"]]]:
    """Cosines of some queries at a time with the whole gallery, float32; -inf where a row is not admissible.

    The numbers are those of `search`, to the bit of their rounding: a full ranking for metrics that need
    every row.

    Yields:
        The queries' rows as a slice, and their similarities in gallery order.
    """
    queries, gallery = _comparable(queries, gallery)
    query_codes, gallery_codes = _group_codes(query_groups, gallery_groups, len(queries), len(gallery))
    wide = gallery.astype(np.float64)
    step = max(1, SCORED_AT_ONCE // max(1, len(gallery)))
    for start in range(0, len(queries), step):
        block = slice(start, min(start + step, len(queries)))
        similarities = (queries[block].astype(np.float64) @ wide.T).astype(np.float32)
        similarities[query_codes[block, None] == gallery_codes] = -np.inf
        yield block, similarities


def _comparable(queries: Features, gallery: Features) -> tuple[Features, Features]:
    if queries.shape[1] != gallery.shape[1]:
        raise UsageError(
            f"queries have {queries.shape[1]} features and gallery rows {gallery.shape[1]}: "
            "search features of one model and tap."
        )
    return unit_rows(queries).astype(np.float32), unit_rows(gallery).astype(np.float32)


def _group_codes(
    query_groups: Groups | None, gallery_groups: Groups | None, n_queries: int, n_gallery: int
) -> tuple[Int[np.ndarray, " q"], Int[np.ndarray, " n"]]:
    """Equal numbers for equal groups; -1 and -2, which never meet, where there are no groups."""
    if query_groups is None or gallery_groups is None:
        if query_groups is not gallery_groups:
            raise UsageError("groups were given for one side only: give them for queries and gallery, or for neither.")
        return np.full(n_queries, -1), np.full(n_gallery, -2)
    both = np.concatenate([np.asarray(query_groups, dtype=object), np.asarray(gallery_groups, dtype=object)])
    codes, _ = pd.factorize(both, use_na_sentinel=False)
    return codes[:n_queries], codes[n_queries:]


class _Index(Protocol):
    """The part of a FAISS index that is used here."""

    def add(self, rows: Features) -> None: ...

    def search(self, queries: Features, k: int) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]: ...


def _flat_index(gallery: Features) -> _Index:
    import faiss

    index: _Index = faiss.IndexFlatIP(gallery.shape[1])
    index.add(gallery)
    return index


def _fetch(index: _Index, queries: Features, depth: int) -> tuple[Int[np.ndarray, "q m"], Float[np.ndarray, "q m"]]:
    """FAISS's proposal: gallery rows and their float32 inner products, highest first."""
    similarities, rows = index.search(queries, depth)
    return rows, similarities


def _cosines(queries: Features, gallery: Features, rows: Int[np.ndarray, "q m"]) -> Float[np.ndarray, "q m"]:
    """Inner products of each query with its own candidates, summed in float64 and rounded to float32."""
    cosines = np.empty(rows.shape, dtype=np.float32)
    step = max(1, SCORED_AT_ONCE // (rows.shape[1] * gallery.shape[1]))
    for start in range(0, len(rows), step):
        block = slice(start, start + step)
        candidates = gallery[rows[block]].astype(np.float64)  # b m d
        cosines[block] = (candidates @ queries[block, :, None].astype(np.float64))[..., 0]
    return cosines


def _rounding(gallery: Features) -> float:
    """How far a float32 inner product of unit vectors of this width may be from the true one."""
    return float(np.finfo(np.float32).eps * max(4.0, np.sqrt(gallery.shape[1])))
