"""How the commands print: JSON on standard output, remarks and progress on standard error (tables: `tables.py`)."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from rich.console import Console

QUICK = 3.0  # seconds of work that no progress is shown of
SURE, FEW, SHARE = 2.0, 5, 0.03  # seconds, items and share of all from which a speed means something


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


class Show(Protocol):
    """Takes how far something is: items done, of how many, and what else is to be said."""

    def __call__(self, done: int, total: int, said: str = "") -> None:
        """Show it."""


@contextlib.contextmanager
def progress(what: str, *, told: bool = True) -> "Iterator[Show]":
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
    )

    if not sys.stderr.isatty():
        yield _plain_progress(what)
        return
    if not told:
        with Progress(SpinnerColumn(), TextColumn(what), TimeElapsedColumn(), console=stderr()) as bar:
            bar.add_task(what, total=None)
            yield lambda done, total, said="": None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=stderr(), transient=False) as bar:
        task = bar.add_task(what, total=None, pace="")
        began, first = time.monotonic(), -1

        def show(done: int, total: int, said: str = "") -> None:
            nonlocal began, first
            if first < 0:
                began, first = time.monotonic(), done
            pace = spell_pace(done - first, total - done, time.monotonic() - began)
            words = ", ".join(filter(None, (pace.removeprefix(", "), said)))
            bar.update(task, completed=done, total=total, pace=words)

        yield show


def _plain_progress(what: str) -> Show:
    """A line in ten seconds and one at the end, for logs."""
    began = last = time.monotonic()
    first, ended = -1, False

    def show(done: int, total: int, said: str = "") -> None:
        nonlocal began, last, first, ended
        now = time.monotonic()
        if first < 0:
            began, last, first = now, now, done
        if ended or (done < total and now - last < 10):
            return
        if done >= total and now - began < QUICK:
            return
        last, ended = now, done >= total
        words = spell_pace(done - first, total - done, now - began) + (f", {said}" if said else "")
        sys.stderr.write(f"{what}: {done} of {total}{words}\n")

    return show


def spell_pace(done: int, left: int, seconds: float) -> str:
    """`, 1.2/s, 5 min left`; empty before there is enough to judge by, the first item apart, which loads and compiles.

    Args:
        done: items since the first was.
        left: items that are not done.
        seconds: that they took.
    """
    if seconds < SURE or not (done >= FEW or done >= SHARE * (done + left) > 0):
        return ""
    rate = done / seconds
    spelled = f"{rate:,.0f}" if rate >= 10 else f"{rate:.1f}" if rate >= 1 else f"{rate:.1g}"
    return f", {spelled}/s" + (f", {_spell_time(left / rate)} left" if left else "")


def _spell_time(seconds: float) -> str:
    """About how long, in the largest unit of which there are two or more."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def listing(lines: "Sequence[tuple[str, str]]", rest: str, limit: int = 5) -> None:
    """The first few paths with their reasons, on standard error, and where the rest can be found."""
    for path, reason in lines[:limit]:
        remark(f"  {path}: {reason}")
    if len(lines) > limit:
        remark(f"  … and {len(lines) - limit} more: {rest}")
