"""The report: run folders in, one self-contained HTML page out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from probekit.errors import RunError
from probekit.reports.chapters import chapters_of
from probekit.reports.overview import overview
from probekit.reports.provenance import provenance, seeds
from probekit.reports.rows import rows_of
from probekit.reports.runs import Run
from probekit.reports.tables import latex, markdown, tables_of
from probekit.reports.template import render


def build(run_folders: Sequence[Path], title: str | None = None) -> str:
    """One HTML page about these runs, in the order of the work; equal folders give equal bytes.

    Raises:
        RunError: no folder was given, or one of them cannot be read.
    """
    chapters = chapters_of(run_folders)
    if not chapters:
        raise RunError("there are no runs to report on: run a command first, for example probekit probe.")
    found = provenance([chapter.run for chapter in chapters])
    return render(
        "report.html",
        scripts=("theme.js", "report.js", "map.js"),
        title=title or "What the features know",
        chapters=chapters,
        overview=overview(chapters, found),
        provenance=found,
        ended=max((str(chapter.run.record.get("ended") or "") for chapter in chapters), default=""),
        rows_of=rows_of,
        pasted=_pasted,
        seeds=seeds,
    )


@dataclass(frozen=True)
class _Pasted:
    """A table of a run as text for other documents."""

    name: str
    caption: str
    forms: tuple[tuple[str, str], ...]
    """Name and text of each form."""


def _pasted(run: Run) -> list[_Pasted]:
    return [
        _Pasted(table.name, table.caption, (("Markdown", markdown(table)), ("LaTeX", latex(table))))
        for table in tables_of(run)
    ]
