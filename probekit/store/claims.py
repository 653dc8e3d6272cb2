"""Claims: several processes share the work on one store by exclusive creation of small files.

A claim only saves work. Should two processes hold the same one (its owner was slow to show life on another machine),
both write the same rows, readers see one of them, and nothing is wrong.
"""

import contextlib
import json
import os
import socket
import time
import uuid
from pathlib import Path

STALE_SECONDS = 900  # a claim of another machine that showed no life for so long is taken over


class Claims:
    """The claims of this process in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._owner = {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}

    def take(self, name: str) -> bool:
        """Claim a piece of work; False when a living process has it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / name
        if self._create(path):
            return True
        if not _abandoned(path):
            return False
        grave = path.with_name(f".{name}.{uuid.uuid4().hex}")
        with contextlib.suppress(FileNotFoundError):  # another process was quicker to bury it
            path.rename(grave)
            grave.unlink()
        return self._create(path)

    def show_life(self, name: str) -> None:
        """Tell other machines that the work goes on; call it about once a minute."""
        with contextlib.suppress(FileNotFoundError):
            os.utime(self._folder / name)

    def release(self, name: str) -> None:
        """Give the work back, done or not."""
        (self._folder / name).unlink(missing_ok=True)

    def _create(self, path: Path) -> bool:
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        draft.write_text(json.dumps(self._owner))
        try:
            os.link(draft, path)  # exclusive, and never seen half written
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True


def _abandoned(path: Path) -> bool:
    try:
        owner = json.loads(path.read_text())
        age = time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return True
    if owner["host"] == socket.gethostname():
        return _born(owner["pid"]) is None or _born(owner["pid"]) != owner["born"]
    return age > STALE_SECONDS


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
