"""Putting a rebuilt store in the place of the old one: at any moment one of them is there, whole.

    cache/NAME                 the store
    cache/.NAME.gc-1a2b3c4d    a new store that is being built, or an old one that is being deleted; nobody reads it
    cache/.NAME.old            the old store, for the moment between two renames

Linux and macOS exchange two names in one step. Some file systems (NFS among them) cannot: there the old store is first
renamed to `.NAME.old`. Should that be the last that happens, whoever looks for NAME next renames it back, so the old
store is there again; a half deleted one never has that name.
"""

import errno
import os
import shutil
import sys
import uuid
from pathlib import Path

from probekit.errors import StoreError
from probekit.files import sync_folder
from probekit.paths import AnyPath
from probekit.store.files import writable

NOT_HERE = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
TRIES = 10  # a reader may bring the old store back between the two renames
_HERE = -100  # AT_FDCWD: names are relative to the working folder
_EXCHANGE = 2  # RENAME_EXCHANGE of Linux, RENAME_SWAP of macOS


def draft_of(path: Path) -> Path:
    """A name beside the store that no other process uses and no reader looks at."""
    return path.with_name(f".{path.name}.gc-{uuid.uuid4().hex[:8]}")


def drafts_of(path: Path) -> list[Path]:
    """What was left beside the store by processes that died while they built or deleted it."""
    escaped = "".join(f"[{letter}]" if letter in "*?[" else letter for letter in path.name)
    left = sorted(path.parent.glob(f".{escaped}.gc-*"))
    return [*left, _aside(path)] if path.exists() and _aside(path).exists() else left


def exchange(path: Path, draft: Path) -> None:
    """The new store under the old one's name, and the old one under the draft's.

    Raises:
        StoreError: the folder cannot be written; the old store stays.
    """
    with writable(path.parent):
        if not _exchange_names(path, draft):
            _rename_twice(path, draft)
        sync_folder(path.parent)


def restore(path: AnyPath) -> None:
    """Bring the old store back if its replacement was cut short; in a bucket nothing is replaced."""
    if not isinstance(path, Path) or path.exists() or not _aside(path).exists():
        return
    with writable(path.parent):
        try:
            _aside(path).rename(path)
        except FileNotFoundError:
            return  # it went on after all
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def restore_all(cache: AnyPath) -> None:
    """The same for every store of a cache folder."""
    for aside in cache.glob(".*.old"):
        restore(aside.with_name(aside.name.removeprefix(".").removesuffix(".old")))


def discard(path: Path) -> None:
    """Delete a folder; it loses its name first, so that nobody ever sees half of it.

    Raises:
        StoreError: it cannot be deleted.
    """
    with writable(path.parent):
        if not path.name.startswith(".") or path.name.endswith(".old"):
            for left in drafts_of(path):
                discard(left)
            doomed = draft_of(path.with_name(path.name.removeprefix(".").removesuffix(".old")))
            path.rename(doomed)
            path = doomed
        shutil.rmtree(path)


def _aside(path: Path) -> Path:
    return path.with_name(f".{path.name}.old")


def _rename_twice(path: Path, draft: Path) -> None:
    for left in drafts_of(path):
        if left == _aside(path):
            discard(left)
    for _ in range(TRIES):
        path.rename(_aside(path))
        try:
            draft.rename(path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                restore(path)
                raise
            continue  # a reader has brought the old one back
        _aside(path).rename(draft)
        return
    raise StoreError(f"{path} is opened by other processes without end: try again.")


def _exchange_names(one: Path, other: Path) -> bool:
    """Whether both names were exchanged in one step; False where the system cannot."""
    import ctypes

    sys.audit("probekit.exchange", str(one), str(other))  # as Python announces os.rename
    first, second = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = library.renamex_np(first, second, _EXCHANGE)
        else:
            failed = library.renameat2(_HERE, first, _HERE, second, _EXCHANGE)
    except (AttributeError, TypeError, OSError):  # no such function in this system's library
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in NOT_HERE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))
