"""The index of keys: (path, size, mtime_ns) → SHA-256, remembered in `cache/keys/`.

A member of an archive is remembered with the size and time of the archive. An object in a bucket is remembered by its
URL and size; a number made of its ETag stands in the place of the time.

A look-up holds no index: it streams the parts past the hashes of the names it wants.
"""

import functools
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from probekit.arrays import Int, Keys, Mask, Shaped
from probekit.file_status import ELSEWHERE, Facts, look_at
from probekit.keys.names import NameHashes, file_of, name_hashes
from probekit.keys.parts import COLUMNS, fixed, merge_all, merge_newest, read_all, write_part
from probekit.paths import AnyPath
from probekit.remote import ObjectStatus, is_url
from probekit.remote import statuses as remote_statuses

_NEVER = np.iinfo(np.int64).min
_FOR_ALL = stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH  # whoever is asking may read such a file
_NAMES = 32_768  # names that are looked at together
_STATS = 65_536  # archives that are looked at once in a look-up, however many members are asked for

Status = os.stat_result | ObjectStatus
"""Of a file or an object."""


@dataclass
class KeyIndex:
    """The remembered SHA-256 of files; look-ups stat the files, so a changed file is unknown."""

    folder: AnyPath
    _fresh: dict[str, tuple[int, int, bytes]] = field(default_factory=dict)
    """Not written yet."""

    @classmethod
    def open(cls, cache: AnyPath) -> "KeyIndex":
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
            readable[row] = may_read(file_of(names[int(row)]))
        remote = np.flatnonzero(sizes == ELSEWHERE)
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
        batch = pa.record_batch(columns, names=list(COLUMNS))
        write_part(self.folder, batch, name_hashes(names))
        self._fresh.clear()
        merge_newest(self.folder)

    def remembered(self) -> Iterator[tuple[str, bytes]]:
        """Every name and the digest that is remembered for it; of a name that was read again, the newest comes last.

        An entry may come twice where another process merges parts meanwhile.

        Raises:
            StoreError: a part of the index is damaged.
        """
        for batch in read_all(self.folder, lambda part: part.read(("path", "sha256"))):
            yield from zip(batch["path"].to_pylist(), batch["sha256"].to_pylist(), strict=True)

    def gone(self, keep: Collection[str]) -> list[str]:
        """Names that are remembered though their file is there no more, but for those to keep and for objects."""
        names = dict.fromkeys(name for name, _ in self.remembered() if name not in keep and not is_url(name))
        exists = functools.lru_cache(_STATS)(os.path.lexists)
        return [name for name in names if not exists(file_of(name))]

    def forget(self, names: Collection[str]) -> None:
        """Write the index anew without these names; a process that merges parts meanwhile may remember them again.

        Raises:
            StoreError: a part is damaged, or the cache cannot be written; nothing is forgotten.
        """
        merge_all(self.folder, forgotten=names)

    def _recall(self, hashes: NameHashes) -> tuple[Keys, Int[np.ndarray, " n"], Int[np.ndarray, " n"]]:
        """Digest, size and mtime_ns of each name where the index has it; mtime_ns is _NEVER where it has not."""
        order = np.argsort(hashes[:, 0])
        high = hashes[order, 0]
        digests = np.zeros((len(hashes), 32), np.uint8)
        sizes, times = np.full(len(hashes), -1, np.int64), np.full(len(hashes), _NEVER, np.int64)
        found = read_all(self.folder, lambda part: part.read_hashed(COLUMNS[1:]))
        for batch, stored in found if len(hashes) else ():
            entries, places = _meeting(stored[:, 0], high)
            rows = order[places]
            same = hashes[rows, 1] == stored[entries, 1]
            entries, rows = entries[same], rows[same]
            as_stored = np.argsort(entries)  # which often is as asked, so that both are passed through in order
            entries, rows = entries[as_stored], rows[as_stored]
            sizes[rows] = batch["size"].to_numpy()[entries]
            times[rows] = batch["mtime_ns"].to_numpy()[entries]
            digests[rows] = fixed(batch["sha256"], 32)[entries]
        return digests, sizes, times


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


def _look_at(names: Sequence[str]) -> tuple[NameHashes, Int[np.ndarray, " n"], Int[np.ndarray, " n"], Mask]:
    """Hash of each name; size and mtime_ns of each file as `file_status` has them; whether all may read it."""
    hashes = np.empty((len(names), 2), np.uint64)
    sizes, times = np.empty(len(names), np.int64), np.empty(len(names), np.int64)
    open_to_all = np.empty(len(names), bool)
    archives: dict[str, Facts] = {}
    for start in range(0, len(names), _NAMES):
        batch = names[start : start + _NAMES]
        rows = slice(start, start + len(batch))
        hashes[rows] = name_hashes(batch)
        facts = _look_once(batch, archives) if any("\0" in name for name in batch) else look_at(batch)
        sizes[rows], times[rows] = facts[:, 0], facts[:, 1]
        open_to_all[rows] = facts[:, 2] & _FOR_ALL == _FOR_ALL
    return hashes, sizes, times, open_to_all


def _look_once(names: Sequence[str], seen: dict[str, Facts]) -> Facts:
    """Facts of the file of each name; a file that is among those seen is not looked at again."""
    files = [file_of(name) for name in names]
    new = [file for file in dict.fromkeys(files) if file not in seen]
    if len(seen) + len(new) > _STATS:
        seen.clear()
        new = list(dict.fromkeys(files))
    seen.update(zip(new, look_at(new), strict=True))
    return np.stack([seen[file] for file in files])


def _meeting(
    stored: Shaped[np.ndarray, " m"], asked: Shaped[np.ndarray, " n"]
) -> tuple[Int[np.ndarray, " k"], Int[np.ndarray, " k"]]:
    """Every (place in `stored`, place in `asked`) whose values agree; `asked` is ascending and may repeat itself."""
    order = np.argsort(stored)  # ascending questions find their places several times as fast
    first = np.searchsorted(asked, stored[order], side="left")
    found = np.flatnonzero(asked[np.minimum(first, len(asked) - 1)] == stored[order])
    order, first = order[found], first[found]
    if not (asked[np.minimum(first + 1, len(asked) - 1)] == asked[first])[first + 1 < len(asked)].any():
        return order, first  # as good as always: nothing is asked twice
    counts = np.searchsorted(asked, stored[order], side="right") - first
    entries = np.repeat(order, counts)
    return entries, np.repeat(first - np.cumsum(counts) + counts, counts) + np.arange(len(entries))
