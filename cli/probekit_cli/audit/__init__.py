"""`probekit audit`: can the numbers of this data set be believed?

shown.py     what is printed
pictures.py  what is drawn
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Annotated, Any

import typer

from probekit_cli import options, output, questions
from probekit_cli.where import Where, selector


def audit(
    probe: Annotated[
        str, typer.Option(help="Probe of the features that stands beside the file properties.")
    ] = "logistic",
    distance: Annotated[
        int | None, typer.Option(min=0, max=64, help="Bits in which hashes of pictures to compare may differ: 8.")
    ] = None,
    alike: Annotated[
        float | None, typer.Option(help="Correlation from which on two pictures are near-duplicates: 0.96.")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="End with exit code 1 when a finding is bad.")] = False,
    sheets: Annotated[bool, typer.Option("--sheets/--no-sheets", help="Draw pairs and candidates as pictures.")] = True,
    model: options.Model = None,
    taps: options.Taps = None,
    manifest: options.Manifest = None,
    folds: options.Folds = None,
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    perturb: options.Perturb = None,
    allow_missing: options.AllowMissing = False,
    seed: options.Seed = 0,
    bootstrap: options.Bootstrap = 1000,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Look for what flatters a probe: leaks, near-duplicates, file properties that give classes away, wrong labels.

    Needs no features; where there are any, what they score stands beside what file properties alone score.

    Example: probekit audit --model srm --manifest demo
    """
    from probekit.audit import AuditSettings, read_files
    from probekit.audit import audit as look
    from probekit_cli.audit import pictures, shown

    where = Where(manifest, model, taps, selector(view, precision, store, perturb, "mean"), allow_missing, cache, runs)
    given: dict[str, Any] = {"distance": distance, "alike": alike}
    given = {name: value for name, value in given.items() if value is not None}
    settings = AuditSettings(probe=probe, folds=where.folds(folds), seed=seed, bootstrap=bootstrap, **given)
    with output.progress("reading files") as show:
        files = read_files(where.manifest, cache, on_file=show)
    with questions.session("audit", settings, where, features_needed=False) as session:
        session.left_out = "that could not be read or have no features left out"
        session.excluded |= dict(zip(files.unreadable["path"], files.unreadable["reason"], strict=True))
        with _steps() as say:
            result = look(files, settings, session.feature_sets(), say)
        shown.record(session, result)
        shown.answer(session, result)
        pictures.draw(session, result, sheets)
    session.finish(as_json)
    if strict and result.verdict == "bad":
        raise typer.Exit(1)


@contextmanager
def _steps() -> Iterator[Callable[[str, int, int], None]]:
    """Progress of one step after another, each under its own name."""
    showing: dict[str, Callable[[int, int], None]] = {}
    with ExitStack() as stack:

        def say(what: str, done: int, total: int) -> None:
            if what not in showing:
                stack.close()
                showing.clear()
                showing[what] = stack.enter_context(output.progress(what))
            showing[what](done, total)

        yield say
