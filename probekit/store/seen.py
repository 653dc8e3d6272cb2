"""The rows of a store's arrays as a process has seen them, kept from one look to the next.

Within a generation no row is moved or removed, so a later look reads the identities of those alone that have come
since; and under the same seal none has come. So an extraction of n rows, which folds n / 8192 times, reads each
identity once and not as many times.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from probekit.arrays import UInt8
from probekit.store.rows import RowIndex
from probekit.store.seal import Seal
from probekit.store.zarrays import ZarrArrays


@dataclass(frozen=True)
class SeenRows:
    """Identity and status of every row at one moment."""

    attributes: Mapping[str, Any]
    """Of the store: another one that has taken its place has others."""
    seal: Seal | None
    """That was read before the rows."""
    index: RowIndex
    status: UInt8[np.ndarray, "n t"]
    taps: tuple[str, ...]
    """Of the columns of `status`."""

    @classmethod
    def of(cls, arrays: ZarrArrays, seal: Seal | None, before: "SeenRows | None" = None) -> "SeenRows":
        """What is there now, at least what the seal promises.

        Args:
            arrays: just opened.
            seal: read before they were.
            before: what was seen then.
        """
        attributes = arrays.attributes
        if (
            before
            and before.seal
            and seal
            and (before.attributes, before.seal.generation) == (attributes, seal.generation)
        ):
            if seal == before.seal and not seal.folding:
                return before
            if len(before.index) and (now := before._followed(arrays, seal)):
                return now
        keys, crops, status = arrays.rows()
        return cls(attributes, seal, RowIndex(keys, crops), status, _columns(arrays, status))

    def _followed(self, arrays: ZarrArrays, seal: Seal) -> "SeenRows | None":
        """With the rows that came since; None where the last row is no longer what it was, or where it was."""
        last = len(self.index) - 1
        keys, crops, status = arrays.rows(last)
        if not len(keys) or self.index.find(keys[:1], crops[:1])[0] != last:
            return None
        index = RowIndex(keys[1:], crops[1:], behind=self.index) if len(keys) > 1 else self.index
        return SeenRows(self.attributes, seal, index, status, _columns(arrays, status))


def _columns(arrays: ZarrArrays, status: UInt8[np.ndarray, "n t"]) -> tuple[str, ...]:
    return tuple(arrays.taps)[: status.shape[1]]  # a tap that has just come may have no column yet
