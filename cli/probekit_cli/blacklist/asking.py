"""`probekit blacklist match` and `calibrate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, tables
from probekit_cli.blacklist import choosing

if TYPE_CHECKING:
    import pandas as pd

    from probekit.blacklist import Calibrated, Matches

SHOWN = 200  # images in the table on the screen; the run's tables hold all
WIDE = 100  # columns of a terminal that has room for the examples' paths
DIGITS = 5  # of similarities: those of forensic features lie close to 1
UNSET = 2  # exit code where a threshold was asked for and none could be set


def match(
    inputs: Annotated[
        list[str], typer.Argument(metavar=choosing.METAVAR, help="Images and folders of them; or a manifest.")
    ],
    fpir: Annotated[float | None, typer.Option(help="Whose calibrated threshold. Default: that set last.")] = None,
    threshold: Annotated[float | None, typer.Option(help="A similarity in place of a calibrated threshold.")] = None,
    top: Annotated[int, typer.Option(min=1, help="Nearest examples that are shown for each image.")] = 1,
    index: Annotated[
        str, typer.Option(help="auto, flat (exact), ivf, hnsw or ivfpq: quicker, and may miss an example.")
    ] = "auto",
    of: Annotated[str | None, typer.Option("--of", metavar="GEN", help="Of a manifest, only this generator.")] = None,
    split: choosing.Split = None,
    frames: choosing.Frames = 8,
    weights: choosing.Weights = None,
    device: choosing.Device = None,
    batch_size: choosing.BatchSize = None,
    workers: choosing.Workers = None,
    name: choosing.Blacklist = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Say which registered generator made each image, or `unknown`, with the nearest examples.

    The score is the similarity of the nearest example, never a vote.

    Example: probekit blacklist match faces --top 3 --blacklist watch
    """
    from probekit import blacklist, records

    path = blacklist.find_blacklist(name, blacklists)
    settings = blacklist.MatchSettings(fpir, threshold, top, index)
    opened = blacklist.Blacklist.open(path)
    asked = {"blacklist": opened.record.name, "version": opened.record.version, "settings": settings}
    engine = choosing.Engine(cache, weights, device, batch_size, workers, frames)
    with records.start("blacklist-match", {**asked, "images": inputs, "frames": frames}, runs=runs) as run:
        images = engine.images(opened.record, inputs, generator=of, split=split)
        found = blacklist.match(opened, images, settings)
        run.note(result=found.to_json(every_image=False))
        run.table("matches", found.table)
        run.table("nearest", found.nearest)
        if len(images.failed):
            run.table("failed", images.failed)
    if as_json:
        output.print_json(found.to_json() | {"run": str(run.path)})
    else:
        _show(found, run.path)
    for note in found.notes:
        output.remark(f"note: {note}")
    choosing.failures(images, run.path)


