"""What is exported: rows of a store, joined with a manifest by identity, and read in batches that fit the memory."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Keys, Mask, Shaped, UInt8
from probekit.errors import FeatureOverflowError, StoreError, UsageError
from probekit.fingerprint import plain_object
from probekit.identities import identify
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.models.requests import check_taps
from probekit.store import ABSENT, DONE, Store
from probekit.store.settings import NumberFormat

BATCH_BYTES = 1 << 25  # of float32 features in memory at a time
BATCH_ROWS = 8192
STATUS = "status"


@dataclass(frozen=True)
class Table:
    """The rows of an export, in order, and what stands beside the features."""

    store: Store
    taps: Mapping[str, tuple[int, ...]]
    """Tap → shape of one row."""
    dtype: NumberFormat
    keys: Keys
    crops: Int[np.ndarray, " n"]
    status: UInt8[np.ndarray, "n t"]
    """Of every row in every tap: DONE, FAILED, or ABSENT where only another tap has it."""
    columns: pd.DataFrame
    """Of the manifest: path, label, generator …; no columns without one."""
    facts: Mapping[str, Any]
    """Everything needed to make the features again."""

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def step(self) -> int:
        """Rows of all taps together that fit the memory."""
        return _step(sum(math.prod(shape) for shape in self.taps.values()))

    def batches(self, tap: str, step: int | None = None) -> Iterator[tuple[slice, Float[np.ndarray, "m ..."]]]:
        """Rows of one tap in order, so many at a time as fit the memory; NaN where there are no features.

        Raises:
            FeatureOverflowError: a feature does not fit the number format that was asked for.
            StoreError: the store cannot be read.
        """
        shape = self.taps[tap]
        step = step or _step(math.prod(shape))
        column = list(self.taps).index(tap)
        for begin in range(0, len(self), step):
            rows = slice(begin, min(begin + step, len(self)))
            done = self.status[rows, column] == DONE
            values = np.full((len(done), *shape), np.nan, self.dtype)
            if done.any():
                wide = self._read(self.keys[rows][done], self.crops[rows][done], tap)
                with np.errstate(over="ignore"):
                    values[done] = wide
                self._check_fit(tap, values, done, begin)
            yield rows, values

    def statuses(self) -> dict[str, UInt8[np.ndarray, " n"]]:
        """The status of every row: `status`, or `status.TAP` for each of several taps."""
        names = [STATUS] if len(self.taps) == 1 else [f"{STATUS}.{tap}" for tap in self.taps]
        return {name: np.ascontiguousarray(column) for name, column in zip(names, self.status.T, strict=True)}

    def hexadecimal(self) -> list[str]:
        """The keys as text."""
        return [key.tobytes().hex() for key in self.keys]

    def index(self) -> pd.DataFrame:
        """Everything but the features, one row each: key, crop, the status in each tap, the manifest's columns."""
        bookkeeping = pd.DataFrame({"key": self.hexadecimal(), "crop": self.crops})
        for name, status in self.statuses().items():
            bookkeeping[name] = status
        return pd.concat([bookkeeping, self.columns.reset_index(drop=True)], axis=1)

    def _read(self, keys: Keys, crops: Int[np.ndarray, " m"], tap: str) -> Float[np.ndarray, "m ..."]:
        try:
            return self.store.read(keys, crops, tap)
        except OSError as error:  # not of the file that is being written
            raise StoreError(f"{self.store.path} cannot be read ({error.strerror or error}).") from error

    def _check_fit(self, tap: str, values: Shaped[np.ndarray, "m ..."], done: Mask, begin: int) -> None:
        finite = np.isfinite(values.reshape(len(values), -1)).all(axis=1)
        if lost := np.flatnonzero(done & ~finite).tolist():
            row = begin + lost[0]
            name = self.columns["path"].iloc[row] if "path" in self.columns else self.keys[row].tobytes().hex()
            raise FeatureOverflowError(f"{name}: tap {tap} does not fit {self.dtype}: export with --dtype float32.")


def select(
    store: Store, manifest: Manifest | None, index: KeyIndex, taps: Sequence[str], dtype: NumberFormat | None
) -> tuple[Table, list[str]]:
    """The rows to export, and the paths of the manifest's samples that the store does not have.

    With a manifest there is a row for each of its samples and crops, in its order; else one for each row of the store.

    Raises:
        UsageError: a tap or any row is lacking.
    """
    widths = store.taps
    check_taps(store.settings.model, widths, taps)
    chosen = {tap: widths[tap] for tap in taps or widths if taps or len(widths[tap]) == 1}
    if not chosen:
        raise UsageError(
            f"{store.path.name} has no tap with one vector a row (of {', '.join(widths) or 'none'}): name one."
        )
    keys, crops = store.identities()
    columns, missing = pd.DataFrame(index=range(len(keys))), list[str]()
    if manifest is not None:
        keys, crops, rows = _join(manifest, index, store, list(chosen), range(int(crops.max(initial=0)) + 1))
        columns = manifest.table.iloc[rows]
        missing = manifest.table["path"][~manifest.table.index.isin(rows)].tolist()
    status = store.look_up(keys, crops, list(chosen))
    there = (status != ABSENT).any(axis=1)
    keys, crops, status, columns = keys[there], crops[there], status[there], columns[there].reset_index(drop=True)
    if not len(keys):
        raise UsageError(f"{store.path.name} has no rows{f' of {manifest.name}' if manifest else ''}: extract first.")
    number_format = dtype or store.settings.dtype
    facts = {
        "address": store.settings.address,
        "settings": store.settings.to_json(),
        "facts": dict(store.facts),
        "taps": {tap: list(shape) for tap, shape in chosen.items()},
        "dtype": number_format,
        "rows": len(keys),
        "manifest": {"name": manifest.name, "sha256": manifest.sha256} if manifest else None,
        "status": {"absent": 0, "done": 1, "failed": 2},
    }
    return Table(store, chosen, number_format, keys, crops, status, columns, plain_object(facts)), missing


def _step(numbers: int) -> int:
    """Rows of so many numbers that fit the memory."""
    return max(1, min(BATCH_ROWS, BATCH_BYTES // (4 * numbers)))


def _join(
    manifest: Manifest, index: KeyIndex, store: Store, taps: Sequence[str], crops: Sequence[int]
) -> tuple[Keys, Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Key, crop and row of the manifest, for every crop of every sample that the store has in any of the taps."""
    found = identify(manifest, index)
    rows, numbers = [], []
    for crop in crops:
        there = store.look_up(found.keys, np.full(len(found.keys), crop, np.int16), taps) != ABSENT
        rows.append(np.flatnonzero(there.any(axis=1) & found.known))
        numbers.append(np.full(len(rows[-1]), crop, np.int16))
    row, crop_of = np.concatenate(rows), np.concatenate(numbers)
    order = np.lexsort((crop_of, row))
    return found.keys[row[order]], crop_of[order], row[order]
