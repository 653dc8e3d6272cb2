"""The command line as a person types it: each command in a process of its own, which need not import everything anew.

PyTorch and what goes with it take several seconds to import. One process imports them once and forks a child for every
command. From there on, the child runs the very code that a new process runs: it has its own memory, arguments, output
and end. The parent imports and never computes: threads do not survive a fork.
"""

import atexit
import gc
import importlib
import json
import os
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

COMMAND = "import sys; sys.argv[0] = 'probekit'; from probekit_cli.app import main; main()"
SERVE = "from tests.cli.forked import serve; serve()"
HEAVY = (
    "captum.attr",
    "cv2",
    "faiss",
    "matplotlib.pyplot",
    "open_clip",
    "openTSNE",
    "pandas",
    "pyarrow.parquet",
    "safetensors.torch",
    "scipy.stats",
    "skimage",
    "sklearn.linear_model",
    "sklearn.neighbors",
    "timm",
    "torch",
    "torchvision",
    "transformers.models.clip.modeling_clip",
    "zarr",
)  # not Ray, whose own threads and processes begin with it


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str
    seconds: float
    """Of processors, its own children included."""


class Prompt:
    """A place where commands are typed: its working folder and its environment."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self.home, self.environment = home, environment
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> "Prompt":
        self._server = subprocess.Popen(
            [sys.executable, "-c", SERVE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self.home,
            env=self.environment,
            text=True,
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        assert self._server
        self._server.communicate()  # the end of its input is the end of its work
        assert self._server.returncode == 0

    def type(self, arguments: Sequence[str]) -> Done:
        """What the command leaves behind that ran in a forked child."""
        assert self._server
        assert self._server.stdin
        assert self._server.stdout
        out, err = (self.home / f".{name}" for name in ("stdout", "stderr"))
        self._server.stdin.write(json.dumps([list(arguments), str(out), str(err)]) + "\n")
        self._server.stdin.flush()
        code, seconds = json.loads(self._server.stdout.readline())
        return Done(code, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"), seconds)

    def type_in_a_new_process(self, arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """What the command leaves behind that ran as any other program does."""
        return subprocess.run(
            [sys.executable, "-c", COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.home,
            env=self.environment,
            text=True,
            check=False,
        )


def serve() -> None:
    """Run every command that is read from stdin in a child, and write its exit code and seconds to stdout."""
    for module in HEAVY:
        importlib.import_module(module)
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()  # a collection in a child would copy every page that it shares with its parent
    for line in sys.stdin:
        arguments, *files = json.loads(line)
        pid = os.fork()
        if not pid:
            _redirect(os.devnull, *files)
            sys.argv[1:] = arguments
            os._exit(_run())
        _, status, used = os.wait4(pid, 0)
        print(json.dumps([os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime]), flush=True)
    os._exit(0)  # some of these libraries complain when they are taken apart


def _run() -> int:
    """Exit code of the command, after all that an interpreter does at its end but free memory: that takes a second."""
    code = 1
    try:
        exec(COMMAND, vars(sys.modules["__main__"]))
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:  # noqa: BLE001  # a child must not run on in its parent's code
        traceback.print_exc()
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    return code


def _redirect(source: str, out: str, err: str) -> None:
    for descriptor, path, flags in ((0, source, os.O_RDONLY), (1, out, os.O_WRONLY), (2, err, os.O_WRONLY)):
        file = os.open(path, flags | (os.O_CREAT | os.O_TRUNC if descriptor else 0), 0o600)
        os.dup2(file, descriptor)
        os.close(file)
