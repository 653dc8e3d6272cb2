"""Who does what, where several processes extract into one store.

A claim on a unit of work is a small file that only one process can create. It saves work and no more: should two
processes hold the same one (its owner was slow to show life on another machine), both write the same rows, readers
see one of them, and nothing is wrong.

The arrays themselves must have one writer. `exclusive` is a lock of the operating system, which no process can take
from another and which ends with its process, however that dies.
"""

import contextlib
import errno
import json
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from probekit.errors import StoreError
from probekit.store.files import writable

STALE_SECONDS = 900  # a claim of another machine that showed no life for so long is taken over
DAY = 86400  # nothing that probekit writes takes so long
NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}


class Claims:
    """The claims of this process in one folder.

    Every method raises StoreError where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        owner = {"host": _host(), "pid": os.getpid(), "born": _born(os.getpid()), "claims": uuid.uuid4().hex}
        self._mine = json.dumps(owner)

    def take(self, name: str) -> bool:
        """Claim a piece of work; False when a living process has it."""
        path = self._folder / name
        with writable(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            return self._create(path) or (bury(path, _abandoned) and self._create(path))

    def show_life(self, name: str) -> None:
        """Tell other machines that the work goes on; call it about once a minute."""
        with writable(self._folder), contextlib.suppress(FileNotFoundError):
            if self._is_mine(self._folder / name):
                os.utime(self._folder / name)

    def release(self, name: str) -> None:
        """Give the work back, done or not; a claim that another process has taken over stays with it."""
        with writable(self._folder):
            bury(self._folder / name, self._is_mine)

    def _is_mine(self, path: Path) -> bool:
        return path.read_text() == self._mine

    def _create(self, path: Path) -> bool:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            draft.write_text(self._mine)
            os.link(draft, path)  # exclusive, and never seen half written
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        return True


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Whether this process alone is inside; it does not wait.

    The file stays behind: were it deleted, two processes could lock two files of the same name. Where the file system
    has no locks, the creation of a second file stands in for it; after a kill that one has to be deleted by hand.

    Raises:
        StoreError: the file cannot be written, or a process without locks died inside.
    """
    with writable(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        unlock = _lock(path)
    try:
        yield unlock is not None
    finally:
        if unlock:
            unlock()


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
    return path.unlink


def bury(path: Path, judge: Callable[[Path], bool]) -> bool:
    """Whether the claim is gone, removed because the judge said so.

    It is judged again once it lies where nobody else can change it, and put back if it has become another one.
    """
    grave = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        if not judge(path):
            return False
        path.rename(grave)
        judged = judge(grave)
        if not judged:
            with contextlib.suppress(FileExistsError):
                os.link(grave, path)
        grave.unlink()
    except FileNotFoundError:
        return True  # another process was quicker
    return judged


def _abandoned(path: Path) -> bool:
    owner = json.loads(path.read_text())
    if owner["host"] == _host():
        return _born(owner["pid"]) is None or _born(owner["pid"]) != owner["born"]
    return time.time() - path.stat().st_mtime > STALE_SECONDS


def _host() -> str:
    """Where process numbers mean what they mean here: the machine, and the container in it."""
    try:
        return f"{socket.gethostname()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _born(pid: int) -> str | None:
    """Start time of a process, which tells it from a later one of the same number; None when it is gone."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if after_name[0] == "Z" else after_name[19]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return None
    try:  # no /proc: a living process of that number is taken for the owner
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"
