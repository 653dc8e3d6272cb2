"""A view of a store's rows at one moment: those in the arrays, and those in parts that are not folded yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from probekit.arrays import Float, Int, Keys, UInt8
from probekit.errors import StoreError
from probekit.store.parts import DONE, PartRows, better, read_part
from probekit.store.rows import RowIndex
from probekit.store.seal import Seal
from probekit.store.zarrays import ZarrArrays


class _Waiting:
    """Status of the rows of all parts together: to look through hundreds of parts one by one takes milliseconds."""

    def __init__(self) -> None:
        self._index: RowIndex | None = None
        self._status: dict[str, UInt8[np.ndarray, " n"]] = {}

    def add(self, part: PartRows) -> None:
        """Take in the rows of one more part."""
        rows = self._find(part.keys, part.crops)
        new = rows < 0
        if new.any():
            self._index = RowIndex(part.keys[new], part.crops[new], behind=self._index)
            rows[new] = self._find(part.keys[new], part.crops[new])
        for tap in {*self._status, *part.taps}:
            before = self._status.get(tap, np.zeros(0, np.uint8))
            status = np.zeros(len(self._index or ()), np.uint8)
            status[: len(before)] = before
            if tap in part.taps:
                status[rows] = better(status[rows], part.status)
            self._status[tap] = status

    def look_up(self, keys: Keys, crops: Int[np.ndarray, " n"], taps: Sequence[str]) -> UInt8[np.ndarray, "n t"]:
        """Status of these rows in these taps: ABSENT, DONE or FAILED."""
        rows, nothing = self._find(keys, crops), np.zeros(len(self._index or ()), np.uint8)
        return np.stack([_at(self._status.get(tap, nothing), rows) for tap in taps], axis=1)

    def _find(self, keys: Keys, crops: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        return self._index.find(keys, crops) if self._index else np.full(len(keys), -1, np.int64)


@dataclass(frozen=True)
class Snapshot:
    """What stood where when it was taken; parts committed later can be added."""

    arrays: ZarrArrays
    index: RowIndex
    status: UInt8[np.ndarray, "n t"]
    columns: Mapping[str, int]
    """Tap → its column of `status`."""
    seal: Seal | None
    parts: list[tuple[PartRows, RowIndex]] = field(default_factory=list)
    _waiting: _Waiting = field(default_factory=_Waiting)

    def add(self, part: PartRows) -> None:
        """Take in a part that was committed later."""
        self.parts.append((part, RowIndex(part.keys, part.crops)))
        self._waiting.add(part)

    @property
    def generation(self) -> str:
        """Of the store, so that a later one is told from it."""
        return self.seal.generation if self.seal else ""

    @property
    def taps(self) -> dict[str, tuple[int, ...]]:
        """Tap → shape of one row, of the taps with at least one row."""
        folded = {tap: self.arrays.width(tap) for tap in self.columns}
        return folded | {tap: shape for part, _ in self.parts for tap, shape in part.taps.items()}

    @property
    def rows(self) -> int:
        """Number of rows, done or failed, each identity once."""
        return len(self.identities()[0])

    @property
    def stocked(self) -> bool:
        """Whether there is any row."""
        return bool(self.status.any()) or any(len(part.keys) for part, _ in self.parts)

    def identities(self) -> tuple[Keys, Int[np.ndarray, " n"]]:
        """Key and crop of every row, done or failed, each once: those in the arrays first, in their order."""
        exists = self.status.any(axis=1)
        keys = [self.index.keys[exists], *(part.keys for part, _ in self.parts)]
        crops = [self.index.crops[exists], *(part.crops.astype(np.int16) for part, _ in self.parts)]
        all_keys, all_crops = np.concatenate(keys), np.concatenate(crops)
        first = RowIndex(all_keys, all_crops).find(all_keys, all_crops) == np.arange(len(all_keys))
        return all_keys[first], all_crops[first]

    def look_up(self, keys: Keys, crops: Int[np.ndarray, " n"], taps: Sequence[str]) -> UInt8[np.ndarray, "n t"]:
        """Status of these rows in these taps: ABSENT, DONE or FAILED."""
        status = np.zeros((len(keys), len(taps)), np.uint8)
        rows = self.index.find(keys, crops)
        for column, tap in enumerate(taps):
            if tap in self.columns:
                status[:, column] = _at(self.status[:, self.columns[tap]], rows)
        waiting = self._waiting.look_up(keys, crops, taps)
        return better(status, waiting)

    def read(self, keys: Keys, crops: Int[np.ndarray, " n"], tap: str) -> Float[np.ndarray, "n ..."]:
        """Features of these rows as float32.

        Raises:
            FileNotFoundError: a part has been folded since the snapshot was taken.
            StoreCorruptError: a checksum does not match.
            StoreError: a row is not DONE.
        """
        rows = self.index.find(keys, crops)
        done = np.zeros(len(keys), bool)
        if tap in self.columns:
            done = _at(self.status[:, self.columns[tap]], rows) == DONE
        if done.all() and len(keys):
            return self.arrays.read(tap, rows)
        features = np.full((len(keys), *self.taps[tap]), np.nan, np.float32)
        if done.any():
            features[done] = self.arrays.read(tap, rows[done])
        for part, index in self.parts:
            if tap in part.taps and not done.all():
                at = index.find(keys, crops)
                here = ~done & (_at(part.status, at) == DONE)
                if here.any():
                    features[here] = read_part(part.path).features[tap][at[here]]
                    done |= here
        if not done.all():
            missing = np.count_nonzero(~done)
            raise StoreError(f"{self.arrays.path}: {missing} rows of tap {tap} are not there: extract again.")
        return features


def _at(status: UInt8[np.ndarray, " n"], rows: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, " m"]:
    """Status of these rows, ABSENT for row -1."""
    found = np.zeros(len(rows), np.uint8)
    found[rows >= 0] = status[rows[rows >= 0]]
    return found
