"""Kills at every write: whatever writes a cache is killed, repeated, and compared with an undisturbed run.

The process imports everything once and forks a child for each life, so that a life costs no start. An audit hook in
the child sees every file that Python opens for writing, and every rename, link, removal and new folder, in any thread:
zarr's writes and Parquet's are among them. For each of them the scenario is run again in a fresh folder and dies

    before   at that call, by `os._exit`
    half     with half of the file's bytes written: the kernel kills the process at that size (RLIMIT_FSIZE)

and "after" a write is "before" the next one. Then it is run to its end, in another child, and what it left is compared
with an undisturbed run.
"""

import json
import os
import resource
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

CHANGES = {"os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "probekit.exchange"}
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
DEATH = 77


class Watch:
    """Counts the changes below a folder, and dies at one of them."""

    def __init__(self, folder: Path) -> None:
        self.below = str(folder)
        self.seen: list[tuple[str, str]] = []
        self.sizes: dict[str, int] = {}
        """Draft → bytes that it had when it got its name."""
        self.die_before = self.half_of = -1
        self.half = 0
        self._lock = threading.Lock()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if not (isinstance(path, str | bytes) and isinstance(flags, int) and flags & WRITES):
                return
        elif event in CHANGES:
            path = arguments[0]
        else:
            return
        path = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if not path.startswith(self.below):
            return
        with self._lock:
            if event in ("os.rename", "os.link"):
                self.sizes[path] = Path(path).stat().st_size if Path(path).is_file() else 0
            number = len(self.seen)
            if number == self.die_before:
                os._exit(DEATH)
            if number == self.half_of:
                resource.setrlimit(resource.RLIMIT_FSIZE, (self.half, self.half))
            self.seen.append((event, path))


def in_a_child(task: Callable[[], object]) -> tuple[int, object]:
    """Exit status and result of a task in a forked process."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reader)
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = 1
        try:
            answer = json.dumps(task()).encode()
            with os.fdopen(writer, "wb") as pipe:
                pipe.write(answer)
            status = 0
        except BaseException:  # noqa: BLE001  # a child must not run on in its parent's code
            traceback.print_exc()
        finally:
            os._exit(status)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        answer = pipe.read()
    status = os.waitpid(pid, 0)[1]
    return os.waitstatus_to_exitcode(status), json.loads(answer) if answer else None


def every_death(
    prepare: Callable[[Path], None],
    act: Callable[[Path], object],
    between: Callable[[Path], list[str]],
    inspect: Callable[[Path], object],
    folder: Path,
    every: int,
) -> tuple[int, list[str]]:
    """Number of lives, and what was wrong after some death.

    Args:
        prepare: makes what the act begins with.
        act: what is killed and then repeated.
        between: what is wrong after the death, before the repetition.
        inspect: what must be equal to an undisturbed run in the end.
        folder: where all this happens; it is always the same, so that paths are.
        every: of the writes, one in so many is tried.
    """
    start, place = folder / "start", folder / "place"
    shutil.rmtree(start, ignore_errors=True)
    assert in_a_child(lambda: prepare(start)) == (0, None)

    def afresh() -> None:
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(start, place, symlinks=True)  # with the files' times, which the index of keys goes by

    def undisturbed() -> list[tuple[str, str, int]]:
        watch = Watch(place / "cache")
        act(place)
        return [(event, path, watch.sizes.get(path, 0)) for event, path in watch.seen]

    afresh()
    status, writes = in_a_child(undisturbed)
    assert status == 0
    status, expected = in_a_child(lambda: inspect(place))
    assert status == 0
    wrong, lives = [], 0
    for number, (event, path, size) in list(enumerate(writes))[::every]:
        for way in ("before", "half") if event == "open" and size > 1 else ("before",):
            lives += 1
            afresh()

            def dying(number=number, way=way, size=size) -> None:
                watch = Watch(place / "cache")
                watch.half = size // 2
                watch.die_before, watch.half_of = (number, -1) if way == "before" else (-1, number)
                act(place)

            died, _ = in_a_child(dying)
            where = f"{way} write {number} ({event} {Path(path).relative_to(place)})"
            if died == 1:
                wrong.append(f"{where}: an error instead of a death")
            if died == 0 and way == "before" and number < len(writes) // 2:
                wrong.append(f"{where}: it lived on")
            for problem in in_a_child(lambda: between(place))[1] or []:
                wrong.append(f"{where}: {problem}")
            if in_a_child(lambda: act(place))[0] != 0:
                wrong.append(f"{where}: the repetition failed")
            elif (found := in_a_child(lambda: inspect(place))) != (0, expected):
                wrong.append(f"{where}: {found} instead of {expected}")
    return lives, wrong
