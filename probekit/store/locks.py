"""One process alone: a lock of the operating system on a disk, a lease in a bucket.

The lock cannot be taken from its process and ends with it, however that dies. A bucket has no such thing: see
`lease.py`.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from probekit.errors import StoreError
from probekit.paths import AnyPath
from probekit.remote import BucketPath
from probekit.store.files import writable
from probekit.store.lease import leased

DAY = 86400  # nothing that probekit writes takes so long
NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}

StillAlone = Callable[[], None]
"""Nothing, or StoreError once this process may be alone no more; to be called before each write."""


@contextlib.contextmanager
def exclusive(path: AnyPath) -> Iterator[StillAlone | None]:
    """None unless this process alone is inside; it does not wait.

    The file stays behind: were it deleted, two processes could lock two files of the same name. Where the file system
    has no locks, the creation of a second file stands in for it; after a kill that one has to be deleted by hand.

    Raises:
        StoreError: the file cannot be written, or a process without locks died inside.
    """
    if isinstance(path, BucketPath):
        with leased(path) as lease:
            yield lease.check if lease else None
        return
    assert isinstance(path, Path)
    with writable(path.parent):
        path.parent.mkdir(exist_ok=True)
        unlock = _lock(path)
    try:
        yield _surely if unlock else None
    finally:
        if unlock:
            unlock()


def _surely() -> None:
    """A lock of the operating system is not lost."""


def _lock(path: Path) -> Callable[[], None] | None:
    """What ends the lock, or None when another process has it."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _lock_by_creation(path.with_suffix(".held"))
    file = path.open("ab")

    def unlock() -> None:
        fcntl.flock(file, fcntl.LOCK_UN)  # closing is not enough when a child was forked meanwhile
        file.close()

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, os.fstat(file.fileno())):  # another folder took the place of this one meanwhile
            unlock()
            return None
    except OSError as error:
        file.close()
        if isinstance(error, BlockingIOError):
            return None
        if error.errno in NO_LOCKS:
            return _lock_by_creation(path.with_suffix(".held"))
        raise
    return unlock


def _lock_by_creation(path: Path) -> Callable[[], None] | None:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > DAY:
                raise StoreError(
                    f"{path} is left from a process that died: if no extraction runs, delete it."
                ) from None
        return None
    made = path.stat()

    def unlock() -> None:
        if _is_at(path, made):
            path.unlink()

    return unlock


def _is_at(path: Path, status: os.stat_result) -> bool:
    """Whether the file of this status has that name now."""
    try:
        return os.path.samestat(path.stat(), status)
    except FileNotFoundError:
        return False
