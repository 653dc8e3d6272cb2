"""What is remembered of files: their properties and hashes, by key, so that a second audit reads nothing.

`cache/audit/` holds Parquet parts, each written whole and never changed; like the index of keys it is only a memory,
and deleting it costs time. It is addressed by content: a file that changes or moves never has another's properties.
"""

import math
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Int, Keys
from probekit.audit.properties import FileProperties
from probekit.errors import StoreError
from probekit.paths import AnyPath, for_library, written_whole

if TYPE_CHECKING:
    import pyarrow as pa

VERSION = 1
"""Of what is remembered: another version reads the files again."""

COLUMNS = ("key", *(field.name for field in fields(FileProperties)), "hash")

Known = tuple[FileProperties, bytes]
"""Properties and perceptual hash."""


class Memory:
    """The remembered properties of a cache folder."""

    def __init__(self, cache: AnyPath) -> None:
        self._folder = cache / "audit"
        self._fresh: dict[bytes, Known] = {}

    def look_up(self, keys: Keys) -> "Recalled":
        """What is remembered of these keys.

        Raises:
            StoreError: a part is damaged.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        parts = [self._read(path) for path in sorted(self._folder.glob(f"v{VERSION}-*.parquet"))]
        if not parts:
            return Recalled(None, np.full(len(keys), -1))
        table = pa.concat_tables(parts)
        wanted = pa.FixedSizeBinaryArray.from_buffers(pa.binary(32), len(keys), [None, pa.py_buffer(keys.tobytes())])
        rows = pc.index_in(wanted, value_set=table["key"].combine_chunks())
        return Recalled(table, pc.fill_null(rows, -1).to_numpy(zero_copy_only=False).astype(np.int64))

    def add(self, key: bytes, found: FileProperties, perceptual: bytes) -> None:
        """Remember a file that was just read."""
        self._fresh[key] = found, perceptual

    def flush(self) -> None:
        """Write what was added since the last flush as one new part.

        Raises:
            StoreError: the cache cannot be written.
        """
        if not self._fresh:
            return
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns: dict[str, Sequence[object]] = {"key": list(self._fresh)}
        rows = [asdict(found) for found, _ in self._fresh.values()]
        columns |= {field.name: [row[field.name] for row in rows] for field in fields(FileProperties)}
        columns["hash"] = [perceptual for _, perceptual in self._fresh.values()]
        types = {"key": pa.binary(32), "hash": pa.binary()}
        table = pa.table({name: pa.array(values, types.get(name)) for name, values in columns.items()})
        path = self._folder / f"v{VERSION}-{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_whole(path) as draft:
                pq.write_table(table, draft)
        except OSError as error:
            raise StoreError(f"{path} cannot be written ({error.strerror or error}): make room.") from error
        self._fresh.clear()

    def _read(self, path: AnyPath) -> "pa.Table":
        import pyarrow.parquet as pq

        try:
            return pq.read_table(for_library(path), columns=list(COLUMNS))
        except (OSError, ValueError, KeyError) as error:
            raise StoreError(f"{path} cannot be read ({error}): delete it, the files are then read again.") from error


class Recalled:
    """The answer to a look-up, one row a key."""

    def __init__(self, table: "pa.Table | None", rows: Int[np.ndarray, " n"]) -> None:
        self._table = table
        self._rows = rows
        self.known = rows >= 0

    def get(self, rows: Int[np.ndarray, " m"]) -> list[Known]:
        """Properties and hash of these keys, all of which are known."""
        if self._table is None or not len(rows):
            return []
        taken = self._table.take(self._rows[rows]).to_pylist()
        return [(_properties(row), row["hash"]) for row in taken]


def _properties(row: dict[str, object]) -> FileProperties:
    values = {name: math.nan if value is None else value for name, value in row.items() if name not in ("key", "hash")}
    return FileProperties(**values)  # type: ignore[arg-type]  # the types that were written
