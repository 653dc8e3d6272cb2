"""All pairs of rows above a similarity, exact: near-duplicates within a set, and between two.

FAISS's range search proposes in float32, a block of rows against a block at a time; float64 decides, as in `exact`.
"""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Groups, Int
from probekit.errors import UsageError
from probekit.neighbours.groups import GroupCodes
from probekit.neighbours.rows import normalised, pair_cosines, rounding, same_width

QUERIES_AT_ONCE = 1 << 10
ROWS_AT_ONCE = 1 << 14
MOST_PAIRS = 20_000_000  # in a table: 400 MB
LENGTHS = 4 * float(np.finfo(np.float32).eps) / 2  # by which equal rows, rounded to float32, may miss a cosine of 1


def pairs_above(rows: Features, groups: Groups | None, similarity: float, *, most: int = MOST_PAIRS) -> pd.DataFrame:
    """Every pair of different rows, each once, whose cosine reaches a similarity.

    Args:
        rows: need not be normalised.
        groups: pairs within a group are left out; None leaves out none.
        similarity: -1 … 1; copies reach 1, whatever float32 makes of their length.
        most: pairs that the table may have.

    Returns:
        `i` and `j`, rows with i < j, and their float32 `similarity`; most similar first, then in order of rows.

    Raises:
        UsageError: the similarity is no cosine, or there are more pairs than a table should hold.
    """
    codes = GroupCodes.of(groups, len(rows))
    own = np.full(len(rows), -1) if groups is None else codes.codes
    unit = normalised(rows)
    return _table(_pairs(unit, unit, own, codes.codes, _cosine(similarity), within=True), similarity, most)


def across(
    queries: Features,
    gallery: Features,
    similarity: float,
    query_groups: Groups | None = None,
    gallery_groups: Groups | None = None,
    *,
    most: int = MOST_PAIRS,
) -> pd.DataFrame:
    """Every pair of a query and a gallery row whose cosine reaches a similarity.

    Args:
        queries: need not be normalised.
        gallery: rows of the same width.
        similarity: as in `pairs_above`.
        query_groups: pairs within a group are left out.
        gallery_groups: given together with `query_groups`.
        most: pairs that the table may have.

    Returns:
        `i`, query; `j`, gallery row; `similarity`; in the order of `pairs_above`.

    Raises:
        UsageError: as `pairs_above`; or the widths differ, or there are groups for one side only.
    """
    same_width(queries, gallery)
    codes = GroupCodes.of(gallery_groups, len(gallery))
    own = codes.of_queries(query_groups, len(queries))
    found = _pairs(normalised(queries), normalised(gallery), own, codes.codes, _cosine(similarity), within=False)
    return _table(found, similarity, most)


Pairs = tuple[Int[np.ndarray, " p"], Int[np.ndarray, " p"], Float[np.ndarray, " p"]]


def _pairs(
    queries: Features,
    gallery: Features,
    query_codes: Int[np.ndarray, " q"],
    gallery_codes: Int[np.ndarray, " n"],
    similarity: float,
    *,
    within: bool,
) -> Iterator[Pairs]:
    """Queries, gallery rows and cosines of the pairs, a block against a block; `within` one set, i < j."""
    import faiss

    for first in range(0, len(gallery), ROWS_AT_ONCE):
        block = faiss.IndexFlatIP(gallery.shape[1])
        block.add(gallery[first : first + ROWS_AT_ONCE])
        end = min(len(queries), first + block.ntotal) if within else len(queries)
        for start in range(0, end, QUERIES_AT_ONCE):
            some = queries[start : min(start + QUERIES_AT_ONCE, end)]
            limits, _, rows = block.range_search(some, similarity - LENGTHS - rounding(gallery.shape[1]))
            i, j = np.repeat(np.arange(start, start + len(some)), np.diff(limits.astype(np.int64))), rows + first
            admissible = query_codes[i] != gallery_codes[j]
            if within:
                admissible &= i < j
            i, j = i[admissible], j[admissible]
            cosines = pair_cosines(queries, i, gallery, j)
            near = cosines >= similarity - LENGTHS
            yield i[near], j[near], cosines[near]


def _table(pairs: Iterator[Pairs], similarity: float, most: int) -> pd.DataFrame:
    """Pairs in order."""
    found: list[Pairs] = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    n = 0
    for part in pairs:
        n += len(part[0])
        if n > most:
            raise UsageError(f"more than {most:,} pairs reach a similarity of {similarity:g}: ask for a higher one.")
        found.append(part)
    i, j, cosines = (np.concatenate(column) for column in zip(*found, strict=True))
    order = np.lexsort((j, i, -cosines))
    return pd.DataFrame({"i": i[order], "j": j[order], "similarity": cosines[order]})


def _cosine(similarity: float) -> float:
    if not -1 <= similarity <= 1:
        raise UsageError(f"a similarity of {similarity:g} is no cosine: give one between -1 and 1.")
    return similarity
