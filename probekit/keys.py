"""Keys: the identity of an image is the SHA-256 of its bytes, wherever the file lies.

Reading a million files to learn their keys takes hours, so the cache remembers (path, size, mtime_ns) → SHA-256 in
`cache/keys/`. The index is a set of Parquet parts, each written whole by one process and never changed: any number of
processes may add to it at once, on any file system. It is only a memory: deleting it costs time, never a feature.

A member of an archive is remembered as ARCHIVE, a zero byte, MEMBER, which no path can be, with the size and time of
the archive.

An object in a bucket is remembered by its URL and size; a number made of its ETag stands in the place of the time.

A look-up holds no index: it streams the parts past the names it wants, each known by 128 bits of its BLAKE2b hash. That
two of a billion names share one has a chance of 10⁻²¹. Parts hold these hashes, so that a look-up reads no names; parts
of earlier versions do not, and are read with theirs.
"""

import contextlib
import functools
import hashlib
import itertools
import os
import stat
import time
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Int, Keys, Mask, Shaped
from probekit.errors import StoreError
from probekit.files import whole
from probekit.remote import ObjectStatus, is_url
from probekit.remote import statuses as remote_statuses

if TYPE_CHECKING:
    import pyarrow as pa

MAX_PARTS = 64  # more parts than this are merged into one
PARTS = "[!.]*.parquet"  # a name that begins with a point is a draft
TRIES = 10  # of opening the parts while other processes merge them
DAY = 86400  # a draft that old is left from a process that was killed

_COLUMNS = ("path", "size", "mtime_ns", "sha256")
_HASH = "name_hash"
_HASH_BYTES = 16
_NEVER = np.iinfo(np.int64).min
_ELSEWHERE = -2  # the size of what no disk has
_FOR_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH  # whoever is asking may read such a file
_BATCH = 32_768  # names and entries that are Python objects at one time
_STATS = 65_536  # archives that are looked at once in a look-up, however many members are asked for

Status = os.stat_result | ObjectStatus
"""Of a file or an object."""

NameHashes = Shaped[np.ndarray, "n 2"]
"""uint64, 128 bits a name."""


def entry_name(path: str, member: str = "") -> str:
    """What the index calls a file or a member of an archive."""
    return f"{path}\0{member}" if member else path


