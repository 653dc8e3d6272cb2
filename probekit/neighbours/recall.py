"""How much an index finds: measured, never assumed.

    recall@k = |found ∩ k nearest| / |k nearest|, over all queries

Rows as near as the k-th nearest are as good as it: a found row counts when its similarity is at least that of the
k-th, to the rounding of float32.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from probekit.arrays import Features, Float, Int
from probekit.errors import UsageError
from probekit.neighbours import structures
from probekit.neighbours.exact import Gallery, Neighbours, merged
from probekit.neighbours.rows import normalised, pair_cosines, rounding
from probekit.neighbours.structures import FaissIndex

K = 10
GOAL = 0.95  # recall@10 that an index is tuned to
OF_ALL = 0.99  # of the recall that reading every cell gives, where codes cannot reach the goal
DEEP = 5 * K  # neighbours that are known of each row that is tried


class Searched(Protocol):
    """What finds rows."""

    def search(self, queries: Features, k: int) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
        """Similarities and ids, -1 where nothing was found."""


def recall_at(
    index: Searched, queries: Features, gallery: Features, k: int, ids: Int[np.ndarray, " n"] | None = None
) -> float:
    """Share of each query's k nearest gallery rows that an index finds, 0 … 1; NaN without queries or rows.

    Args:
        index: holds the gallery's rows.
        queries: rows to search with: a sample is enough.
        gallery: all rows of the index.
        k: as in recall@k.
        ids: of the gallery's rows in the index; their positions unless given.

    Raises:
        UsageError: the index finds a row that is not in the gallery.
    """
    ids = np.arange(len(gallery)) if ids is None else ids
    prepared, queries = Gallery.of(gallery), normalised(queries)
    exact = prepared.search(queries, k)
    _, found = index.search(queries, k)
    query, place = np.nonzero(found >= 0)
    if len(query) == 0:
        return 0.0 if (exact.indices >= 0).any() else float("nan")
    order = np.argsort(ids)
    row = order[np.minimum(np.searchsorted(ids[order], found[query, place]), len(ids) - 1)]
    if (ids[row] != found[query, place]).any():
        raise UsageError("the index finds rows that are not in the gallery: compare it with the rows it was built of.")
    cosines = pair_cosines(queries, query, prepared.rows, row)
    least = np.where(exact.indices >= 0, exact.similarities, np.inf).min(axis=1)
    right = np.count_nonzero(cosines >= least[query] - rounding(queries.shape[1]))
    return float(right / np.count_nonzero(exact.indices >= 0))


@dataclass
class Trial:
    """Rows that are held back from an index as queries, while the others go by, and the nearest of those.

    Held back, because a row is easier to find in a graph that it belongs to itself.
    """

    queries: Features
    """Of length 1."""
    ids: Int[np.ndarray, " m"]
    """Of the other rows, in the order in which they go by."""
    exact: Neighbours
    """As places in that order."""
    seen: int = 0

    @classmethod
    def of(cls, queries: Features, ids: Int[np.ndarray, " m"]) -> "Trial":
        """A trial that has seen nothing yet."""
        return cls(queries, ids, Neighbours.none(len(queries), DEEP))

    def see(self, rows: Features) -> None:
        """Take the next rows of the index into account; they are of length 1."""
        if len(self.queries):
            found = Gallery.of_unit(rows).search(self.queries, DEEP, unit=True)
            self.exact = merged(self.exact, found.shifted(self.seen))
        self.seen += len(rows)

    def tune(self, index: FaissIndex, *, exact_values: bool) -> float | None:
        """Set the least effort that reaches the goal; its recall, None where there is too little to find.

        Args:
            index: holds the rows that were seen.
            exact_values: the similarities that it gives are those of the rows, not of their codes.
        """
        if len(self.queries) == 0 or self.seen < K:
            return None

        def attempt(effort: int) -> float:
            structures.set_effort(index, effort)
            return self.recall(index, exact_values=exact_values)

        least, most = structures.efforts(index)
        effort, recall = least_effort(attempt, least, most, min(GOAL, OF_ALL * attempt(most)))
        structures.set_effort(index, effort)
        return recall

    def recall(self, index: FaissIndex, *, exact_values: bool) -> float:
        """recall@10. Where a similarity is that of a code, a row is looked up among the nearest ones that are known."""
        similarities, found = index.search(self.queries, K)
        least = self.exact.similarities[:, K - 1, None] - rounding(self.queries.shape[1])
        if exact_values:
            return float(((found >= 0) & (similarities >= least)).mean())
        known = np.where(self.exact.similarities >= least, self.ids[self.exact.indices], -2)
        return float((found[:, :, None] == known[:, None, :]).any(axis=2).mean())


def least_effort(attempt: Callable[[int], float], least: int, most: int, goal: float) -> tuple[int, float]:
    """The smallest effort in least … most that reaches the goal, and what it reaches: doubled, then halved in between.

    `attempt` must not fall; where even `most` misses the goal, it is `most`.
    """
    low, high = least - 1, least
    while (reached := attempt(high)) < goal and high < most:
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        found = attempt(middle)
        if found >= goal:
            high, reached = middle, found
        else:
            low = middle
    return high, reached
