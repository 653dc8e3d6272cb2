"""The report: run folders in, one self-contained HTML page out."""

from collections.abc import Sequence
from pathlib import Path

from probekit.errors import RunError
from probekit.reports.chapters import chapters_of
from probekit.reports.overview import overview
from probekit.reports.provenance import provenance, seeds
from probekit.reports.rows import rows_of
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
        seeds=seeds,
    )
