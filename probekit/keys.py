"""Keys: the identity of an image is the SHA-256 of its bytes, wherever the file lies.

Reading a million files to learn their keys takes hours, so the cache remembers (path, size, mtime_ns) → SHA-256 in
`cache/keys/`. The index is a set of Parquet parts, each written whole by one process and never changed: any number of
processes may add to it at once, on any file system. It is only a memory: deleting it costs time, never a feature.
"""

import contextlib
import hashlib
import os
import stat
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Int, Keys, Mask
from probekit.errors import StoreError

MAX_PARTS = 64  # more parts than this are merged into one when the index is loaded for writing
PARTS = "[!.]*.parquet"  # a name that begins with a point is a draft
DAY = 86400  # a draft that old is left from a process that was killed


@dataclass
class KeyIndex:
    """The remembered SHA-256 of files; look-ups stat the files, so a changed file is unknown."""

    folder: Path
    _entries: pd.DataFrame = field(default_factory=lambda: _frame([], [], [], []))
    _unseen: list[pd.DataFrame] = field(default_factory=list)
    """Written since the last look-up, and not yet among the entries."""
    _fresh: list[tuple[str, int, int, bytes]] = field(default_factory=list)
    """Not written yet."""

    @classmethod
    def open(cls, cache: Path) -> "KeyIndex":
        """The index of a cache folder; an empty one where there is none yet."""
        folder = cache / "keys"
        return cls(folder, _load(folder))

    def look_up(self, paths: Sequence[str]) -> "KnownFiles":
        """What is known of these absolute paths now."""
        if self._unseen:
            self._entries = _newest(pd.concat([frame for frame in (self._entries, *self._unseen) if len(frame)]))
            self._unseen.clear()
        at = self._entries.index.get_indexer(pd.Index(list(paths), dtype="object"))
        remembered = at >= 0
        digests = np.zeros((len(paths), 32), np.uint8)
        packed = b"".join(self._entries["sha256"].to_numpy()[at[remembered]])
        digests[remembered] = np.frombuffer(packed, np.uint8).reshape(-1, 32)
        sizes, times = _stat(paths)
        readable = sizes > 0
        for row in np.flatnonzero(readable & ~remembered):
            readable[row] = os.access(paths[int(row)], os.R_OK)
        unchanged = remembered & readable
        for column, now in (("size", sizes), ("mtime_ns", times)):
            unchanged[remembered] &= self._entries[column].to_numpy()[at[remembered]] == now[remembered]
        return KnownFiles(digests, remembered=remembered, readable=readable, unchanged=unchanged)

    def add(self, path: str, status: os.stat_result, digest: bytes) -> None:
        """Remember a file that was just read; `status` was taken before reading."""
        self._fresh.append((path, status.st_size, status.st_mtime_ns, digest))

    def flush(self, at_least: int = 1) -> None:
        """Write what was added since the last flush as one new part, if it is enough to be worth a file.

        Raises:
            StoreError: the cache cannot be written.
        """
        if len(self._fresh) < at_least:
            return
        fresh = _frame(*(list(column) for column in zip(*self._fresh, strict=True)))
        _write(fresh, self.folder)
        self._unseen.append(fresh)
        self._fresh.clear()
        if sum(1 for _ in self.folder.glob(PARTS)) > MAX_PARTS:
            self._merge()

    def _merge(self) -> None:
        parts = sorted(self.folder.glob(PARTS))
        _write(_load(self.folder), self.folder)
        for part in parts:  # another process may have merged them too: its part holds them as well
            part.unlink(missing_ok=True)
        for draft in self.folder.glob(".*.parquet"):
            with contextlib.suppress(FileNotFoundError):
                if time.time() - draft.stat().st_mtime > DAY:
                    draft.unlink()


@dataclass(frozen=True)
class KnownFiles:
    """One row a path: digests (n, 32), and what is true of the file now."""

    digests: Keys
    remembered: Mask
    """A digest is known for the path, though perhaps of an earlier content."""
    readable: Mask
    """There is a regular file that is not empty and may be read."""
    unchanged: Mask
    """The file exists with the size and time that the digest was taken from."""


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


def _stat(paths: Sequence[str]) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
    """Size and mtime_ns of each file; -1 for what is no regular file."""
    sizes, times = np.full(len(paths), -1, np.int64), np.full(len(paths), -1, np.int64)
    for row, path in enumerate(paths):
        with contextlib.suppress(OSError, ValueError):
            status = os.stat(path)  # noqa: PTH116  # a Path object a file costs more than the call itself
            if stat.S_ISREG(status.st_mode):
                sizes[row], times[row] = status.st_size, status.st_mtime_ns
    return sizes, times


def _frame(paths: list[str], sizes: list[int], times: list[int], digests: list[bytes]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "size": pd.array(sizes, dtype="int64"),
            "mtime_ns": pd.array(times, dtype="int64"),
            "sha256": np.array([*digests, None], dtype=object)[:-1],
        },
        index=pd.Index(paths, name="path", dtype="object"),
    )


def _newest(entries: pd.DataFrame) -> pd.DataFrame:
    return entries[~entries.index.duplicated(keep="last")]


def _load(folder: Path) -> pd.DataFrame:
    import pyarrow as pa
    import pyarrow.parquet as pq

    frames = []
    for part in sorted(folder.glob(PARTS)):  # names begin with their time: the newest comes last
        try:
            frames.append(pq.read_table(part, page_checksum_verification=True).to_pandas().set_index("path"))
        except FileNotFoundError:
            continue  # merged by another process a moment ago
        except (pa.ArrowException, OSError, KeyError) as error:
            raise StoreError(f"{part} is damaged ({error}): delete it; its files are then read again.") from error
    return _newest(pd.concat(frames)) if frames else _frame([], [], [], [])


def _write(entries: pd.DataFrame, folder: Path) -> None:
    name = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}.parquet"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        entries.reset_index().to_parquet(folder / f".{name}", index=False, write_page_checksum=True)
        (folder / f".{name}").rename(folder / name)
    except OSError as error:
        (folder / f".{name}").unlink(missing_ok=True) if folder.is_dir() else None
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another --cache."
        ) from error
