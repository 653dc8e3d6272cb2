"""Row identity: where a (key, crop) stands among the rows of a store, for millions of rows at once."""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Int, Keys, Mask, Shaped

_BATCH = 1 << 19  # identities looked for together: the more, the closer together in memory their places are


class RowIndex:
    """Finds rows by identity in O(log n), with 18 bytes of memory a row beside the keys themselves.

    It consists of runs, each sorted for itself and at least twice as long as the next, so that rows which come later
    cost their own number times log n to take in. No run is ever changed: several indices may share it.

    Args:
        keys: of the rows.
        crops: of the rows.
        behind: the index of the rows that come before these; it stays as it is.
    """

    def __init__(self, keys: Keys, crops: Int[np.ndarray, " n"], behind: "RowIndex | None" = None) -> None:
        runs: list[_Run] = list(behind._runs) if behind else []
        last = _Run.of(keys, crops, first=len(behind) if behind else 0)
        while runs and len(runs[-1].keys) < 2 * len(last.keys):
            before = runs.pop()
            last = _Run.of(_joined([before.keys, last.keys]), _joined([before.crops, last.crops]), before.first)
        self._runs: tuple[_Run, ...] = (*runs, last)

    def __len__(self) -> int:
        return self._runs[-1].stop

    @property
    def keys(self) -> Keys:
        """Of all rows, in order."""
        return _joined([run.keys for run in self._runs])

    @property
    def crops(self) -> Int[np.ndarray, " n"]:
        """int16, of all rows, in order."""
        return _joined([run.crops for run in self._runs])

    def find(self, keys: Keys, crops: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        """Row of each identity, -1 where there is none; the first row where an identity was written twice."""
        rows = np.full(len(keys), -1, np.int64)
        for start in range(0, len(keys) if len(self) else 0, _BATCH):  # what compares them is wider than they are
            some = slice(start, start + _BATCH)
            rows[some] = self._find(np.ascontiguousarray(keys[some]), crops[some].astype(np.int16))
        return rows

    def _find(self, keys: Keys, crops: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        rows = np.full(len(keys), -1, np.int64)
        prefixes = _prefixes(keys, crops)
        asked = np.argsort(prefixes)  # ascending questions find their places several times as fast
        for run in self._runs:
            if len(asked):
                run.find(keys, crops, prefixes, asked, rows)
                asked = asked[rows[asked] < 0]
        return rows


@dataclass(frozen=True)
class _Run:
    """Rows that follow each other, found by their sorted prefixes."""

    first: int
    """Number of its first row."""
    keys: Keys
    crops: Int[np.ndarray, " n"]
    order: Int[np.ndarray, " n"]
    prefixes: Int[np.ndarray, " n"]
    """Ascending: `order` brings the rows there."""

    @classmethod
    def of(cls, keys: Keys, crops: Int[np.ndarray, " n"], first: int) -> "_Run":
        keys, crops = np.ascontiguousarray(keys), crops.astype(np.int16)
        prefixes = _prefixes(keys, crops)
        order = np.argsort(prefixes, kind="stable")
        return cls(first, keys, crops, order, prefixes[order])

    @property
    def stop(self) -> int:
        """Number of the row behind its last."""
        return self.first + len(self.keys)

    def find(
        self,
        keys: Keys,
        crops: Int[np.ndarray, " m"],
        prefixes: Int[np.ndarray, " m"],
        asked: Int[np.ndarray, " k"],
        rows: Int[np.ndarray, " m"],
    ) -> None:
        """Put the row of each identity that is asked for into `rows`, if it is here; `prefixes[asked]` ascends."""
        places = np.searchsorted(self.prefixes, prefixes[asked])
        while len(asked):  # one round, but for spares and equal prefixes
            inside = places < len(self.keys)
            asked, places = asked[inside], places[inside]
            fits = self.prefixes[places] == prefixes[asked]
            asked, places = asked[fits], places[fits]
            candidates = np.full(len(rows), -1, np.int64)
            candidates[asked] = self.order[places]
            meant = np.flatnonzero(candidates >= 0)  # in the order of the question, which often is that of the rows
            at = candidates[meant]
            same = (self.crops[at] == crops[meant]) & _agree(self.keys, at, keys, meant)
            rows[meant[same]] = self.first + at[same]
            others = rows[asked] < 0
            asked, places = asked[others], places[others] + 1


def _agree(one: Keys, at: Int[np.ndarray, " n"], other: Keys, there: Int[np.ndarray, " n"]) -> Mask:
    """Whether `one[at]` and `other[there]` are the same keys; compared in four words of 64 bits, and copied by `take`.

    Both is several times as quick as bytes and indices are.
    """
    differ = one.take(at, axis=0).view(np.uint64) ^ other.take(there, axis=0).view(np.uint64)
    equal: Mask = (differ[:, 0] | differ[:, 1] | differ[:, 2] | differ[:, 3]) == 0
    return equal


def _joined(pieces: list[Shaped[np.ndarray, "n ..."]]) -> Shaped[np.ndarray, "n ..."]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def _prefixes(keys: Keys, crops: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """64 bits that are almost surely different for different identities."""
    leading = np.ascontiguousarray(keys[:, :8]).view(np.int64).reshape(-1)
    return leading ^ (crops.astype(np.int64) * np.int64(0x9E3779B97F4A7C1))
