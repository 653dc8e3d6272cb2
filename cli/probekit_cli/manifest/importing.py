"""`probekit manifest import`."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options, output, tables
from probekit_cli.manifest import written


def import_(
    root: Annotated[
        Path,
        typer.Argument(
            help="Folder of images, archive, or a listing (layout table).",
            callback=options.on_a_disk("images to import", "write the manifest from the listing that you have"),
        ),
    ],
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
        Path | None,
        typer.Option(
            help="File or folder of lists whose paths start at ROOT (table, deepfakebench …).",
            callback=options.on_a_disk("lists"),
        ),
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
    folder: written.Folder = written.MANIFESTS,
    force: written.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Make a manifest of a data set; nothing is copied or unpacked, what is not understood is reported.

    A .zip or .tar counts as a folder of its members.

    Folders named real, 0_real, nature, original or real_… are real, all others are generators.

    Published data sets have layouts of their own: docs/datasets.md.

    Example: probekit manifest import ~/faces --layout class-folders --name faces --label edited=1
    """
    from probekit.layouts import ImportOptions, import_manifest

    chosen = ImportOptions(
        labels={name: _label(value) for name, value in written.pairs("--label", label).items()},
        domain=domain,
        domains=written.pairs("--domain-of", domains),
        group=group,
        masks=masks,
        template=template,
        listing=listing,
        columns=written.pairs("--column", column),
        rename=written.pairs("--rename", rename),
        only=written.pairs("--only", only),
        reals={domain: Path(place).expanduser() for domain, place in written.pairs("--reals", reals).items()},
        frames=frames,
        skip_missing=skip_missing,
    )
    manifest, found = import_manifest(root, layout, name, chosen, seed)
    made = manifest.write(folder, overwrite=force)
    if as_json:
        output.print_json(found.to_json() | {"manifest": str(made.path), "folds": manifest.folds})
        return
    tables.print_table(found.expected, title=f"{len(manifest.table)} samples → {made.path}")
    for note in found.notes:
        output.remark(note)
    if len(found.ignored):
        output.remark(f"{len(found.ignored)} files are no samples:")
        output.listing(
            list(zip(found.ignored["path"], found.ignored["reason"], strict=True)), rest="--json lists them all"
        )


def _label(value: str) -> int:
    from probekit.errors import UsageError

    if value not in ("0", "1"):
        raise UsageError(f"--label …={value}: a label is 0 (real) or 1 (fake).")
    return int(value)
