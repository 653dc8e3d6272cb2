"""How the commands print: JSON on standard output, remarks and progress on standard error (tables: `tables.py`)."""

import contextlib
import json
import os
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from probekit_cli.pace import Log, Pace

if TYPE_CHECKING:
    from rich.console import Console


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


def print_facts(facts: Mapping[str, object], indent: int = 0) -> None:
    """A record in lines of `name: value`, what a value consists of beneath it, folded to the terminal's width."""
    width, beneath = stdout().width, " " * (indent + 4)
    for name, value in facts.items():
        label = " " * indent + printable(name)
        if isinstance(value, Mapping) and value:
            sys.stdout.write(f"{label}:\n")
            print_facts(value, indent + 2)
            continue
        line = f"{label}: {printable(_in_words(value))}"
        folded = textwrap.wrap(line, width, subsequent_indent=beneath, break_long_words=False, break_on_hyphens=False)
        sys.stdout.write("\n".join(folded) + "\n")
    sys.stdout.flush()


def _in_words(value: object) -> str:
    """`none`, `yes`, `0.5, 0.5`; parts of parts in brackets."""
    if value is None or value in ("", [], (), {}):
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(part)}" for name, part in value.items())
    if isinstance(value, list | tuple):
        nested = any(isinstance(part, list | tuple | Mapping) for part in value) and len(value) > 1
        return ", ".join(f"({_in_words(part)})" if nested else _in_words(part) for part in value)
    return f"{value:,}" if isinstance(value, int) else str(value)


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


def confirm_removal(question: str) -> None:
    """Ask on standard error; nothing happens if the answer is yes.

    Raises:
        typer.Abort: it is no, or there is none.
    """
    import typer

    try:
        typer.confirm(question, abort=True, err=True)
    except typer.Abort as stop:
        stop.add_note("nothing was removed")
        raise


def count(number: int, noun: str) -> str:
    """`1 sample`, `1,200 samples`."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


class Show(Protocol):
    """Takes how far something is: items done, of how many, and what else is to be said."""

    def __call__(self, done: int, total: int, said: str = "") -> None:
        """Show it."""


@contextlib.contextmanager
def progress(what: str, *, told: bool = True) -> "Iterator[Show]":
    """A bar with rate and time left on standard error, fed with (done, total); lines of a log without a terminal.

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
        with Log(what) as pace:
            yield pace.take
        return
    if not told:
        with Progress(SpinnerColumn(), TextColumn(what), TimeElapsedColumn(), console=stderr()) as bar:
            bar.add_task(what, total=None)
            yield lambda done, total, said="": None
        return
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=stderr(), transient=False) as bar:
        task = bar.add_task(what, total=None, pace="")
        pace = Pace()

        def show(done: int, total: int, said: str = "") -> None:
            pace.take(done, total, said)
            bar.update(task, completed=done, total=total, pace=str(pace))

        yield show


def listing(lines: "Sequence[tuple[str, str]]", rest: str, limit: int = 5) -> None:
    """The first few paths with their reasons, on standard error, and where the rest can be found."""
    for path, reason in lines[:limit]:
        remark(f"  {path}: {reason}")
    if len(lines) > limit:
        remark(f"  … and {len(lines) - limit} more: {rest}")
