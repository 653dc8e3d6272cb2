"""Row identity: where a (key, crop) stands among the rows of a store, for millions of rows at once."""

import numpy as np

from probekit.arrays import Int, Keys

_BATCH = 1 << 18  # identities looked for together


class RowIndex:
    """Finds rows by identity in O(log n), with 10 bytes of memory a row beside the keys themselves."""

    def __init__(self, keys: Keys, crops: Int[np.ndarray, " n"]) -> None:
        self.keys, self.crops = keys, crops.astype(np.int16)
        prefixes = _prefixes(keys, self.crops)
        self._order = np.argsort(prefixes, kind="stable")
        self._prefixes = prefixes[self._order]

    def __len__(self) -> int:
        return len(self.keys)

    def extend(self, keys: Keys, crops: Int[np.ndarray, " n"]) -> None:
        """Take in rows that follow those known so far."""
        crops = crops.astype(np.int16)
        prefixes = _prefixes(keys, crops)
        order = np.argsort(prefixes, kind="stable")
        at = np.searchsorted(self._prefixes, prefixes[order], side="right")
        self._order = np.insert(self._order, at, len(self) + order)
        self._prefixes = np.insert(self._prefixes, at, prefixes[order])
        self.keys, self.crops = np.concatenate([self.keys, keys]), np.concatenate([self.crops, crops])

    def find(self, keys: Keys, crops: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        """Row of each identity, -1 where there is none; the first row where an identity was written twice."""
        rows = np.full(len(keys), -1, np.int64)
        for start in range(0, len(keys) if len(self) else 0, _BATCH):  # what compares them is wider than they are
            some = slice(start, start + _BATCH)
            rows[some] = self._find(keys[some], crops[some].astype(np.int16))
        return rows

    def _find(self, keys: Keys, crops: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
        rows = np.full(len(keys), -1, np.int64)
        prefixes = _prefixes(keys, crops)
        asked = np.argsort(prefixes)  # ascending questions find their places several times as fast
        places = np.searchsorted(self._prefixes, prefixes[asked])
        while len(asked):  # one round, but for spares and equal prefixes
            inside = places < len(self)
            asked, places = asked[inside], places[inside]
            fits = self._prefixes[places] == prefixes[asked]
            asked, places = asked[fits], places[fits]
            candidates = self._order[places]
            same = (self.crops[candidates] == crops[asked]) & (self.keys[candidates] == keys[asked]).all(axis=1)
            rows[asked[same]] = candidates[same]
            asked, places = asked[~same], places[~same] + 1
        return rows


def _prefixes(keys: Keys, crops: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """64 bits that are almost surely different for different identities."""
    leading = np.ascontiguousarray(keys[:, :8]).view(np.int64).reshape(-1)
    return leading ^ (crops.astype(np.int64) * np.int64(0x9E3779B97F4A7C1))
