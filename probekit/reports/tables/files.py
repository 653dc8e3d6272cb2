"""Tables of runs as files: one a table, and all in one page."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from probekit.errors import RunError
from probekit.reports.runs import load, named_apart
from probekit.reports.tables.latex import latex
from probekit.reports.tables.markdown import escape, markdown
from probekit.reports.tables.runs import tables_of
from probekit.reports.tables.table import Table


def write(run_folders: Sequence[Path], folder: Path) -> list[Path]:
    """The files written: `RUN/TABLE.md` and `.tex` of every table, `tables.md` with all, `tables.tex` that inputs all.

    Raises:
        RunError: a run cannot be read, or the folder cannot be written.
    """
    runs = named_apart([load(Path(path)) for path in run_folders])
    written: list[Path] = []
    page, inputs = [], ["% \\usepackage{booktabs}"]
    try:
        for run in runs:
            own = folder / run.path.name
            tables = _named(tables_of(run))
            page += [f"## {escape(run.path.name)}\n"] * bool(tables)
            for name, table in tables:
                own.mkdir(parents=True, exist_ok=True)
                labelled = replace(table, name=f"{run.verb}-{run.path.name[-8:]}-{name}")  # once in a document
                for extension, text in ((".md", markdown(table)), (".tex", latex(labelled))):
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
    found: dict[str, Table] = {}
    for table in tables:
        name = re.sub(r"[^A-Za-z0-9_.+@=-]+", "-", table.name).strip("-.")[:100] or "table"
        number = 2
        free = name
        while free.casefold() in (taken.casefold() for taken in found):
            free, number = f"{name}-{number}", number + 1
        found[free] = table
    return list(found.items())
