"""`probekit manifest normalise`."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options, output
from probekit_cli.manifest import written


def normalise(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="The manifest whose images are copied.")],
    name: Annotated[str, typer.Option("--name", help="Of the new manifest: manifests/NAME.csv.")],
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="DIR",
            help="Folder of the copies: new, or of an earlier run.",
            callback=options.on_a_disk("copies", "name a folder"),
        ),
    ],
    size: Annotated[int, typer.Option(help="Pixels of each side.")] = 256,
    quality: Annotated[int, typer.Option(help="Quality factor of JPEG copies.")] = 95,
    format_: Annotated[str, typer.Option("--format", help="jpeg or png.")] = "jpeg",
    subsampling: Annotated[str, typer.Option(help="Chroma of JPEG copies: 4:4:4, 4:2:2 or 4:2:0.")] = "4:2:0",
    resize: Annotated[
        bool, typer.Option("--resize/--crop", help="Resize the central square, or take its pixels as they are.")
    ] = True,
    enlarge: Annotated[
        bool, typer.Option("--enlarge", help="Resize smaller images up; else they are left out.")
    ] = False,
    boxes: Annotated[str, typer.Option(help="cut: a sample's box is its picture. keep: the box moves along.")] = "cut",
    folder: written.Folder = written.MANIFESTS,
    force: written.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Copy all images at one size, format and quality, without metadata, to ask everything again.

    Labels, groups and splits stay; masks come along. Interrupt it, run it again: finished copies are kept.

    Exit code 1 when images were left out: unreadable, or smaller than the copies.

    Example: probekit manifest normalise faces --name faces-96 --to faces-96 --size 96
    """
    from probekit.manifest import Manifest
    from probekit.normalise import NormaliseSettings
    from probekit.normalise import normalise as copy

    settings = NormaliseSettings(size, quality, format_, subsampling, resize, enlarge, boxes)
    with output.progress("copying") as progress:
        copied = copy(Manifest.read(source), name, to, settings, on_file=progress)
    made = copied.manifest.write(folder, overwrite=force)
    if as_json:
        output.print_json({"manifest": str(made.path), "samples": len(made.table), **copied.to_json()})
    else:
        kept = f", {copied.kept:,} of an earlier run kept" if copied.kept else ""
        output.remark(f"{copied.written:,} copies written to {to}{kept} → {made.path}")
        if len(copied.failed):
            small = f", {copied.too_small:,} of them too small" if copied.too_small else ""
            output.remark(f"{output.count(len(copied.failed), 'sample')} left out{small}:")
            output.listing(list(copied.failed.itertuples(index=False, name=None)), rest="--json lists them all")
    if len(copied.failed):
        raise typer.Exit(1)
