"""Size, time and mode of files, by the million: folder by folder, and many at a time where each takes long.

The system walks the whole path of a file at every look. Of files that follow each other in one folder it does so once:
the folder is opened, and they are named within it.
"""

import itertools
import os
import stat
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from probekit.arrays import Int
from probekit.remote import is_url

ELSEWHERE = -2
"""The size and time of what no disk has."""
AT_ONCE = 32
"""Looks under way at a time on a disk that answers slowly, as one on a network does."""
SLOW_SECONDS = 1e-4  # of one look; on a disk of the machine it takes a few millionths
_STRETCH = 64  # looks after each other
_TRIAL = 4 * _STRETCH  # looks that tell how long one takes
_FEWEST = 4  # files for which it pays to open their folder

Facts = Int[np.ndarray, "n 3"]
"""int64: size in bytes, mtime_ns and mode of regular files; -1, -1, 0 for anything else."""


def look_at(paths: Sequence[str]) -> Facts:
    """What is known of each of these files, or objects, by absolute path or URL.

    An object is not asked for: it has size and time `ELSEWHERE` and mode 0.
    """
    found, fastest = [_look(())], SLOW_SECONDS
    for start in range(0, min(_TRIAL, len(paths)), _STRETCH):
        began = time.monotonic()
        found.append(_look(paths[start : start + _STRETCH]))
        fastest = min(fastest, (time.monotonic() - began) / len(found[-1]))  # a busy machine delays some of them
    rest = range(_TRIAL, len(paths), _STRETCH)
    if fastest < SLOW_SECONDS:
        found.append(_look(paths[_TRIAL:]))
    elif rest:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="stat") as pool:
            found += pool.map(lambda start: _look(paths[start : start + _STRETCH]), rest)
    return np.concatenate(found)


def _look(paths: Sequence[str]) -> Facts:
    found: list[int] = []
    for folder, alike in itertools.groupby(paths, _folder_of):
        files = list(alike)
        opened = _open(folder) if len(files) >= _FEWEST else None
        if opened is None:
            _add(found, files)
            continue
        try:
            begin = len(folder)
            _add(found, [path[begin:] for path in files], opened)
        finally:
            os.close(opened)
    facts = np.array(found, np.int64).reshape(-1, 3)
    irregular = (facts[:, 2] & ~0o7777) != stat.S_IFREG
    facts[irregular & (facts[:, 0] != ELSEWHERE)] = -1, -1, 0
    return facts


def _folder_of(path: str) -> str:
    return path[: path.rfind("/") + 1]


def _open(folder: str) -> int | None:
    """The folder, so that files can be named within it; None where only folders that may be listed can be opened."""
    if sys.platform != "linux" or not folder.startswith("/"):
        return None
    try:
        return os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except (OSError, ValueError):
        return None


def _add(found: list[int], paths: Sequence[str], folder: int | None = None) -> None:
    """Put size, mtime_ns and mode of each path behind those found: what a plan of millions spends its time with."""
    look = os.stat  # a Path object a file costs more than the call itself
    for path in paths:
        if folder is None and "://" in path and is_url(path):
            found.extend((ELSEWHERE, ELSEWHERE, 0))
            continue
        try:
            status = look(path, dir_fd=folder)
        except (OSError, ValueError):
            found.extend((-1, -1, 0))
        else:
            found.extend((status.st_size, status.st_mtime_ns, status.st_mode))
