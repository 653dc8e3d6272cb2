"""The store as extraction and questions see it: look up, commit, read, fold, verify."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from probekit.arrays import Float, Int, Keys, Shaped, UInt8
from probekit.errors import FeatureOverflowError, StoreCorruptError, StoreError
from probekit.fingerprint import canonical_json, hash_bytes
from probekit.records import versions
from probekit.store.claims import Claims
from probekit.store.parts import (
    DONE,
    FAILED,
    SUFFIX,
    Part,
    PartRows,
    merge,
    read_part,
    scan_part,
    write_part,
    write_whole,
)
from probekit.store.rows import RowIndex
from probekit.store.settings import StoreSettings
from probekit.store.zarrays import ZarrArrays

FORMAT = 1
FOLD = "fold"  # the claim of the one process that folds
FOLD_PARTS = 32  # parts folded at a time: about one shard, so memory stays bounded and shards are rewritten little


@dataclass(frozen=True)
class Rows:
    """Newly computed rows of some taps: what an extraction commits."""

    keys: Keys
    crops: Int[np.ndarray, " n"]
    features: Mapping[str, Float[np.ndarray, "n ..."]]
    """One float32 array per tap; rows named in `reasons` are ignored."""
    reasons: Mapping[bytes, str]
    """Key → why that image could not be read."""


class Store:
    """An open store. Its view of the rows is taken at the first look-up; `refresh` takes a new one."""

    def __init__(self, path: Path, settings: StoreSettings, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.facts = facts
        """What was recorded at creation beside the settings: versions, compute batch size …"""
        self.claims = Claims(path / "journal" / "claims")

    @classmethod
    def open(cls, path: Path) -> "Store":
        """The store in a folder.

        Raises:
            StoreError: it is no store, or was written by a newer probekit.
            StoreCorruptError: its settings are not those that its address stands for.
        """
        attributes = ZarrArrays(path).attributes.get("probekit")
        if attributes is None:
            raise StoreError(f"{path} is a Zarr group but not a probekit store.")
        if attributes["format"] > FORMAT:
            raise StoreError(
                f"{path} has store format {attributes['format']}, this probekit reads up to {FORMAT}: update probekit."
            )
        settings = StoreSettings.from_json(attributes["settings"])
        if settings.address != attributes["address"]:
            raise StoreCorruptError(
                f"{path / 'zarr.json'} is damaged (its settings do not give its address): extract again."
            )
        return cls(path, settings, attributes["facts"])

    @classmethod
    def create(cls, cache: Path, settings: StoreSettings, facts: Mapping[str, Any]) -> "Store":
        """The store for these settings in a cache folder, opened if it is there and made if not.

        Raises:
            StoreError: the cache folder cannot be written.
        """
        path = cache / settings.folder_name
        if not path.exists():
            attributes = {
                "format": FORMAT,
                "address": settings.address,
                "settings": settings.to_json(),
                "facts": {
                    **facts,
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                    "versions": dict(versions()),
                },
            }
            draft = cache / f".{settings.folder_name}.{uuid.uuid4().hex[:8]}"
            try:
                cache.mkdir(parents=True, exist_ok=True)
                ZarrArrays.create(draft, {"probekit": attributes})
                draft.rename(path)
            except OSError as error:
                if not path.exists():  # otherwise another process made it first
                    raise StoreError(
                        f"{cache} cannot be written ({error.strerror}): choose another with --cache."
                    ) from error
            finally:
                shutil.rmtree(draft, ignore_errors=True)
        return cls.open(path)

    @property
    def taps(self) -> dict[str, tuple[int, ...]]:
        """Tap → shape of one row, of the taps with at least one row."""
        now = self._snapshot
        folded = {tap: now.arrays.width(tap) for tap in now.columns}
        return folded | {tap: shape for part, _ in now.parts for tap, shape in part.taps.items()}

    @property
    def rows(self) -> int:
        """Number of rows, done or failed, in the arrays and in parts."""
        now = self._snapshot
        seen = [now.index]
        count = int(now.status.any(axis=1).sum())
        for part, index in now.parts:
            count += int(np.all([earlier.find(part.keys, part.crops) < 0 for earlier in seen], axis=0).sum())
            seen.append(index)
        return count

    def look_up(self, keys: Keys, crops: Int[np.ndarray, " n"], taps: Sequence[str]) -> UInt8[np.ndarray, "n t"]:
        """Status of these rows in these taps: ABSENT, DONE or FAILED."""
        now = self._snapshot
        status = np.zeros((len(keys), len(taps)), np.uint8)
        rows = now.index.find(keys, crops)
        for column, tap in enumerate(taps):
            if tap in now.columns:
                status[:, column] = _at(now.status[:, now.columns[tap]], rows)
        for part, index in now.parts:
            here = _at(part.status, index.find(keys, crops))
            for column, tap in enumerate(taps):
                if tap in part.taps:
                    status[:, column] = _better(status[:, column], here)
        return status

    def read(self, keys: Keys, crops: Int[np.ndarray, " n"], tap: str) -> Float[np.ndarray, "n ..."]:
        """Features of these rows as float32; all must be DONE in this tap, as `look_up` tells.

        Raises:
            StoreCorruptError: a checksum does not match.
        """
        now = self._snapshot
        rows = now.index.find(keys, crops)
        done = _at(now.status[:, now.columns[tap]], rows) == DONE if tap in now.columns else np.zeros(len(keys), bool)
        if done.all() and len(keys):
            return now.arrays.read(tap, rows)
        features = np.full((len(keys), *self.taps[tap]), np.nan, np.float32)
        if done.any():
            features[done] = now.arrays.read(tap, rows[done])
        for part, index in now.parts:
            if tap in part.taps and not done.all():
                at = index.find(keys, crops)
                here = ~done & (_at(part.status, at) == DONE)
                if here.any():
                    features[here] = _read_features(part.path, tap)[at[here]]
                    done |= here
        if not done.all():
            raise StoreError(f"{self.path}: {np.count_nonzero(~done)} rows of tap {tap} are not there: extract again.")
        return features

    def reasons(self) -> dict[bytes, str]:
        """Key → why that image could not be read, of all failed rows."""
        found: dict[str, str] = {}
        for file in sorted((self.path / "journal" / "reasons").glob("[0-9a-f]*.json")):
            found |= _read_reasons(file)
        for part, _ in self._snapshot.parts:
            found |= part.reasons
        return {bytes.fromhex(key): reason for key, reason in found.items()}

    def commit(self, rows: Rows, names: Sequence[str]) -> None:
        """Make these rows safe: once this returns, no kill loses them.

        Args:
            rows: newly computed rows.
            names: what to call each row in an error, its path.

        Raises:
            FeatureOverflowError: a feature is not finite or does not fit the number format; nothing is committed.
            StoreError: the disk is full or not writable; nothing is committed.
        """
        hexadecimal = {key.hex(): reason for key, reason in rows.reasons.items()}
        failed = np.array([key.tobytes() in rows.reasons for key in rows.keys], bool)
        features = {tap: self._pack(tap, values, failed, names) for tap, values in rows.features.items()}
        status = np.where(failed, FAILED, DONE).astype(np.uint8)
        write_part(self.path / "journal" / "parts", Part(rows.keys, rows.crops, status, features, hexadecimal))

    def fold(self, at_least: int = 1) -> bool:
        """Move all parts into the arrays, if there are enough of them; False when another process is at it.

        Raises:
            StoreError: the arrays cannot be written; no row is lost, the parts stay.
        """
        if len(paths := self._part_paths()) < at_least:
            return True
        if not self.claims.take(FOLD):
            return False
        try:
            arrays = ZarrArrays(self.path, "r+")
            for begin in range(0, len(paths), FOLD_PARTS):
                batch = paths[begin : begin + FOLD_PARTS]
                for part in merge([read_part(path) for path in batch]):
                    self._fold(arrays, part)
                _sync(self.path)
                for path in batch:
                    path.unlink(missing_ok=True)
                self.claims.show_life(FOLD)
        finally:
            self.claims.release(FOLD)
            self.refresh()
        return True

    def verify(self) -> Iterator[str]:
        """One line for each damaged place: rows whose checksum fails, parts whose bytes do not give their name."""
        yield from ZarrArrays(self.path).verify()
        for path in self._part_paths():
            try:
                read_part(path)
            except StoreCorruptError as error:
                yield str(error)

    def update(self) -> None:
        """See what other processes have committed since; cheap enough to call before every unit of work."""
        known = {part.path for part, _ in self._snapshot.parts}
        if len(known) > 2 * FOLD_PARTS:  # most were folded by another process
            self.refresh()
            return
        for path in self._part_paths():
            if path not in known:
                with contextlib.suppress(FileNotFoundError):  # folded just now: `refresh` will see it
                    self._snapshot.add(scan_part(path))

    def refresh(self) -> None:
        """Forget the view of the rows; the next look-up takes a new one."""
        self.__dict__.pop("_snapshot", None)

    def _fold(self, arrays: ZarrArrays, part: Part) -> None:
        """Write what the part knows better than the arrays; its identities are distinct."""
        if part.reasons:
            self._write_reasons(part.reasons)
        keys, crops, status = arrays.rows()
        rows = RowIndex(keys, crops).find(part.keys, part.crops)
        columns = {tap: column for column, tap in enumerate(arrays.taps)}
        before = {
            tap: _at(status[:, columns[tap]], rows) if tap in columns else np.zeros(len(rows), np.uint8)
            for tap in part.features
        }
        new = np.flatnonzero(rows < 0)
        rows[new] = len(keys) + np.arange(len(new))
        if len(new):
            arrays.append(part.keys[new], part.crops[new], at=len(keys))
        for tap, values in part.features.items():
            better = np.flatnonzero(_better(before[tap], part.status) != before[tap])
            better = better[np.argsort(rows[better])]
            if len(better):
                arrays.write(tap, rows[better], values[better], part.status[better])

    def _pack(
        self,
        tap: str,
        values: Float[np.ndarray, "n ..."],
        failed: Shaped[np.ndarray, " n"],
        names: Sequence[str],
    ) -> Shaped[np.ndarray, "n ..."]:
        """Features in the store's number format, NaN where the image failed."""
        with np.errstate(over="ignore"):
            packed = values.astype(self.settings.dtype)
        packed[failed] = np.nan
        rows = values.reshape(len(values), -1)
        for row in np.flatnonzero(~np.isfinite(packed.reshape(len(packed), -1)).all(axis=1) & ~failed):
            extreme = rows[row][~np.isfinite(packed[row].reshape(-1))][0]
            problem = (
                f"{extreme:.4g} does not fit {self.settings.dtype}: extract with --dtype float32"
                if np.isfinite(extreme)
                else f"the model gave {extreme}: check its weights, or try --precision float32"
            )
            raise FeatureOverflowError(f"{names[int(row)]}: in tap {tap} of {self.settings.model}, {problem}.")
        return packed

    def _write_reasons(self, reasons: Mapping[str, str]) -> None:
        data = canonical_json(reasons).encode()
        write_whole(self.path / "journal" / "reasons" / f"{hash_bytes(data)}.json", data)

    def _part_paths(self) -> list[Path]:
        return sorted((self.path / "journal" / "parts").glob(f"[!.]*{SUFFIX}"))

    @cached_property
    def _snapshot(self) -> "_Snapshot":
        """The rows as of now. Parts are read first: one that is folded meanwhile is then in the arrays."""
        for _ in range(10):
            try:
                parts = [scan_part(path) for path in self._part_paths()]
            except FileNotFoundError:
                continue  # folded by another process between listing and reading
            arrays = ZarrArrays(self.path)
            keys, crops, status = arrays.rows()
            columns = {tap: column for column, tap in enumerate(arrays.taps) if column < status.shape[1]}
            snapshot = _Snapshot(arrays, RowIndex(keys, crops), status, columns)
            for part in parts:
                snapshot.add(part)
            return snapshot
        raise StoreError(f"{self.path} is being folded by other processes without end: try again.")