@dataclass
class KeyIndex:
    """The remembered SHA-256 of files; look-ups stat the files, so a changed file is unknown."""

    folder: Path
    _fresh: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    """Not written yet."""

    @classmethod
    def open(cls, cache: Path) -> "KeyIndex":
        """The index of a cache folder; an empty one where there is none yet."""
        return cls(cache / "keys")

    def look_up(self, names: Sequence[str], *, ask: bool = False) -> "KnownFiles":
        """What is known now of these files and objects, named by absolute path or URL, or as `entry_name` has them.

        An archive that many names share is looked at once.

        Args:
            names: of files or objects.
            ask: look at each remembered object, whether it has changed; otherwise what is remembered of objects is
                believed. Files are looked at in any case: that costs a thousandth.

        Raises:
            StoreError: a part of the index is damaged.
            RemoteError: a bucket cannot be reached.
        """
        hashes, sizes, times, open_to_all = _look_at(names)
        digests, known_sizes, known_times = self._recall(hashes)
        remembered = known_times != _NEVER
        readable = sizes > 0
        may_read = functools.lru_cache(_STATS)(lambda path: os.access(path, os.R_OK))
        for row in np.flatnonzero(readable & ~remembered & ~open_to_all):
            readable[row] = may_read(_file_of(names[int(row)]))
        remote = np.flatnonzero(sizes == _ELSEWHERE)
        readable[remote] = True
        known = remote[remembered[remote]]
        sizes[known], times[known] = known_sizes[known], known_times[known]
        for row, status in zip(known, remote_statuses([names[row] for row in known]) if ask else (), strict=ask):
            sizes[row], times[row] = status or (-1, -1)
            readable[row] = status is not None
        unchanged = remembered & readable & (known_sizes == sizes) & (known_times == times)
        return KnownFiles(digests, remembered=remembered, readable=readable, unchanged=unchanged)

    def add(self, name: str, status: "Status", digest: bytes) -> None:
        """Remember a file or member that was just read; `status`, of the file or archive, was taken before reading."""
        self._fresh[name] = (status.st_size, status.st_mtime_ns, digest)

    def flush(self, at_least: int = 1) -> None:
        """Write what was added since the last flush as one new part, if it is enough to be worth a file.

        Raises:
            StoreError: the cache cannot be written.
        """
        if len(self._fresh) < at_least:
            return
        import pyarrow as pa

        sizes, times, digests = zip(*self._fresh.values(), strict=True)
        names = list(self._fresh)
        columns = [
            pa.array(names, pa.large_string()),
            pa.array(sizes, pa.int64()),
            pa.array(times, pa.int64()),
            pa.array(digests, pa.binary(32)),
        ]
        batch = pa.record_batch(columns, names=list(_COLUMNS))
        _write([(batch, name_hashes(names))], self.folder, f"{time.time_ns():020d}")
        self._fresh.clear()
        if sum(1 for _ in self.folder.glob(PARTS)) > MAX_PARTS:
            self._merge(_newest(_open_parts(self.folder)))

    def remembered(self) -> Iterator[tuple[str, bytes]]:
        """Every name and the digest that is remembered for it; of a name that was read again, the newest comes last."""
        for _, part in _open_parts(self.folder):
            for batch in part.read(_COLUMNS):
                yield from zip(batch["path"].to_pylist(), batch["sha256"].to_pylist(), strict=True)

    def gone(self, keep: Collection[str]) -> list[str]:
        """Names that are remembered though their file is there no more, but for those to keep and for objects."""
        names = dict.fromkeys(name for name, _ in self.remembered() if name not in keep and not is_url(name))
        exists = functools.lru_cache(_STATS)(os.path.lexists)
        return [name for name in names if not exists(_file_of(name))]

    def forget(self, names: Collection[str]) -> None:
        """Write the index anew without these names.

        Raises:
            StoreError: the cache cannot be written; nothing is forgotten.
        """
        self._merge(_open_parts(self.folder), forgotten=names)

    def _recall(self, hashes: NameHashes) -> tuple[Keys, Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Digest, size and mtime_ns of each name where the index has it; mtime_ns is _NEVER where it has not."""
        order = np.argsort(hashes[:, 0])
        high = hashes[order, 0]
        digests = np.zeros((len(hashes), 32), np.uint8)
        sizes, times = np.full(len(hashes), -1, np.int64), np.full(len(hashes), _NEVER, np.int64)
        for _, part in _open_parts(self.folder) if len(hashes) else []:
            for batch, stored in part.read_hashed(_COLUMNS[1:]):
                entries, places = _meeting(stored[:, 0], high)
                rows = order[places]
                same = hashes[rows, 1] == stored[entries, 1]
                entries, rows = entries[same], rows[same]
                sizes[rows] = batch["size"].to_numpy()[entries]
                times[rows] = batch["mtime_ns"].to_numpy()[entries]
                digests[rows] = _fixed(batch["sha256"], 32)[entries]
        return digests, sizes, times

    def _merge(self, parts: "list[tuple[Path, _Part]]", forgotten: Collection[str] = ()) -> None:
        """One part in place of these, the newest entry of each name in it; no more than a batch is held.

        It is as new as the newest of them, so what other processes write meanwhile is newer.
        """
        if not parts:
            return
        hashes = np.concatenate([stored for _, part in parts for _, stored in part.read_hashed(())])
        order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: the newest of equal names comes last
        newest = np.ones(len(order), bool)
        newest[:-1] = (hashes[order[1:]] != hashes[order[:-1]]).any(axis=1)
        kept = np.zeros(len(order), bool)
        kept[order[newest]] = True
        if forgotten:
            names = (name for _, part in parts for batch in part.read(("path",)) for name in batch["path"].to_pylist())
            kept &= [name not in forgotten for name in names]
        newest_time = parts[-1][0].stem.partition("-")[0]
        _write(_filtered((b for _, part in parts for b in part.read_hashed(_COLUMNS)), kept), self.folder, newest_time)
        for path, _ in parts:  # another process may have merged them too: its part holds them as well
            path.unlink(missing_ok=True)
        for draft in self.folder.glob(".*.parquet"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > DAY:
                    draft.unlink()


@dataclass(frozen=True)
class KnownFiles:
    """One row a name: digests (n, 32), and what is true of the file now."""

    digests: Keys
    remembered: Mask
    """A digest is known for the name, though perhaps of an earlier content."""
    readable: Mask
    """There is a regular file (for a member: the archive) that is not empty and may be read."""
    unchanged: Mask
    """The file or archive exists with the size and time that the digest was taken from."""


def file_digest(data: bytes) -> bytes:
    """SHA-256 of a file's bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def sample_key(digest: bytes, part: Mapping[str, int] | None = None) -> bytes:
    """Key of a sample: the file's digest, or with a frame or box the digest of both together.

    Args:
        digest: SHA-256 of the file's bytes.
        part: what of the file the sample is, `{"frame": 12}` or `{"x0": 0, "y0": 0, "x1": 64, "y1": 64}`.
    """
    if not part:
        return digest
    spelled = ",".join(f"{name}={part[name]}" for name in sorted(part))
    return hashlib.sha256(digest + spelled.encode()).digest()


def name_hashes(names: Sequence[str]) -> NameHashes:
    """uint64 (n, 2): 128 bits of each name's BLAKE2b hash, by which names are told apart in little memory."""
    blake2b = hashlib.blake2b
    packed = b"".join([blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest() for name in names])
    return np.frombuffer(packed, np.uint64).reshape(-1, 2)


def _file_of(name: str) -> str:
    return name.partition("\0")[0]


def _look_at(names: Sequence[str]) -> tuple[NameHashes, Int[np.ndarray, " n"], Int[np.ndarray, " n"], Mask]:
    """Hash of each name; size and mtime_ns of each file; whether all may read it.

    The size is -1 for what is no regular file, _ELSEWHERE for an object.
    """
    look_once = functools.lru_cache(_STATS)(_facts)
    hashes = np.empty((len(names), 2), np.uint64)
    sizes, times, modes = (np.empty(len(names), np.int64) for _ in range(3))
    for start in range(0, len(names), _BATCH):
        batch = names[start : start + _BATCH]
        rows = slice(start, start + len(batch))
        hashes[rows] = name_hashes(batch)
        seen = [look_once(_file_of(name)) if "\0" in name else _facts(name) for name in batch]
        flat = np.fromiter(itertools.chain.from_iterable(seen), np.int64, 3 * len(seen))
        sizes[rows], times[rows], modes[rows] = flat[::3], flat[1::3], flat[2::3]
    return hashes, sizes, times, modes & _FOR_ALL == _FOR_ALL


def _facts(path: str) -> tuple[int, int, int]:
    """Size, mtime_ns and mode of a regular file; -1, -1 and 0 of anything else, _ELSEWHERE and 0 of an object."""
    if "://" in path and is_url(path):
        return _ELSEWHERE, _ELSEWHERE, 0
    try:
        status = os.stat(path)  # noqa: PTH116  # a Path object a file costs more than the call itself
    except (OSError, ValueError):
        return -1, -1, 0
    mode = status.st_mode
    return (status.st_size, status.st_mtime_ns, mode) if stat.S_ISREG(mode) else (-1, -1, 0)


class _Part:
    """One Parquet file, read in batches with the hashes of their names, any number of times."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq

        self._path = path
        with _named(path):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            self._file.schema_arrow.field("path")

    @property
    def rows(self) -> int:
        """Number of entries."""
        return int(self._file.metadata.num_rows)

    def read(self, columns: Sequence[str]) -> "Iterator[pa.RecordBatch]":
        """These columns, a batch at a time."""
        batches = self._file.iter_batches(_BATCH, columns=list(columns), use_threads=False)
        while True:
            with _named(self._path):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch

    def read_hashed(self, columns: Sequence[str]) -> "Iterator[tuple[pa.RecordBatch, NameHashes]]":
        """These columns and the hashes of the names."""
        known = _HASH in self._file.schema_arrow.names
        for batch in self.read([*{*columns, _HASH if known else "path"}]):
            if known:
                yield batch.select(list(columns)), _fixed(batch[_HASH], _HASH_BYTES).view(np.uint64)
            else:
                yield batch.select(list(columns)), name_hashes(batch["path"].to_pylist())


def _fixed(column: "pa.FixedSizeBinaryArray", width: int) -> Shaped[np.ndarray, "n width"]:
    """uint8: the bytes of each entry, which has no nulls."""
    data = np.frombuffer(column.buffers()[1], np.uint8)
    return data[column.offset * width : (column.offset + len(column)) * width].reshape(-1, width)


def _meeting(
    stored: Shaped[np.ndarray, " m"], asked: Shaped[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Every (place in `stored`, place in `asked`) whose values agree; `asked` is ascending and may repeat itself."""
    order = np.argsort(stored)  # ascending questions find their places several times as fast
    first = np.searchsorted(asked, stored[order], side="left")
    found = np.flatnonzero(asked[np.minimum(first, len(asked) - 1)] == stored[order])
    order, first = order[found], first[found]
    counts = np.searchsorted(asked, stored[order], side="right") - first
    entries = np.repeat(order, counts)
    return entries, np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(len(entries))


def _newest(parts: list[tuple[Path, _Part]]) -> list[tuple[Path, _Part]]:
    """The newest parts, back to the first that holds more than all that came after it.

    So an entry is written again only where it gets into a part of twice the size: log n times in an index of n.
    """
    later = 0
    for number in range(len(parts) - 1, -1, -1):
        rows = parts[number][1].rows
        if later and rows > later and number < len(parts) - MAX_PARTS // 2:
            return parts[number + 1 :]
        later += rows
    return parts


def _open_parts(folder: Path) -> list[tuple[Path, _Part]]:
    """Every part, the newest last, as names begin with their time; all are open before any is read.

    Raises:
        StoreError: a part is damaged.
    """
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):  # merged by another process: its entries are in a part not listed
            return [(path, _Part(path)) for path in sorted(folder.glob(PARTS))]
    raise StoreError(f"{folder} is being merged by other processes without end: try again.")


@contextlib.contextmanager
def _named(part: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except FileNotFoundError:
        raise
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


def _write(batches: "Iterable[tuple[pa.RecordBatch, NameHashes]]", folder: Path, time_of_entries: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.large_string(), pa.int64(), pa.int64(), pa.binary(32), pa.binary(_HASH_BYTES))
    schema = pa.schema(list(zip((*_COLUMNS, _HASH), types, strict=True)))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with (
            whole(folder / f"{time_of_entries}-{uuid.uuid4().hex[:8]}.parquet") as draft,
            pq.ParquetWriter(draft, schema, write_page_checksum=True) as file,
        ):
            for batch, hashes in batches:
                packed = pa.py_buffer(np.ascontiguousarray(hashes).tobytes())
                column = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_HASH_BYTES), len(hashes), [None, packed])
                file.write_table(pa.table([*batch.columns, column], names=schema.names).cast(schema))
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another --cache."
        ) from error
