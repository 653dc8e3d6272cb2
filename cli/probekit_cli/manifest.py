"""`probekit manifest`: import, check, show and normalise the lists of images."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options, output, tables

app = typer.Typer(help="Import, check, show and normalise the lists of images.", no_args_is_help=True)

Which = Annotated[
    str | None, typer.Argument(metavar="[NAME|FILE]", help="The manifest; --manifest, or the only one, without it.")
]


@app.command("import")
def import_(
    root: Annotated[Path, typer.Argument(help="Folder of images, archive, or a listing (layout table).")],
    name: Annotated[str, typer.Option("--name", help="Of the manifest: manifests/NAME.csv.")],
    layout: Annotated[
        str,
        typer.Option(help="class-folders, zero-one, template, table, webdataset, or a data set's: dolos, ffpp, df40 …"),
    ] = "class-folders",
    label: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=0|1", help="Call a class real (0) or fake (1).")
    ] = None,
    domain: Annotated[str, typer.Option(help="Data set of all images that have no other.")] = "",
    domains: Annotated[
        list[str] | None, typer.Option("--domain-of", metavar="CLASS=DOMAIN", help="Data set of one class.")
    ] = None,
    group: Annotated[
        str, typer.Option(help="Images that are never separated: auto, stem, parent, none, or columns joined by +.")
    ] = "auto",
    masks: Annotated[str, typer.Option(help="Name of the folders of masks (class-folders).")] = "masks",
    template: Annotated[
        str, typer.Option(metavar="'{generator}/{split}/{group}.png'", help="Path with fields (template).")
    ] = "",
    listing: Annotated[
        Path | None, typer.Option(help="File or folder of lists whose paths start at ROOT (table, deepfakebench …).")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option(metavar="OURS=THEIRS", help="A column of the listing by its name there (table).")
    ] = None,
    rename: Annotated[
        list[str] | None, typer.Option(metavar="CLASS=NAME", help="Call a class otherwise, as in another data set.")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN=VALUE", help="Import these samples alone: compression=c23.")
    ] = None,
    reals: Annotated[
        list[str] | None, typer.Option(metavar="DOMAIN=DIR", help="Real images that the data set borrows (df40).")
    ] = None,
    frames: Annotated[int, typer.Option(min=0, help="Frames of each video, evenly spaced; 0 leaves videos out.")] = 8,
    skip_missing: Annotated[
        bool, typer.Option("--skip-missing", help="Leave out listed files that are not there.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Of the split, where the data has none.")] = 0,
    folder: Annotated[Path, typer.Option("--manifests", metavar="DIR", help="Where the manifest goes.")] = Path(
        "manifests"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a manifest of that name.")] = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a manifest of a data set; nothing is copied or unpacked, what is not understood is reported.

    A .zip or .tar counts as a folder of its members.

    Folders named real, 0_real, nature, original or real_… are real, all others are generators. Published data sets have
    layouts of their own, see docs/datasets.md.

    Example: probekit manifest import ~/faces --layout class-folders --name faces --label edited=1
    """
    from probekit.layouts import ImportOptions, import_manifest

    chosen = ImportOptions(
        labels={name: _label(value) for name, value in _pairs("--label", label).items()},
        domain=domain,
        domains=_pairs("--domain-of", domains),
        group=group,
        masks=masks,
        template=template,
        listing=listing,
        columns=_pairs("--column", column),
        rename=_pairs("--rename", rename),
        only=_pairs("--only", only),
        reals={domain: Path(place).expanduser() for domain, place in _pairs("--reals", reals).items()},
        frames=frames,
        skip_missing=skip_missing,
    )
    manifest, found = import_manifest(root, layout, name, chosen, seed)
    written = manifest.write(folder, overwrite=force)
    if as_json:
        output.print_json(found.to_json() | {"manifest": str(written.path), "folds": manifest.folds})
        return
    tables.print_table(found.expected, title=f"{len(manifest.table)} samples → {written.path}")
    for note in found.notes:
        output.remark(note)
    if len(found.ignored):
        output.remark(f"{len(found.ignored)} files are no samples:")
        output.listing(
            list(zip(found.ignored["path"], found.ignored["reason"], strict=True)), rest="--json lists them all"
        )


