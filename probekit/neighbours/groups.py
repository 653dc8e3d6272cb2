"""Groups as numbers: equal numbers for equal labels of queries and gallery."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int
from probekit.errors import UsageError


@dataclass(frozen=True)
class GroupCodes:
    """The groups of a gallery's rows, numbered once."""

    codes: Int[np.ndarray, " n"]
    """From 0."""
    labels: pd.Index | None
    """The label of each number; None where there are no groups."""
    counts: Int[np.ndarray, " m"]
    """Gallery rows of each number."""

    @classmethod
    def of(cls, groups: Groups | None, n: int) -> "GroupCodes":
        """Numbered groups; without labels all rows are of one group that no query belongs to."""
        if groups is None:
            return cls(np.zeros(n, dtype=np.int64), None, np.array([n]))
        if len(groups) != n:
            raise UsageError(f"there are {len(groups)} groups for {n} gallery rows: give one for each row.")
        codes, labels = pd.factorize(np.asarray(groups, dtype=object), use_na_sentinel=False)
        return cls(codes, pd.Index(labels, dtype=object), np.bincount(codes, minlength=1))

    def of_queries(self, groups: Groups | None, n: int) -> Int[np.ndarray, " q"]:
        """The number of each query's group; -1, which no gallery row has, where the gallery does not know it.

        Raises:
            UsageError: groups were given for one side only.
        """
        if (groups is None) != (self.labels is None):
            raise UsageError("groups were given for one side only: give them for queries and gallery, or for neither.")
        if groups is None or self.labels is None:
            return np.full(n, -1)
        if len(groups) != n:
            raise UsageError(f"there are {len(groups)} groups for {n} queries: give one for each query.")
        found: Int[np.ndarray, " q"] = self.labels.get_indexer(pd.Index(np.asarray(groups, dtype=object), dtype=object))
        return found

    def own(self, codes: Int[np.ndarray, " q"]) -> Int[np.ndarray, " q"]:
        """How many gallery rows belong to each query's group."""
        return np.where(codes >= 0, self.counts[codes], 0)