def calibrate(
    fpir: Annotated[
        float, typer.Option(help="Share of images from unregistered generators that may be named falsely.")
    ] = 0.01,
    real: Annotated[
        list[str] | None,
        typer.Option("--real", metavar=choosing.METAVAR, help="Real images, or a manifest; may be given again."),
    ] = None,
    split: choosing.Split = None,
    pool: Annotated[
        str, typer.Option(help="Which searches set it: stricter (of both pools), real, or registered.")
    ] = "stricter",
    searches: Annotated[
        int, typer.Option(min=1, help="Examples that are searched without their own generator, at most.")
    ] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of their drawing, where there are more.")] = 0,
    frames: choosing.Frames = 8,
    weights: choosing.Weights = None,
    device: choosing.Device = None,
    batch_size: choosing.BatchSize = None,
    workers: choosing.Workers = None,
    name: choosing.Blacklist = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Set the threshold that images of unregistered generators reach with a wanted share: the FPIR.

    Searched are real images, and each registered generator's examples among those of the others.

    Of a manifest, real images of its validation split are taken unless --split says otherwise.

    Example: probekit blacklist calibrate --fpir 0.1 --real manifest:demo
    """
    from probekit import blacklist, records
    from probekit.blacklist.calibration import CHOICES
    from probekit.registry import one_of

    path = blacklist.find_blacklist(name, blacklists)
    chosen = one_of("--pool", pool, CHOICES)
    settings = blacklist.CalibrationSettings(fpir, chosen, searches, seed)
    opened = blacklist.Blacklist.open(path)
    engine = choosing.Engine(cache, weights, device, batch_size, workers, frames)
    asked = {"blacklist": opened.record.name, "version": opened.record.version, "settings": settings, "real": real}
    with records.start("blacklist-calibrate", {**asked, "split": split, "frames": frames}, runs=runs) as run:
        images = None
        if real:
            of_manifest = real[0].startswith(choosing.MANIFEST)
            only = {"generator": "real", "split": split or "val"} if of_manifest else {"split": split}
            images = engine.images(opened.record, real, **only)
        found = blacklist.calibrate(opened, images, settings)
        if found.calibration is not None:
            blacklist.keep_threshold(path, found.calibration)
        run.note(result=found.to_json())
        run.table("searches", found.searches)
        if images is not None and len(images.failed):
            run.table("failed", images.failed)
    if as_json:
        output.print_json(found.to_json() | {"blacklist": opened.record.name, "run": str(run.path)})
    else:
        _show_pools(found, opened.record.name)
    for note in found.notes:
        output.remark(f"note: {note}")
    if found.calibration is None:
        raise typer.Exit(UNSET)
    if images is not None:
        choosing.failures(images, run.path)


def _show(found: "Matches", run: Path) -> None:
    record, table = found.record, found.table.head(SHOWN)
    wide = output.stdout().width >= WIDE
    if found.settings.top > 1:
        shown = found.nearest[found.nearest["path"].isin(table["path"])].merge(
            found.table[["path", "generator"]].rename(columns={"generator": "answer"}).drop_duplicates(), on="path"
        )
        shown = shown[["path", "answer", "place", "generator", "similarity", "example", "example_path"]]
    else:
        shown = table.drop(columns="generator")
        shown.insert(1, "answer", table["generator"])
    if found.threshold is None:
        shown = shown.drop(columns="answer")
    if len(shown):
        tables.print_table(_spelled(shown if wide else shown.drop(columns="example_path")), title=_title(found))
    if len(found.table) > SHOWN:
        output.remark(f"… and {len(found.table) - SHOWN:,} more: {run / 'tables' / 'matches.csv'}")
    if found.threshold is not None:
        named = int((found.table["generator"] != "unknown").sum())
        output.remark(
            f"{output.count(len(found.table), 'image')}: {named:,} of registered generators, "
            f"{len(found.table) - named:,} unknown"
        )
    said = f", recall@10 {found.recall:.3f} on a sample" if found.recall is not None else ""
    searched = "exactly" if found.engine == "flat" else f"by {found.engine}{said}"
    output.remark(f"searched {searched}: {output.count(record.examples, 'example')}, version {record.version}")
    output.remark(f"tables: {run}")


def _spelled(shown: "pd.DataFrame") -> "pd.DataFrame":
    """Short ids, and similarities with as many digits as the threshold."""
    from probekit.blacklist import SHORT

    numbers = [name for name in ("score", "similarity") if name in shown]
    digits = {name: [f"{value:.{DIGITS}f}" for value in shown[name]] for name in numbers}
    return shown.assign(**digits, example=[text[:SHORT] for text in shown["example"]])


def _title(found: "Matches") -> str:
    said = f"{found.record.name} · {found.record.references}"
    if found.threshold is None:
        return f"{said} · no threshold"
    expected = "not known" if found.expected_fpir is None else f"{found.expected_fpir:g}"
    return f"{said} · threshold {found.threshold:.{DIGITS}f} · expected FPIR {expected}"


def _show_pools(found: "Calibrated", name: str) -> None:
    import pandas as pd

    rows = [
        {
            "pool": pool.name,
            "searches": pool.searches,
            "threshold": "unresolvable" if pool.threshold is None else f"{pool.threshold:.{DIGITS}f}",
        }
        for pool in found.pools
    ]
    fpir = found.settings.fpir
    tables.print_table(pd.DataFrame(rows), title=f"{name} · threshold for FPIR {fpir:g}")
    if found.calibration is None:
        output.remark(
            f"unresolvable: FPIR {fpir:g} needs {found.needed:,} searches in each pool that sets it. Nothing was set: "
            "give more real images, register more examples, or ask a larger --fpir."
        )
    else:
        output.remark(f"set: {found.calibration.threshold:.{DIGITS}f}, from the pool {found.calibration.pool}")
