"""Parts of the index: Parquet files, each written whole by one process and never changed.

Any number of processes may add parts at once, on any file system. Their names begin with the time of their newest
entry, and so do they sort. Once there are many, one process writes several of them as one and deletes them: a merge.
On a disk a part that is open is read to its end although it is deleted; in a bucket it is read by ranges, and the next
one finds nothing. Who reads must therefore be ready for a part to be gone, and for its entries to be in another one.

Parts hold the hashes of their names, so that a look-up reads no names; parts of earlier versions do not, and are read
with theirs.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from probekit.arrays import Mask, Shaped
from probekit.errors import StoreError
from probekit.keys.names import HASH_BYTES, NameHashes, name_hashes
from probekit.paths import AnyPath, for_library, written_whole

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PARTS = 64  # more parts than this are merged into one
PARTS = "[!.]*.parquet"  # a name that begins with a point is a draft
TRIES = 10  # of reading parts while other processes merge them
DAY = 86400  # a draft that old is left from a process that was killed
BATCH = 32_768  # entries that are Python objects at one time
ENTRIES = 1 << 20  # entries without names that are read together: the more, the closer together their places are

COLUMNS = ("path", "size", "mtime_ns", "sha256")
_HASH = "name_hash"
_DIGEST_BYTES = 32

T = TypeVar("T")


class PartGoneError(StoreError):
    """A part that another process has merged: its entries are in one that was written since the parts were listed."""


class Part:
    """One Parquet file, read in batches with the hashes of their names, any number of times."""

    def __init__(self, path: AnyPath) -> None:
        """The part of this name.

        Raises:
            PartGoneError: it was merged.
            StoreError: it is damaged.
        """
        import pyarrow.parquet as pq

        self.path = path
        with _named(path):
            self._file = pq.ParquetFile(for_library(path), page_checksum_verification=True)
            self._file.schema_arrow.field("path")

    @property
    def rows(self) -> int:
        """Number of entries."""
        return int(self._file.metadata.num_rows)

    def read(self, columns: Collection[str]) -> "Iterator[pa.RecordBatch]":
        """These columns, batch by batch.

        Raises:
            PartGoneError: it was merged.
            StoreError: it is damaged.
        """
        at_once = BATCH if "path" in columns else ENTRIES
        batches = self._file.iter_batches(at_once, columns=list(columns), use_threads=False)
        while True:
            with _named(self.path):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def read_hashed(self, columns: Sequence[str]) -> "Iterator[tuple[pa.RecordBatch, NameHashes]]":
        """These columns and the hashes of the names; it raises what `read` does."""
        known = _HASH in self._file.schema_arrow.names
        for batch in self.read({*columns, _HASH if known else "path"}):
            if known:
                yield batch.select(list(columns)), fixed(batch[_HASH], HASH_BYTES).view(np.uint64)
            else:
                yield batch.select(list(columns)), name_hashes(batch["path"].to_pylist())


def read_all(folder: AnyPath, read: Callable[[Part], Iterator[T]]) -> Iterator[T]:
    """What `read` yields of every part, the newest last, however other processes merge them meanwhile.

    Where a part is gone it goes on with what is there now, from the time of the last part that was read to its end. The
    time of a merged part is that of the newest in it, so what took the place of a part that was not read is not passed
    over. What has come may come again, but of each name the newest entry comes last.

    Raises:
        StoreError: a part is damaged.
    """
    through: set[AnyPath] = set()
    since = ""
    for attempt in range(1, TRIES + 1):
        try:
            for path in sorted(folder.glob(PARTS)):
                if path not in through and _time_of(path) >= since:
                    yield from read(Part(path))
                    through.add(path)
                    since = _time_of(path)
            return
        except PartGoneError:
            if attempt == TRIES:
                raise


def write_part(folder: AnyPath, batch: "pa.RecordBatch", hashes: NameHashes) -> None:
    """A part of entries that are newer than all others.

    Raises:
        StoreError: the cache cannot be written.
    """
    _write([(batch, hashes)], folder, f"{time.time_ns():020d}")


def merge_newest(folder: AnyPath) -> None:
    """Fewer parts, if there are more than `MAX_PARTS`; where another process is at it as well, one of them gives up.

    Raises:
        StoreError: a part is damaged, or the cache cannot be written.
    """
    if sum(1 for _ in folder.glob(PARTS)) > MAX_PARTS:
        with contextlib.suppress(PartGoneError):  # the other process has done it
            _merge(folder, _newest(_open_parts(folder)))


def merge_all(folder: AnyPath, forgotten: Collection[str]) -> None:
    """One part in place of all, without the entries of these names.

    Raises:
        StoreError: a part is damaged, or the cache cannot be written; nothing is changed.
    """
    for attempt in range(1, TRIES + 1):
        try:
            _merge(folder, _open_parts(folder), forgotten)
            return
        except PartGoneError:
            if attempt == TRIES:
                raise


def fixed(column: "pa.FixedSizeBinaryArray", width: int) -> Shaped[np.ndarray, "n width"]:
    """uint8: the bytes of each entry, which has no nulls."""
    data = np.frombuffer(column.buffers()[1], np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def _time_of(path: AnyPath) -> str:
    """Of the newest entry, in digits that sort."""
    return path.stem.partition("-")[0]


def _open_parts(folder: AnyPath) -> list[Part]:
    """Every part, the newest last; all are open before any is read, so that on a disk none is gone before its end."""
    return [Part(path) for path in sorted(folder.glob(PARTS))]


def _newest(parts: list[Part]) -> list[Part]:
    """The newest parts, back to the first that holds more than all that came after it.

    So an entry is written again only where it gets into a part of twice the size: log n times in an index of n.
    """
    later = 0
    for number in range(len(parts) - 1, -1, -1):
        rows = parts[number].rows
        if later and rows > later and number < len(parts) - MAX_PARTS // 2:
            return parts[number + 1 :]
        later += rows
    return parts


def _merge(folder: AnyPath, parts: list[Part], forgotten: Collection[str] = ()) -> None:
    """One part in place of these, the newest entry of each name in it.

    It is as new as the newest of them, so what other processes write meanwhile is newer. Some 60 bytes an entry are
    held, the hashes of all names and their order; the entries themselves pass batch by batch.

    Raises:
        PartGoneError: another process has merged one of them; nothing was changed.
    """
    if not parts:
        return
    hashes = np.concatenate([stored for part in parts for _, stored in part.read_hashed(())])
    order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: the newest of equal names comes last
    newest = np.ones(len(order), bool)
    newest[:-1] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
    kept = np.zeros(len(order), bool)
    kept[order[newest]] = True
    if forgotten:
        names = (name for part in parts for batch in part.read(("path",)) for name in batch["path"].to_pylist())
        kept &= [name not in forgotten for name in names]
    entries = (batch for part in parts for batch in part.read_hashed(COLUMNS))
    _write(_filtered(entries, kept), folder, _time_of(parts[-1].path))
    for part in parts:  # another process may have merged them too: its part holds them as well
        part.path.unlink(missing_ok=True)
    for draft in folder.glob(".*.parquet") if isinstance(folder, Path) else ():
        with contextlib.suppress(FileNotFoundError):
            if time.time() - draft.stat().st_mtime > DAY:
                draft.unlink()


@contextlib.contextmanager
def _named(part: AnyPath) -> Iterator[None]:
    """Errors of a part as ours."""
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError as error:
        raise PartGoneError(f"{part.parent} is being merged by other processes without end: try again.") from error
    except (pa.ArrowException, OSError, KeyError) as error:
        raise StoreError(f"{part} is damaged ({error}): delete it; its files are then read again.") from error


def _filtered(
    batches: "Iterator[tuple[pa.RecordBatch, NameHashes]]", kept: Mask
) -> "Iterator[tuple[pa.RecordBatch, NameHashes]]":
    start = 0
    for batch, hashes in batches:
        rows = np.flatnonzero(kept[start : start + len(batch)])
        yield batch.take(rows), hashes[rows]
        start += len(batch)


def _write(batches: "Iterable[tuple[pa.RecordBatch, NameHashes]]", folder: AnyPath, time_of_entries: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.large_string(), pa.int64(), pa.int64(), pa.binary(_DIGEST_BYTES), pa.binary(HASH_BYTES))
    schema = pa.schema(list(zip((*COLUMNS, _HASH), types, strict=True)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            written_whole(folder / f"{time_of_entries}-{uuid.uuid4().hex[:8]}.parquet") as draft,
            pq.ParquetWriter(draft, schema, write_page_checksum=True) as file,
        ):
            for batch, hashes in batches:
                packed = pa.py_buffer(np.ascontiguousarray(hashes).tobytes())
                column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(HASH_BYTES), len(hashes), [None, packed])
                file.write_table(pa.table([*batch.columns, column], names=schema.names).cast(schema))
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another --cache."
        ) from error