@app.command()
def check(
    name: Which = None,
    manifest: options.Manifest = None,
    pixels: Annotated[
        bool, typer.Option("--pixels", help="Decode every image too: finds truncated ones, takes longer.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """Open and hash every image: unreadable ones, duplicates, groups and classes that a split divides.

    Exit code 1 when images cannot be read.

    Example: probekit manifest check demo
    """
    from probekit.manifest import Manifest
    from probekit.manifest import check as check_images

    with output.progress("checking") as show:
        report = check_images(Manifest.read(name or manifest), show, pixels=pixels)
    if as_json:
        output.print_json(report.to_json())
    else:
        size = report.size / 2**20
        output.remark(f"{report.name}: {report.samples} samples in {report.files} files, {size:.1f} MiB")
        for kind, count in report.counts.items():
            output.remark(f"  {count} × {kind}")
        if len(report.problems):
            tables.print_table(report.problems.head(20))
            output.remark(f"({len(report.problems)} problems in all; --json lists every one)")
        else:
            output.remark("  no problem found: all readable, no duplicates, nothing that a split divides")
    if "unreadable" in report.counts:
        raise typer.Exit(1)


@app.command()
def show(name: Which = None, manifest: options.Manifest = None, as_json: options.AsJson = False) -> None:
    """Count images and groups of every generator, domain and split.

    Example: probekit manifest show demo
    """
    from probekit.manifest import Manifest, summarise

    chosen = Manifest.read(name or manifest)
    summary = summarise(chosen)
    if as_json:
        rows = summary.to_dict(orient="records")
        facts = {"manifest": chosen.name, "path": str(chosen.path), "root": str(chosen.root), "sha256": chosen.sha256}
        output.print_json(facts | {"folds": chosen.folds, "samples": len(chosen.table), "rows": rows})
        return
    evaluation = f"out of fold, {chosen.folds} folds by group" if chosen.folds else "train → test split"
    tables.print_table(summary, title=f"{chosen.name} · {len(chosen.table)} samples · images in {chosen.root}")
    output.remark(f"questions evaluate: {evaluation}")


@app.command()
def normalise(
    source: Annotated[str, typer.Argument(metavar="NAME|FILE", help="The manifest whose images are copied.")],
    name: Annotated[str, typer.Option("--name", help="Of the new manifest: manifests/NAME.csv.")],
    to: Annotated[Path, typer.Option("--to", metavar="DIR", help="Folder of the copies: new, or of an earlier run.")],
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
    folder: Annotated[Path, typer.Option("--manifests", metavar="DIR", help="Where the manifest goes.")] = Path(
        "manifests"
    ),
    force: Annotated[bool, typer.Option("--force", help="Replace a manifest of that name.")] = False,
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
    written = copied.manifest.write(folder, overwrite=force)
    if as_json:
        output.print_json({"manifest": str(written.path), "samples": len(written.table), **copied.to_json()})
    else:
        kept = f", {copied.kept:,} of an earlier run kept" if copied.kept else ""
        output.remark(f"{copied.written:,} copies written to {to}{kept} → {written.path}")
        if len(copied.failed):
            small = f", {copied.too_small:,} of them too small" if copied.too_small else ""
            output.remark(f"{output.count(len(copied.failed), 'sample')} left out{small}:")
            output.listing(list(copied.failed.itertuples(index=False, name=None)), rest="--json lists them all")
    if len(copied.failed):
        raise typer.Exit(1)


def _pairs(flag: str, given: list[str] | None) -> dict[str, str]:
    from probekit.errors import UsageError

    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} {text}: write NAME=VALUE.")
        found[name] = value
    return found


def _label(value: str) -> int:
    from probekit.errors import UsageError

    if value not in ("0", "1"):
        raise UsageError(f"--label …={value}: a label is 0 (real) or 1 (fake).")
    return int(value)