@dataclass(frozen=True)
class _Snapshot:
    """What stood where when it was taken."""

    arrays: ZarrArrays
    index: RowIndex
    status: UInt8[np.ndarray, "n t"]
    columns: Mapping[str, int]
    parts: list[tuple[PartRows, RowIndex]] = field(default_factory=list)

    def add(self, part: PartRows) -> None:
        """Take in a part that was committed later."""
        self.parts.append((part, RowIndex(part.keys, part.crops)))


def list_stores(cache: Path) -> list[Store]:
    """All stores in a cache folder, by name."""
    folders = sorted(path.parent for path in cache.glob("[!.]*/zarr.json")) if cache.is_dir() else []
    return [Store.open(folder) for folder in folders]


def _better(before: UInt8[np.ndarray, " n"], after: UInt8[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """What is known after both: DONE beats FAILED beats ABSENT."""
    done = (before == DONE) | (after == DONE)
    return np.where(done, DONE, np.maximum(before, after)).astype(np.uint8)


def _at(status: UInt8[np.ndarray, " n"], rows: Int[np.ndarray, " m"]) -> UInt8[np.ndarray, " m"]:
    """Status of these rows, ABSENT for row -1."""
    found = np.zeros(len(rows), np.uint8)
    found[rows >= 0] = status[rows[rows >= 0]]
    return found


def _read_features(path: Path, tap: str) -> Shaped[np.ndarray, "n ..."]:
    return read_part(path).features[tap]


def _sync(path: Path) -> None:
    """Let the arrays reach the disk before the parts they came from are deleted."""
    for file in path.rglob("*"):
        if file.relative_to(path).parts[0] != "journal" and file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


def _read_reasons(file: Path) -> dict[str, str]:
    data = file.read_bytes()
    if hash_bytes(data) != file.stem:
        raise StoreCorruptError(f"{file} is damaged: delete it; the reasons of some failed images are lost with it.")
    reasons: dict[str, str] = json.loads(data)
    return reasons
