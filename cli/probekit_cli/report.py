"""`probekit report`."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options, output


def report(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]…", help="Run folders; every finished run without them.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The HTML file. Default: report.html in --runs.")
    ] = None,
    title: Annotated[str | None, typer.Option(help="Heading of the page.")] = None,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Gather runs into one self-contained HTML file.

    Example: probekit report --out report.html
    """
    from probekit import records, reports
    from probekit.errors import RunError

    chosen, problems = (folders, []) if folders else records.finished(runs)
    for problem in problems:
        output.remark(f"left out: {problem}")
    if not chosen:
        raise RunError(f"{runs} has no finished run yet: ask a question first, for example `probekit probe`.")
    page = reports.build(chosen, title)
    path = out or runs / "report.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror}): choose another file with --out.") from error
    if as_json:
        output.print_json(
            {"report": str(path), "runs": [str(folder) for folder in chosen], "bytes": len(page.encode())}
        )
    else:
        output.remark(f"{output.count(len(chosen), 'run')} in one page: {path}")
