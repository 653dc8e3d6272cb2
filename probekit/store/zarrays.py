"""The Zarr v3 arrays of a store: the only module that talks to zarr.

    key     uint8   (rows, 32)         crop    int16   (rows,)
    status  uint8   (rows, taps)       <tap>   float16 (rows, width), fill value NaN

The rows of all arrays belong together. A row exists where its status is not 0, and status is written last, so a kill
at any moment leaves rows that are complete or rows that nobody sees.
"""

import itertools
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.arrays import Float, Int, Keys, Mask, Shaped, UInt8
from probekit.errors import StoreCorruptError, StoreError
from probekit.files import sync_folder
from probekit.paths import AnyPath
from probekit.remote import BucketPath
from probekit.store.parts import DONE
from probekit.store.zarr_errors import told, told_of_metadata

if TYPE_CHECKING:
    import zarr

CHUNK_BYTES = 1 << 20  # at most, so that reading one row of a wide tap stays cheap
CHUNK_ROWS = 256
CHUNKS_PER_SHARD = 32
SHARD_ROWS = CHUNK_ROWS * CHUNKS_PER_SHARD

JOURNAL = ("parts", "claims", "reasons")
_BOOKKEEPING = ("key", "crop", "status")


class ZarrArrays:
    """One open Zarr group; every method reads the current state from disk."""

    def __init__(self, path: AnyPath, mode: str = "r", may_write: Callable[[], None] | None = None) -> None:
        """The group of a store.

        Args:
            path: of the store.
            mode: `r`, or `r+` to write.
            may_write: called before each object that is written into a bucket; raises where that must not be any more.
        """
        import zarr

        self.path = path
        self._written: set[AnyPath] = set()
        with told(path), told_of_metadata(path):
            where, within = _located(path, mode, may_write)
            self._group = zarr.open_group(where, path=within, mode=mode, zarr_format=3)  # type: ignore[arg-type]  # "r" or "r+"

    @staticmethod
    def create(path: Path, attributes: Mapping[str, Any]) -> None:
        """An empty group with its attributes and its three bookkeeping arrays, at a path that does not exist yet."""
        import zarr

        with told(path):
            group = zarr.create_group(path, zarr_format=3, attributes=dict(attributes))
            _create(group, "key", (0, 32), "uint8", 0, chunk=(SHARD_ROWS, 32))
            _create(group, "crop", (0,), "int16", 0, chunk=(SHARD_ROWS,))
            status = _create(group, "status", (0, 0), "uint8", 0, chunk=(SHARD_ROWS, 1))
            status.update_attributes({"taps": []})
            for folder in ("journal", *(f"journal/{name}" for name in JOURNAL)):
                group.create_group(folder)  # so that plain zarr lists the store without a warning

    @property
    def attributes(self) -> dict[str, Any]:
        """The group's attributes, as plain JSON values."""
        return dict(self._group.attrs)

    @property
    def taps(self) -> list[str]:
        """Names of the taps, in the order of the columns of `status`."""
        with told(self.path), told_of_metadata(self.path / "status"):
            names: Any = self._array("status").attrs["taps"]
            return list(names)

    def width(self, tap: str) -> tuple[int, ...]:
        """Shape of one row of a tap."""
        return tuple(self._array(tap).shape[1:])

    def rows(self, first: int = 0) -> tuple[Keys, Int[np.ndarray, " m"], UInt8[np.ndarray, "n t"]]:
        """Key and crop of every row from the first asked for to the last that exists; status of all."""
        with told(self.path):
            status = np.asarray(self._array("status")[...])
            exists = np.flatnonzero(status.any(axis=1))
            n = int(exists[-1]) + 1 if len(exists) else 0
            where = slice(min(first, n), n)
            return np.asarray(self._array("key")[where]), np.asarray(self._array("crop")[where]), status[:n]

    def read(self, tap: str, rows: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n ..."]:
        """Features of these rows as float32, in the order asked for; reads shard by shard, each once.

        Raises:
            StoreCorruptError: a checksum fails, or one of these rows, which must be DONE, has no features.
        """
        array = self._array(tap)
        if rows.max(initial=-1) >= array.shape[0]:
            raise StoreCorruptError(f"{self.path / tap} has lost rows: remove the store and extract again.")
        features = np.empty((len(rows), *array.shape[1:]), np.float32)
        order = np.argsort(rows, kind="stable")
        wanted, in_order = rows[order], bool((np.diff(rows) >= 0).all())
        shard_rows = _object_rows(array)
        edges = np.flatnonzero(np.diff(wanted // shard_rows, prepend=-1, append=-1))
        for begin, end in itertools.pairwise(edges):
            shard = int(wanted[begin]) // shard_rows * shard_rows
            first, last = int(wanted[begin]), int(wanted[end - 1]) + 1
            complete = 2 * (last - first) > shard_rows and shard + shard_rows <= array.shape[0]
            if complete and isinstance(self.path, Path):
                block, first = self._read_shard(tap, shard, shard_rows), shard
            else:
                with told(self.path):
                    block = np.asarray(array[first:last])
            here: Any = wanted[begin:end] - first
            if here[-1] - here[0] + 1 == len(here) and (np.diff(here) == 1).all():
                here = slice(here[0], here[-1] + 1)  # neighbours are copied several times as fast
            features[slice(begin, end) if in_order else order[begin:end]] = block[here]
        if lost := np.count_nonzero(_is_lost(features)):
            raise StoreCorruptError(
                f"{self.path / tap} has lost {lost} rows of features: `probekit cache verify` names them; "
                "remove the store and extract again."
            )
        return features

    def _read_shard(self, tap: str, first: int, rows: int) -> Shaped[np.ndarray, "n ..."]:
        """A complete shard through the faster `zarrs` pipeline.

        That pipeline compares checksums only of objects that it reads whole; of a part of a shard it returns
        damaged bytes without a word. Everything else goes through zarr's own, which checks every chunk.
        """
        import zarr
        import zarrs  # noqa: F401  # registers the pipeline

        with told(self.path), zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            return np.asarray(self._array(tap)[first : first + rows])

    def append(self, keys: Keys, crops: Int[np.ndarray, " n"], at: int) -> None:
        """Put new identities into the rows from `at` on; they exist once `write` has given them a status."""
        import zarr

        # chunks of zeros are written too, so that a missing one is a lost one
        with told(self.path), zarr.config.set({"array.write_empty_chunks": True}):
            self._grow(at + len(keys))
            rows = np.arange(at, at + len(keys))
            for name, values in (("key", keys), ("crop", crops)):
                self._put(name, rows, values)

    def write(
        self,
        tap: str,
        rows: Int[np.ndarray, " n"],
        values: Shaped[np.ndarray, "n ..."],
        status: UInt8[np.ndarray, " n"],
    ) -> None:
        """Features of one tap at these ascending rows, then their status."""
        with told(self.path):
            self._prepare(tap, values)
            column = self.taps.index(tap)
            shard_rows = _object_rows(self._array(tap))
            for shard in _runs(rows, shard_rows):
                self._put(tap, rows[shard], values[shard])
            for shard in _runs(rows, SHARD_ROWS):  # in order: the rows that exist stay a prefix
                self._put("status", rows[shard], status[shard], column)

    def sync(self) -> None:
        """Let everything that was written so far reach the disk; a bucket has what it has confirmed."""
        written, self._written = self._written, set()
        if not isinstance(self.path, Path):
            return
        with told(self.path):
            files = [Path(str(file)) for file in written]
            for file in {*files, *self.path.glob("*/zarr.json")}:
                if file.exists():  # zarr writes no object for a shard of images that all failed
                    with file.open("rb") as opened:
                        os.fsync(opened.fileno())
            folders = {parent for file in files for parent in file.parents if parent.is_relative_to(self.path)}
            for folder in sorted({self.path, *folders}):
                if folder.exists():
                    sync_folder(folder)

    def verify(self) -> Iterator[str]:
        """One line for each object that is damaged or gone."""
        try:
            taps = self.taps
            _, _, status = self.rows()
        except StoreError as error:
            yield str(error)  # what rows there are cannot be told, but whether the rest is as it was written can
            folders = {file.parent.name for file in self.path.glob("*/zarr.json")}
            taps, status = sorted(folders - {*_BOOKKEEPING, "journal"}), np.zeros((0, 0), np.uint8)
        for name in (*_BOOKKEEPING, *taps):
            column = taps.index(name) if name in taps else status.shape[1]
            done = status[:, column] == DONE if column < status.shape[1] else np.zeros(len(status), bool)
            try:
                yield from self._verify(name, done)
            except StoreError as error:
                yield str(error)

    def _verify(self, name: str, done: Mask) -> Iterator[str]:
        """One line for each object of an array; `done` are the rows that exist, true where there must be features."""
        array = self._array(name)
        step = _object_rows(array)
        for begin in range(0, array.shape[0], step):
            place = f"{self.path / name}: rows {begin} to {min(begin + step, array.shape[0]) - 1}"
            here = done[begin : begin + step]
            try:
                with told(self.path):
                    values = np.asarray(array[begin : begin + step])
            except StoreError:
                yield place
                continue
            if here.any():
                lost = bool((_is_lost(values[: len(here)]) & here).any())
            else:
                lost = name in ("key", "crop") and len(here) > 0 and not self._object(name, begin).exists()
            if lost:
                yield f"{place} are lost"

    def _put(
        self,
        name: str,
        rows: Int[np.ndarray, " n"],
        values: Shaped[np.ndarray, "n ..."],
        column: int | None = None,
    ) -> None:
        """Write values at ascending rows: read the span, change it, write it back; one object if they are of one."""
        array = self._array(name)
        first, last = int(rows[0]), int(rows[-1]) + 1
        where: Any = slice(first, last) if column is None else (slice(first, last), column)
        if last - first > len(rows):
            span = np.array(array[where])
            span[rows - first] = values
            values = span
        array[where] = values
        step = _object_rows(array)
        self._written |= {self._object(name, row, column) for row in range(first // step * step, last, step)}

    def _object(self, name: str, row: int, column: int | None = None) -> AnyPath:
        """The file that holds a row."""
        array = self._array(name)
        place = (row // _object_rows(array), *[column or 0] * (array.ndim - 1))
        return self.path / name / array.metadata.encode_chunk_key(place)

    def _array(self, name: str) -> "zarr.Array[Any]":
        import zarr

        with told(self.path), told_of_metadata(self.path / name):
            array = self._group[name]
        if not isinstance(array, zarr.Array):
            raise StoreCorruptError(f"{self.path / name} is no array: remove the store and extract again.")
        return array

    def _grow(self, rows: int) -> None:
        for name in (*_BOOKKEEPING, *self.taps):
            array = self._array(name)
            if array.shape[0] < rows:
                array.resize((rows, *array.shape[1:]))

    def _prepare(self, tap: str, values: Shaped[np.ndarray, "n ..."]) -> None:
        """Make the array of a tap when it is new, and long enough; it counts once it has a column in `status`."""
        status = self._array("status")
        shape = (status.shape[0], *values.shape[1:])
        if tap not in self._group:
            row_bytes = values.dtype.itemsize * int(np.prod(values.shape[1:]))
            chunk_rows = max(1, min(CHUNK_ROWS, CHUNK_BYTES // row_bytes))
            shard = (chunk_rows * CHUNKS_PER_SHARD, *values.shape[1:])
            _create(
                self._group,
                tap,
                shape,
                values.dtype.name,
                float("nan"),
                (chunk_rows, *values.shape[1:]),
                shard,
            )
        if tap not in self.taps:
            status.update_attributes({"taps": [*self.taps, tap]})
            status = self._array("status")
        if status.shape[1] < len(self.taps):
            status.resize((status.shape[0], len(self.taps)))
        array = self._array(tap)
        if array.shape[1:] != values.shape[1:]:
            raise StoreError(
                f"{self.path}: tap {tap} has shape {array.shape[1:]} there, {values.shape[1:]} in these features."
            )
        if array.shape[0] < status.shape[0]:
            array.resize(shape)


def _create(
    group: "zarr.Group",
    name: str,
    shape: tuple[int, ...],
    dtype: str,
    fill: float,
    chunk: tuple[int, ...],
    shard: tuple[int, ...] | None = None,
) -> "zarr.Array[Any]":
    from zarr.codecs import Crc32cCodec

    return group.create_array(
        name,
        shape=shape,
        dtype=dtype,
        fill_value=fill,
        chunks=chunk,
        shards=shard,
        compressors=[Crc32cCodec()],
    )


def _located(path: AnyPath, mode: str, may_write: Callable[[], None] | None) -> tuple[Any, str]:
    """What zarr opens, and the path in it."""
    if not isinstance(path, BucketPath):
        return path, ""
    from probekit.store.bucket_store import PatientStore

    store, key = path.opened()
    return PatientStore(store, read_only=mode == "r", may_write=may_write), key


def _object_rows(array: "zarr.Array[Any]") -> int:
    """Rows in one object: a shard, or a chunk of an array without shards."""
    return int((array.shards or array.chunks)[0])


def _is_lost(features: Shaped[np.ndarray, "n ..."]) -> Mask:
    """Rows that hold the fill value: one number tells, because features are finite."""
    first = features.reshape(len(features), int(np.prod(features.shape[1:])))[:, 0]
    return np.asarray(np.isnan(first))


def _runs(rows: Int[np.ndarray, " n"], shard_rows: int) -> Iterator[slice]:
    edges = np.flatnonzero(np.diff(rows // shard_rows, prepend=-1, append=-1))
    for begin, end in itertools.pairwise(edges):
        yield slice(int(begin), int(end))
