"""`probekit report`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options, output


def report(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[RUN]…",
            help="Run folders; every finished run without them.",
            callback=options.on_a_disk("run records", "name their folders"),
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The HTML file. Default: report.html in --runs.",
            callback=options.on_a_disk("reports"),
        ),
    ] = None,
    tables: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write the tables as Markdown and LaTeX instead; with --out, too.",
            callback=options.on_a_disk("tables", "name a folder"),
        ),
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Gather runs into one self-contained HTML file, or their tables into files to paste.

    Example: probekit report --out report.html --tables paper
    """
    from probekit import records
    from probekit.errors import RunError

    chosen, problems = (folders, []) if folders else records.finished(runs)
    for problem in problems:
        output.remark(f"left out: {problem}")
    if not chosen:
        raise RunError(f"{runs} has no finished run yet: ask a question first, for example `probekit probe`.")
    answer: dict[str, object] = {"runs": [str(folder) for folder in chosen]}
    if tables is not None:
        answer |= _tables(chosen, tables)
    if tables is None or out is not None:
        answer |= _page(chosen, out or runs / "report.html", title)
    if as_json:
        output.print_json(answer)


def _tables(chosen: Sequence[Path], folder: Path) -> dict[str, object]:
    from probekit.reports.tables import write

    written = write(chosen, folder)
    number = sum(path.suffix == ".md" for path in written) - 1
    output.remark(
        f"{output.count(number, 'table')} as Markdown and LaTeX: {folder} (all of them: tables.md, tables.tex)"
    )
    return {"tables": [str(path) for path in written]}


def _page(chosen: Sequence[Path], path: Path, title: str | None) -> dict[str, object]:
    from probekit import reports
    from probekit.errors import RunError

    page = reports.build(chosen, title)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}): choose another file with --out.") from error
    output.remark(f"{output.count(len(chosen), 'run')} in one page: {path}")
    return {"report": str(path), "bytes": len(page.encode())}
