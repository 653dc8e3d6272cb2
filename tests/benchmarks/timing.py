"""Timing: repetitions in turn, so that a busy moment of the machine meets all alike, and children of our own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.benchmark import NotMeasured

MIB = 1 << 20
GIB = 1 << 30

_LAUNCHER = """
import json, os, sys, time
began = time.perf_counter()
child = os.posix_spawn(sys.argv[2], sys.argv[2:], os.environ)
_, status, usage = os.wait4(child, 0)
found = {"seconds": time.perf_counter() - began, "code": os.waitstatus_to_exitcode(status), "maxrss": usage.ru_maxrss}
open(sys.argv[1], "w").write(json.dumps(found))
"""

_PROBEKIT = "import sys; sys.argv[0] = 'probekit'; from probekit_cli.app import main; main()"


@dataclass(frozen=True)
class Times:
    """Seconds of each repetition of one thing."""

    seconds: tuple[float, ...]

    @property
    def best(self) -> float:
        """The fastest repetition: what else runs on a machine can only make it slower."""
        return min(self.seconds)


def in_turn(
    things: Mapping[str, Callable[[], float | None]], repetitions: int, warm_up: bool = True
) -> dict[str, Times]:
    """Times of several things, all of them once before any is repeated, in one order and then the other.

    Args:
        things: what to time; a thing that returns a number has taken its own time.
        repetitions: of each.
        warm_up: run each once before, without counting it.
    """
    if warm_up:
        for thing in things.values():
            thing()
    seconds: dict[str, list[float]] = {name: [] for name in things}
    for repetition in range(repetitions):
        for name in things if repetition % 2 == 0 else reversed(things):
            began = time.perf_counter()
            own = things[name]()
            seconds[name].append(time.perf_counter() - began if own is None else own)
    return {name: Times(tuple(found)) for name, found in seconds.items()}


@dataclass(frozen=True)
class Child:
    """A finished child process."""

    seconds: float
    """From its start to its end, the interpreter's own start included."""
    peak: int
    """Bytes of memory, resident, at most."""
    output: str
    """What it wrote to standard output."""


def run_probekit(*arguments: str, folder: Path) -> Child:
    """`probekit ARGUMENTS`, the real command, in a process of its own with this folder as its working folder."""
    return run_child([sys.executable, "-c", _PROBEKIT, *arguments], folder)


def run_child(command: Sequence[str], folder: Path) -> Child:
    """The command in a process of its own.

    It is started by a process that is next to nothing: the system counts towards a child's peak what its parent
    held when it was born.

    Raises:
        NotMeasured: there are no such counts on this system.
        RuntimeError: it failed; the message ends with what it said.
    """
    if not hasattr(os, "posix_spawn"):
        raise NotMeasured("this system does not tell the peak memory of a child")
    found, output, said = (folder / f"child.{kind}" for kind in ("json", "out", "log"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PROBEKIT_")},
        "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path),
    }
    with output.open("wb") as out, said.open("wb") as log:
        launch = [sys.executable, "-I", "-S", "-c", _LAUNCHER, str(found), *command]
        subprocess.run(launch, cwd=folder, env=environment, stdout=out, stderr=log, check=True)
    child = json.loads(found.read_text())
    if child["code"] != 0:
        last = said.read_text(errors="replace").strip().splitlines()[-3:]
        raise RuntimeError(f"the command ended with code {child['code']}: {' / '.join(last)}")
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss
    return Child(child["seconds"], child["maxrss"] * unit, output.read_text())
