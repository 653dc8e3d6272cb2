"""`probekit blacklist create`, `register` and `unregister`."""

from typing import Annotated

import typer

from probekit_cli import options, output
from probekit_cli.blacklist import choosing
from probekit_cli.where import selector


def create(
    name: Annotated[str, typer.Argument(help="What it is called, and its folder in blacklists/.")],
    model: Annotated[
        str,
        typer.Option("--model", metavar="MODEL[#TAP][+…]", help="Features to compare; a+b puts two side by side."),
    ],
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    perturb: options.Perturb = None,
    weights: choosing.Weights = None,
    device: choosing.Device = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Make an empty blacklist; the features that it compares are fixed now.

    Example: probekit blacklist create watch --model srm
    """
    from probekit import blacklist

    engine = choosing.Engine(cache, weights, device, None, None)
    meant = selector(view, precision, store, perturb, "mean")
    blacklist.require_name(name)
    blocks = blacklist.find_blocks(model, cache, meant, weights=engine.checkpoints(), device=device)
    record = blacklist.create(blacklists / name, blocks).record
    if as_json:
        output.print_json({"path": str(blacklists / name), **record.to_json()})
        return
    output.remark(f"{blacklists / name} compares {record.title}, {record.width} numbers an image.")
    if others := blacklist.other_views(blocks, cache) if view is None and store is None else ():
        output.remark(f"note: the cache has other views, too ({'; '.join(others)}): --view chooses one of them.")
    several = f" --blacklist {name}" if len(blacklist.list_blacklists(blacklists)) > 1 else ""
    output.remark(f"next: probekit blacklist register GENERATOR --from FOLDER{several}")


def register(
    generator: Annotated[str, typer.Argument(help="What made the images.")],
    inputs: Annotated[
        list[str],
        typer.Option("--from", metavar=choosing.METAVAR, help="Images, folders or a manifest; may be given again."),
    ],
    of: Annotated[
        str | None, typer.Option("--of", metavar="GEN", help="The manifest's name for it, where it is another.")
    ] = None,
    split: choosing.Split = None,
    shots: Annotated[
        int, typer.Option(min=0, metavar="K", show_default=False, help="Register K of them, drawn at random, not all.")
    ] = 0,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawing.")] = 0,
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
    """Add examples of a generator; nothing is trained, and the other examples stay as they are.

    Example: probekit blacklist register telea --from manifest:demo --split train
    """
    from probekit import blacklist, records
    from probekit.fingerprint import plain

    blacklist.require_generator(generator)
    opened = choosing.opened(name, blacklists)
    path, record = opened.path, opened.record
    asked = {"blacklist": record.name, "generator": generator, "from": inputs, "split": split, "frames": frames}
    engine = choosing.Engine(cache, weights, device, batch_size, workers, frames)
    wanted = of or (generator if inputs[0].startswith(choosing.MANIFEST) else None)
    with records.start("blacklist-register", {**asked, "shots": shots, "seed": seed}, runs=runs) as run:
        try:
            images = engine.images(record, inputs, generator=wanted, split=split, shots=shots, seed=seed)
        except KeyboardInterrupt as stop:
            stop.add_note("nothing was registered; features that were computed are kept")
            raise
        done = blacklist.register(path, generator, images)
        after = blacklist.Blacklist.open(path).record
        result = {**vars(done), "failed": len(images.failed), "blacklist": record.name}
        run.note(result=plain(result))
        if len(images.failed):
            run.table("failed", images.failed)
    if as_json:
        output.print_json({**result, "run": str(run.path)})
    else:
        said = f"{record.name}: {output.count(done.added, 'example')} of {generator} registered"
        present = f", {done.present:,} were there already" if done.present else ""
        output.remark(f"{said}{present}; {generator} has {done.examples:,} now")
        if done.added and any(any(after.changed_since(each)) for each in after.calibrations):
            output.remark("note: thresholds were set without them, so their FPIR is not known now: calibrate again.")
    for note in images.notes:
        output.remark(f"note: {note}")
    choosing.failures(images, run.path)


def unregister(
    generator: Annotated[str | None, typer.Argument(help="Whose examples; or single ones with --id.")] = None,
    ids: Annotated[
        list[str] | None, typer.Option("--id", metavar="ID", help="One example, by the beginning of its id.")
    ] = None,
    name: choosing.Blacklist = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Take a generator, or single examples, off the blacklist; everything else keeps its id.

    Example: probekit blacklist unregister navier-stokes --blacklist watch
    """
    from probekit import blacklist

    path = choosing.opened(name, blacklists).path
    done = blacklist.unregister(path, generator, ids or ())
    record = blacklist.Blacklist.open(path).record
    if as_json:
        output.print_json({"blacklist": record.name, "removed": dict(done.removed), "version": done.version})
        return
    for removed, count in done.removed.items():
        left = record.generators.get(removed, 0)
        output.remark(f"{record.name}: {output.count(count, 'example')} of {removed} removed, {left:,} left")
    if record.calibrations:
        output.remark("note: thresholds were set with them, so their FPIR is not known now: calibrate again.")
