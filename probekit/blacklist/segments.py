"""Segments: examples that were written together, in files that are never changed.

    segments/NAME-vectors.npy        (rows, d) float32, each of length 1, mapped into memory
    segments/NAME-keys.npy           (rows, 32) uint8: what an example is, the SHA-256 of its image
    segments/NAME-examples.parquet   generator, path, manifest, manifest_sha256, group, added
    segments/NAME-removed-TAG.npy    int64, the rows that are registered no more; absent while there are none

A file appears under its name when it is whole and on the disk, and counts once a record names it with its SHA-256.
"""

import contextlib
import hashlib
import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Keys, Mask, Shaped
from probekit.blacklist.record import Segment
from probekit.errors import BlacklistError
from probekit.files import whole
from probekit.fingerprint import hash_file

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

FOLDER = "segments"
COLUMNS = ("generator", "path", "manifest", "manifest_sha256", "group", "added")
ROW_GROUP = 4096  # rows of a table that are read to tell of one of them
AT_ONCE = 1 << 24  # numbers of vectors that are copied at once: 64 MiB


class Sink(Protocol):
    """Where bytes go."""

    def write(self, data: bytes | memoryview) -> int:
        """Take these."""
        ...


@dataclass(frozen=True, eq=False)
class Rows:
    """Examples on their way into a segment."""

    keys: Keys
    vectors: Iterable[Float[np.ndarray, "b d"]]
    """Some rows at a time, in the order of the keys."""
    table: pd.DataFrame
    """COLUMNS, row by row."""


@dataclass(frozen=True, eq=False)
class OpenSegment:
    """A segment whose files are held open, so that it can be read after it is deleted."""

    segment: Segment
    folder: Path
    vectors: Float[np.ndarray, "n d"]
    keys: Keys
    alive: Mask
    examples: "pq.ParquetFile"

    def __len__(self) -> int:
        return self.segment.rows

    @cached_property
    def generators(self) -> Shaped[np.ndarray, " n"]:
        """Of every row."""
        with _reading(self.folder, self.segment.name):
            column = self.examples.read(columns=["generator"])["generator"].combine_chunks().dictionary_encode()
        names = np.array(column.dictionary.to_pylist(), dtype=object)
        found: Shaped[np.ndarray, " n"] = names[column.indices.to_numpy()]
        return found

    def describe(self, rows: Int[np.ndarray, " k"]) -> pd.DataFrame:
        """What is known of these rows: COLUMNS."""
        found: pd.DataFrame = self.read(rows).to_pandas()
        return found

    def read(self, rows: Int[np.ndarray, " k"]) -> "pa.Table":
        """The same as it lies in the file, of which no more is read than must be."""
        groups, place = np.unique(rows // ROW_GROUP, return_inverse=True)
        with _reading(self.folder, self.segment.name):
            table = self.examples.read_row_groups(groups.tolist(), columns=list(COLUMNS))
        starts = np.cumsum([0, *(self.examples.metadata.row_group(group).num_rows for group in groups.tolist())])
        return table.take(starts[place] + rows % ROW_GROUP)

    def blocks(self) -> Iterator[Float[np.ndarray, "b d"]]:
        """Vectors of the rows that are alive, some at a time."""
        step = max(1, AT_ONCE // self.vectors.shape[1])
        for start in range(0, len(self), step):
            yield self.vectors[start : start + step][self.alive[start : start + step]]

    def check(self) -> list[str]:
        """One line for each file that is not as it was written; reads every byte."""
        return [
            f"{path}: {problem}"
            for name, digest in self.segment.files.items()
            if (problem := _problem(path := self.folder / name, digest))
        ]


def write_segment(folder: Path, rows: Rows) -> Segment:
    """A new segment, on the disk when this returns.

    Raises:
        OSError: no room, or no permission.
    """
    folder.mkdir(exist_ok=True)
    name = uuid.uuid4().hex[:12]
    files = {}
    for kind, write in (("vectors.npy", write_vectors), ("keys.npy", write_keys), ("examples.parquet", write_table)):
        path = folder / f"{name}-{kind}"
        with whole(path) as draft, draft.open("wb") as file:
            hashed = Hashed(file)
            write(hashed, rows)
        files[path.name] = hashed.sha256.hexdigest()
    return Segment(name, len(rows.keys), 0, files)


def with_removed(folder: Path, opened: OpenSegment, gone: Mask) -> Segment:
    """The segment with more rows removed; the vectors stay where they are."""
    rows = np.flatnonzero(gone | ~opened.alive)
    path = folder / f"{opened.segment.name}-removed-{uuid.uuid4().hex[:8]}.npy"
    with whole(path) as draft, draft.open("wb") as file:
        hashed = Hashed(file)
        _write_array(hashed, rows.shape, rows.dtype, [rows])
    kept = {name: digest for name, digest in opened.segment.files.items() if "-removed-" not in name}
    return replace(opened.segment, removed=len(rows), files={**kept, path.name: hashed.sha256.hexdigest()})


def open_segment(folder: Path, segment: Segment, width: int) -> OpenSegment:
    """The segment, its large arrays mapped into memory.

    Raises:
        FileNotFoundError: it was replaced or removed in the meantime.
        BlacklistError: a file is damaged; names it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    name = segment.name
    vectors = _map(folder / f"{name}-vectors.npy", (segment.rows, width), np.dtype(np.float32))
    keys = _map(folder / f"{name}-keys.npy", (segment.rows, 32), np.dtype(np.uint8))
    alive = np.ones(segment.rows, bool)
    for removed in (file for file in segment.files if "-removed-" in file):
        rows = _map(folder / removed, (segment.removed,), np.dtype(np.int64))
        _require_bytes(folder / removed, segment.files[removed])
        alive[rows] = False
    path = folder / f"{name}-examples.parquet"
    path.stat()  # which names a file that is gone, as pyarrow does not
    with _reading(folder, name):
        examples = pq.ParquetFile(pa.memory_map(str(path)), page_checksum_verification=True)
    if examples.metadata.num_rows != segment.rows:
        raise damaged(path, f"{examples.metadata.num_rows} rows, expected {segment.rows}")
    return OpenSegment(segment, folder, vectors, keys, alive, examples)


def joined(segments: Sequence[OpenSegment]) -> Rows:
    """All rows of several segments that are alive, in their order, once every byte was found to be as it was written.

    Raises:
        BlacklistError: a file is damaged: nothing is sealed anew that was not checked.
    """
    if problems := [line for opened in segments for line in opened.check()]:
        raise BlacklistError(f"{problems[0]}: restore the blacklist from an export.")
    tables = [opened.describe(np.flatnonzero(opened.alive)) for opened in segments]
    return Rows(
        keys=np.concatenate([opened.keys[opened.alive] for opened in segments]),
        vectors=(block for opened in segments for block in opened.blocks()),
        table=pd.concat(tables, ignore_index=True),
    )


class Hashed:
    """A sink that knows the SHA-256 of what went into it."""

    def __init__(self, file: BinaryIO | Sink) -> None:
        self._file = file
        self.sha256 = hashlib.sha256()

    def write(self, data: bytes | memoryview) -> int:
        """Pass the bytes on."""
        self.sha256.update(data)
        return self._file.write(data)


def write_vectors(sink: Sink, rows: Rows) -> None:
    """As a `.npy` file."""
    blocks = iter(rows.vectors)
    first = next(blocks)
    _write_array(sink, (len(rows.keys), first.shape[1]), np.dtype(np.float32), itertools.chain([first], blocks))


def write_keys(sink: Sink, rows: Rows) -> None:
    """As a `.npy` file."""
    _write_array(sink, rows.keys.shape, np.dtype(np.uint8), [rows.keys])


def write_table(sink: Sink, rows: Rows) -> None:
    """As a Parquet file, every page with a checksum."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    columns = {name: pa.array(rows.table[name].astype(str), pa.string()) for name in COLUMNS}
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), buffer, row_group_size=ROW_GROUP, write_page_checksum=True)
    sink.write(memoryview(buffer.getvalue()))


