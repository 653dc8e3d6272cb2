"""Tables of runs as files: one a table, and all in one page."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probekit.errors import RunError
from probekit.reports.runs import load, named_apart
from probekit.reports.tables.latex import label, latex
from probekit.reports.tables.markdown import escape, markdown
from probekit.reports.tables.runs import tables_of
from probekit.reports.tables.table import Table

LONGEST = 100
"""Characters of a name, before what tells it apart."""


def write(run_folders: Sequence[Path], folder: Path) -> list[Path]:
    r"""The files written: `RUN/TABLE.md` and `.tex` of every table, `tables.md` with all, `tables.tex` that inputs all.

    RUN and TABLE are letters, digits, `-` and `_`, because `\input` runs what is in a path; equal ones have a number.

    Raises:
        RunError: a run cannot be read, or the folder cannot be written.
    """
    runs = named_apart([load(Path(path)) for path in run_folders])
    written: list[Path] = []
    page, inputs = [], ["% \\usepackage{booktabs}"]
    folders, labels = set[str](), set[str]()
    try:
        for run in runs:
            tables = _named(tables_of(run))
            if not tables:
                continue
            own = folder / _free(_plain(run.path.name, "run"), folders)
            own.mkdir(parents=True, exist_ok=True)
            page.append(f"## {escape(own.name)}\n")
            for name, table in tables:
                once = _free(label(f"{run.verb}-{own.name[-8:]}-{name}"), labels)  # in a document
                for extension, text in ((".md", markdown(table)), (".tex", latex(replace(table, name=once)))):
                    path = own / f"{name}{extension}"
                    path.write_text(text, encoding="utf-8")
                    written.append(path)
                page.append(markdown(table))
                inputs.append(f"\\input{{{own.name}/{name}}}")
        folder.mkdir(parents=True, exist_ok=True)
        for path, lines in ((folder / "tables.md", page), (folder / "tables.tex", inputs)):
            path.write_text("\n".join(lines) + "\n" * (path.suffix == ".tex"), encoding="utf-8")
            written.append(path)
    except OSError as error:
        raise RunError(f"{folder} cannot be written ({error.strerror}): choose another one with --tables.") from error
    return written


def _named(tables: Sequence[Table]) -> list[tuple[str, Table]]:
    """The tables with names that files and LaTeX take, told apart."""
    taken = set[str]()
    return [(_free(_plain(table.name, "table"), taken), table) for table in tables]


def _plain(name: str, otherwise: str) -> str:
    """The name in letters, digits, `-` and `_`, which no file system and no LaTeX takes for anything else."""
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:LONGEST].strip("-") or otherwise


def _free(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken, in capitals or not; it is taken from now on."""
    free, number = name, 2
    while free.casefold() in taken:
        free, number = f"{name}-{number}", number + 1
    taken.add(free.casefold())
    return free
