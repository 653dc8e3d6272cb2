"""`probekit blacklist match` and `calibrate`."""

from typing import Annotated

import typer

from probekit_cli import options, output
from probekit_cli.blacklist import choosing, shown

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

    settings = blacklist.MatchSettings(fpir, threshold, top, index)
    opened = choosing.opened(name, blacklists)
    blacklist.ready(opened.record, settings)  # what is lacking is said before features are computed
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
        shown.matches(found, run.path)
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

    chosen = one_of("--pool", pool, CHOICES)
    settings = blacklist.CalibrationSettings(fpir, chosen, searches, seed)
    opened = choosing.opened(name, blacklists)
    blacklist.require_examples(opened.record)
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
            blacklist.keep_threshold(opened.path, found.calibration)
        run.note(result=found.to_json())
        run.table("searches", found.searches)
        if images is not None and len(images.failed):
            run.table("failed", images.failed)
    if as_json:
        output.print_json(found.to_json() | {"blacklist": opened.record.name, "run": str(run.path)})
    else:
        shown.pools(found, opened.record.name)
    for note in found.notes:
        output.remark(f"note: {note}")
    if found.calibration is None:
        raise typer.Exit(UNSET)
    if images is not None:
        choosing.failures(images, run.path)
