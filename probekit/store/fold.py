"""Folding: rows of parts become rows of the arrays."""

import contextlib
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from probekit.arrays import UInt8
from probekit.errors import StoreCorruptError
from probekit.paths import AnyPath
from probekit.store.locks import DAY, StillAlone
from probekit.store.parts import Part, better
from probekit.store.rows import RowIndex
from probekit.store.seal import Seal
from probekit.store.seen import SeenRows
from probekit.store.zarrays import ZarrArrays


class Folding:
    """One fold, from the seal that allows it to the seal that ends it; it knows every row, so it reads them once.

    Args:
        path: of the store.
        before: the rows that this process has seen; only those that came since are read.

    Raises:
        StoreCorruptError: the store is not what its seal promises; nothing was changed.
    """

    def __init__(self, path: AnyPath, alone: StillAlone, before: SeenRows | None = None) -> None:
        seal = Seal.read(path)
        self._path = path
        self._alone = alone
        self._generation = seal.generation if seal else ""
        self._arrays = ZarrArrays(path, "r+", alone)
        seen = SeenRows.of(self._arrays, seal, before)
        self._index = seen.index
        self._status = dict(zip(seen.taps, seen.status.T, strict=True))
        if seal:
            for damaged in [*seal.broken(path), *seal.missing(self._rows())]:
                raise StoreCorruptError(
                    f"{path} is damaged ({damaged}): `probekit cache verify` tells more; remove it and extract again."
                )
        _sweep(path, interrupted=seal is not None and seal.folding)
        self._seal(folding=True)

    def add(self, part: Part) -> None:
        """Write what the part knows better than the arrays; its identities are distinct."""
        rows = self._index.find(part.keys, part.crops)
        new = np.flatnonzero(rows < 0)
        rows[new] = len(self._index) + np.arange(len(new))
        if len(new):
            self._arrays.append(part.keys[new], part.crops[new], at=len(self._index))
            self._index = RowIndex(part.keys[new], part.crops[new], behind=self._index)
        for tap, values in part.features.items():
            status = self._column(tap)
            after = better(status[rows], part.status)
            changed = np.flatnonzero(after != status[rows])
            changed = changed[np.argsort(rows[changed])]
            if len(changed):
                self._arrays.write(tap, rows[changed], values[changed], part.status[changed])
            status[rows] = after
            self._status[tap] = status

    def sync(self) -> None:
        """Let the arrays reach the disk before the parts that they came from are deleted."""
        self._arrays.sync()

    def finish(self) -> SeenRows:
        """What is there now, sealed."""
        seal = self._seal(folding=False)
        status = np.zeros((len(self._index), len(self._status)), np.uint8)
        for column, tap in enumerate(self._status):
            status[:, column] = self._column(tap)
        return SeenRows(self._arrays.attributes, seal, self._index, status, tuple(self._status))

    def _seal(self, *, folding: bool) -> Seal:
        seal = Seal.of(self._path, self._rows(), folding=folding, generation=self._generation)
        self._alone()
        seal.write(self._path)
        return seal

    def _column(self, tap: str) -> UInt8[np.ndarray, " n"]:
        """Status of every row in a tap, as long as the index."""
        column = np.zeros(len(self._index), np.uint8)
        known = self._status.get(tap, column[:0])
        column[: len(known)] = known
        return column

    def _rows(self) -> Mapping[str, int]:
        return {tap: int(np.count_nonzero(status)) for tap, status in self._status.items()}


def _sweep(path: AnyPath, *, interrupted: bool) -> None:
    """Delete what killed processes left half written on a disk; in a bucket nothing is ever half there."""
    if not isinstance(path, Path):
        return
    for draft in path.glob("journal/*/.*"):
        with contextlib.suppress(FileNotFoundError):  # its process has just given it its name
            if time.time() - draft.stat().st_mtime > DAY:
                draft.unlink()
    for draft in path.rglob("*.partial") if interrupted else ():  # of zarr, which only a fold writes with
        draft.unlink(missing_ok=True)
