"""`probekit manifest check` and `show`."""

from typing import Annotated

import typer

from probekit_cli import options, output, tables

Which = Annotated[
    str | None, typer.Argument(metavar="[NAME|FILE]", help="The manifest; --manifest, or the only one, without it.")
]


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


def show(name: Which = None, manifest: options.Manifest = None, as_json: options.AsJson = False) -> None:
    """Count images and groups of every generator, domain and split.

    Example: probekit manifest show demo
    """
    from probekit.manifest import Manifest, summarise
    from probekit.manifest.urls import places

    chosen = Manifest.read(name or manifest)
    summary, where = summarise(chosen), places(chosen.table["path"], chosen.root)
    if as_json:
        rows = summary.to_dict(orient="records")
        facts = {"manifest": chosen.name, "path": chosen.path and str(chosen.path), "root": str(chosen.root)}
        facts["sha256"] = chosen.sha256
        output.print_json(facts | {"images": where, "folds": chosen.folds, "samples": len(chosen.table), "rows": rows})
        return
    evaluation = f"out of fold, {chosen.folds} folds by group" if chosen.folds else "train → test split"
    tables.print_table(summary, title=f"{chosen.name} · {len(chosen.table)} samples · images in {', '.join(where)}")
    output.remark(f"questions evaluate: {evaluation}")
