"""How the commands print: JSON on standard output, remarks and progress on standard error (tables: `tables.py`)."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

QUICK = 3.0  # seconds of work that no progress is shown of


def stdout() -> "Console":
    """The console for results; wide where nobody's terminal limits it."""
    from rich.console import Console

    class Results(Console):
        def on_broken_pipe(self) -> None:
            """Leave it to `app.main`: the reader has seen enough, and all is recorded."""
            raise BrokenPipeError

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 160
    return Results(width=wide, highlight=False, emoji=False)


def stderr() -> "Console":
    """The console for progress and remarks."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def print_json(result: object) -> None:
    """The result as JSON, and nothing else, on standard output."""
    sys.stdout.write(json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def blank_line() -> None:
    """Room between two tables."""
    sys.stdout.write("\n")
    sys.stdout.flush()


def remark(text: str) -> None:
    """One line of news on standard error; what file names contain is shown, not obeyed."""
    from rich.text import Text

    stderr().print(Text(printable(text), style="dim"), soft_wrap=True)


def printable(text: str) -> str:
    """The text with control characters spelled out, so that no file name can steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def count(number: int, noun: str) -> str:
    """`1 sample`, `1,200 samples`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


@contextlib.contextmanager
def progress(what: str, *, told: bool = True) -> "Iterator[Callable[[int, int], None]]":
    """A bar with rate and time left on standard error, fed with (done, total); plain lines without a terminal.

    Args:
        what: is going on.
        told: whether anything is fed; else the time that has passed is all that can be shown.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    if not sys.stderr.isatty():
        yield _plain_progress(what)
        return
    if not told:
        with Progress(SpinnerColumn(), TextColumn(what), TimeElapsedColumn(), console=stderr()) as bar:
            bar.add_task(what, total=None)
            yield lambda _done, _total: None
        return
    rate = TextColumn("{task.fields[rate]}")
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), rate, TextColumn("left"), TimeRemainingColumn())
    with Progress(*columns, console=stderr(), transient=False) as bar:
        task = bar.add_task(what, total=None, rate="")
        began, first = time.monotonic(), -1

        def show(done: int, total: int) -> None:
            nonlocal began, first
            if first < 0:
                began, first = time.monotonic(), done
            per_second = (done - first) / max(time.monotonic() - began, 1e-9)
            bar.update(task, completed=done, total=total, rate=f"{per_second:,.1f}/s" if done > first else "")

        yield show


def _plain_progress(what: str) -> Callable[[int, int], None]:
    """A line in ten seconds and one at the end, for logs."""
    began = said = time.monotonic()
    first, ended = -1, False

    def show(done: int, total: int) -> None:
        nonlocal began, said, first, ended
        now = time.monotonic()
        if first < 0:
            began, said, first = now, now, done
        if ended or (done < total and now - said < 10):
            return
        if done >= total and now - began < QUICK:
            return
        said, ended = now, done >= total
        rate = (done - first) / max(now - began, 1e-9)
        left = f", {(total - done) / rate:.0f} s left" if rate > 0 and done < total else ""
        sys.stderr.write(f"{what}: {done} of {total}" + (f", {rate:,.1f}/s{left}" if rate > 0 else "") + "\n")

    return show


def listing(lines: "Sequence[tuple[str, str]]", rest: str, limit: int = 5) -> None:
    """The first few paths with their reasons, on standard error, and where the rest can be found."""
    for path, reason in lines[:limit]:
        remark(f"  {path}: {reason}")
    if len(lines) > limit:
        remark(f"  … and {len(lines) - limit} more: {rest}")