def damaged(path: Path, what: str) -> BlacklistError:
    """The error for a file that is not as it was written."""
    return BlacklistError(f"{path}: damaged ({what}): restore the blacklist from an export.")


def _write_array(
    sink: Sink, shape: tuple[int, ...], dtype: "np.dtype[np.generic]", blocks: Iterable[Shaped[np.ndarray, "..."]]
) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(sink, header)
    for block in blocks:
        sink.write(np.ascontiguousarray(block, dtype=dtype).data.cast("B"))


def _map(path: Path, shape: tuple[int, ...], dtype: "np.dtype[np.generic]") -> Shaped[np.ndarray, "..."]:
    try:
        array: Shaped[np.ndarray, "..."] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise
    except (ValueError, EOFError, OSError) as error:
        raise damaged(path, str(error).partition("\n")[0]) from error
    if array.shape != shape or array.dtype != dtype:
        raise damaged(path, f"{array.dtype} {array.shape}, expected {dtype} {shape}")
    return array


def _require_bytes(path: Path, digest: str) -> None:
    if problem := _problem(path, digest):
        raise damaged(path, problem)


def _problem(path: Path, digest: str) -> str:
    try:
        return "" if hash_file(path) == digest else "its bytes are not those that were written"
    except FileNotFoundError:
        return "missing"


@contextlib.contextmanager
def _reading(folder: Path, name: str) -> Iterator[None]:
    """Errors of pyarrow inside, as ours; a file that is gone stays a file that is gone."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
    except (OSError, pa.ArrowException) as error:
        raise damaged(folder / f"{name}-examples.parquet", str(error).partition("\n")[0]) from error
