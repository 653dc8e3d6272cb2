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
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from probekit.errors import StoreError
from probekit.store.files import writable

STALE_SECONDS = 900  # a claim of another machine that showed no life for so long is taken over
TRIES = 10  # of a claim while other processes put another folder in the place of this one
PAUSE = 0.05  # seconds between them
DAY = 86400  # nothing that probekit writes takes so long
CLAIMS = "journal/claims"
HOLD = "hold"
LOCK = "fold.lock"
NO_LOCKS = {errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENOLCK, errno.EINVAL}


_living: set[str] = set()
"""The names of the `Claims` of this process that are still there."""


class Claims:
    """The claims of this object in one folder; those that it still has when it goes are nobody's any more.

    Every method raises StoreError where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        name = uuid.uuid4().hex
        self._mine = json.dumps({"host": _host(), "pid": os.getpid(), "born": _born(os.getpid()), "claims": name})
        _living.add(name)
        weakref.finalize(self, _living.discard, name).atexit = False

    def take(self, name: str) -> bool:
        """Claim a piece of work; False when a living process has it, or holds everybody back."""
        with writable(self._folder):
            for attempt in range(1, TRIES + 1):
                try:
                    return self._take(name)
                except FileNotFoundError:  # another folder took the place of this one
                    if attempt == TRIES:
                        raise
                    time.sleep(PAUSE)
        return False

    def hold(self) -> bool:
        """Keep all others from claiming anything more, until `release(HOLD)`; False when another process does so.

        Whoever claims looks for a hold afterwards, and whoever holds looks at `living` afterwards: one of the two sees
        the other.
        """
        return self.take(HOLD)

    def holds(self) -> bool:
        """Whether the hold of this process is still in force."""
        try:
            return self._is_mine(self._folder / HOLD)
        except FileNotFoundError:
            return False

    def living(self) -> list[str]:
        """Who works in the store now: `process 123 on host`, each once, without this object's own claims."""
        owners = set()
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):  # released a moment ago
                if not self._is_mine(path) and not _abandoned(path):
                    owners.add(_owner(path))
        return sorted(owners)

    def dead(self) -> list[Path]:
        """Claims whose processes are gone."""
        found = []
        for path in self._files():
            with contextlib.suppress(FileNotFoundError):
                if _abandoned(path):
                    found.append(path)
        return found

    def bury_dead(self) -> None:
        """Remove the claims whose processes are gone."""
        with writable(self._folder):
            for path in self.dead():
                bury(path, _abandoned)

    def show_life(self, name: str) -> None:
        """Tell other machines that the work goes on; call it about once a minute."""
        with writable(self._folder), contextlib.suppress(FileNotFoundError):
            if self._is_mine(self._folder / name):
                os.utime(self._folder / name)

    def release(self, name: str) -> None:
        """Give the work back, done or not; a claim that another process has taken over stays with it."""
        with writable(self._folder):
            bury(self._folder / name, self._is_mine)

    def _take(self, name: str) -> bool:
        """One attempt.

        Raises:
            FileNotFoundError: the folder was exchanged meanwhile, and perhaps the claim is in the other one.
        """
        if name != HOLD and self._held_back():
            return False
        self._folder.mkdir(exist_ok=True)
        path = self._folder / name
        if not (self._create(path) or (bury(path, _abandoned) and self._create(path))):
            return False
        if name != HOLD and self._held_back():
            self.release(name)
            return False
        return self._is_mine(path)

    def _held_back(self) -> bool:
        try:
            return not (self._is_mine(self._folder / HOLD) or _abandoned(self._folder / HOLD))
        except FileNotFoundError:
            return False

    def _files(self) -> list[Path]:
        """The claims; any may be gone by the time it is looked at."""
        others = {LOCK, "fold.held", "zarr.json"}
        return [path for path in sorted(self._folder.glob("[!.]*")) if path.name not in others]

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
def alone_in(path: Path, claims: Claims) -> Iterator[None]:
    """Inside, no other process extracts into the store, folds, prunes or removes it, or begins to.

    Raises:
        StoreError: another process does one of these, or the store cannot be written.
    """
    if not claims.hold():
        raise StoreError(f"{path} is being pruned or removed by another process: wait until that has ended.")
    try:
        if others := claims.living():
            raise StoreError(f"{path} is being extracted into by {', '.join(others)}: wait until that has ended.")
        with exclusive(path / CLAIMS / LOCK) as alone:
            if not alone:
                raise StoreError(f"{path} is being folded by another process: wait until that has ended.")
            yield
    finally:
        claims.release(HOLD)


@contextlib.contextmanager
def exclusive(path: Path) -> Iterator[bool]:
    """Whether this process alone is inside; it does not wait.

    The file stays behind: were it deleted, two processes could lock two files of the same name. Where the file system
    has no locks, the creation of a second file stands in for it; after a kill that one has to be deleted by hand.

    Raises:
        StoreError: the file cannot be written, or a process without locks died inside.
    """
    with writable(path.parent):
        path.parent.mkdir(exist_ok=True)
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
    owner = _read(path)
    if owner.get("host") == _host():
        born = _born(owner["pid"])
        if born is None or born != owner["born"]:
            return True
        # an earlier run in this process, of a notebook for instance, may have been interrupted before it released it
        return owner["pid"] == os.getpid() and owner["claims"] not in _living
    return time.time() - path.stat().st_mtime > STALE_SECONDS


def _owner(path: Path) -> str:
    owner = _read(path)
    return f"process {owner['pid']} on {owner['host'].partition(' ')[0]}" if owner else f"the unknown owner of {path}"


def _read(path: Path) -> dict[str, Any]:
    """Who made the claim; empty where a machine lost power before it reached the disk, and only its age tells."""
    try:
        owner: dict[str, Any] = json.loads(path.read_text())
    except ValueError:
        return {}
    return owner


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
