"""A gallery one block at a time: what is larger than memory, and what is not, alike."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Int
from probekit.errors import UsageError
from probekit.neighbours.rows import normalised

BLOCK = 1 << 16  # rows of an array that are gone through at once


@dataclass(frozen=True)
class Blocks:
    """Blocks of rows that can be gone through several times."""

    parts: Iterable[Features]
    width: int

    @classmethod
    def of(cls, rows: Features | Iterable[Features]) -> "Blocks":
        """The blocks of an array, or blocks as they are given.

        Raises:
            UsageError: they can be gone through once only, or there are none.
        """
        if isinstance(rows, np.ndarray):
            return cls([rows[start : start + BLOCK] for start in range(0, max(1, len(rows)), BLOCK)], rows.shape[1])
        if isinstance(rows, Iterator):
            raise UsageError("blocks of rows are gone through several times: give a list, or an object with __iter__.")
        for first in rows:
            return cls(rows, first.shape[1])
        raise UsageError("there is not one block of rows: give an array of no rows for an empty index.")

    def __iter__(self) -> Iterator[tuple[int, Features]]:
        """The position of each block's first row, and the block's rows, of length 1."""
        start = 0
        for part in self.parts:
            if part.shape[1] != self.width:
                raise UsageError(f"a block has {part.shape[1]} features and the first one {self.width}: use one model.")
            yield start, normalised(part)
            start += len(part)

    def take(self, positions: Int[np.ndarray, " m"]) -> Features:
        """Rows at ascending positions, of length 1."""
        found, end = np.empty((len(positions), self.width), dtype=np.float32), 0
        if len(positions):
            for start, rows in self:
                first, end = np.searchsorted(positions, [start, start + len(rows)])
                found[first:end] = rows[positions[first:end] - start]
        return found[:end]
