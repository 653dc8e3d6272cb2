"""`probekit manifest join`."""

from typing import Annotated

import typer

from probekit_cli import options, output, tables
from probekit_cli.manifest import written


def join(
    sources: Annotated[list[str], typer.Argument(metavar="NAME|FILE", help="Manifests to join.")],
    name: Annotated[str, typer.Option("--name", help="Of the new manifest: manifests/NAME.csv.")],
    domains: Annotated[
        list[str] | None,
        typer.Option("--domain-of", metavar="NAME=DOMAIN", help="Data set of all samples of one manifest."),
    ] = None,
    same_groups: Annotated[
        bool, typer.Option("--same-groups", help="Groups of equal names are one; else each is of its manifest alone.")
    ] = False,
    resplit: Annotated[bool, typer.Option("--resplit", help="Divide all samples anew, by group.")] = False,
    seed: Annotated[int, typer.Option(help="Of --resplit.")] = 0,
    contents: Annotated[
        bool, typer.Option("--bytes/--no-bytes", help="Look for copies by bytes, too, not by path alone.")
    ] = True,
    folder: written.Folder = written.MANIFESTS,
    force: written.Force = False,
    as_json: options.AsJson = False,
) -> None:
    """Make one manifest of several: each image once, groups apart unless images link them, domains by name.

    An image that two manifests give another label, generator, split or domain is refused.

    Names of generators that several data sets share are listed: --across domain asks about them.

    Example: probekit manifest join faces zipped --name both --resplit
    """
    from probekit.manifest import JoinSettings, Manifest
    from probekit.manifest import join as join_manifests

    settings = JoinSettings(written.pairs("--domain-of", domains), same_groups, resplit, contents, seed)
    with output.progress("comparing files") as show:
        found = join_manifests([Manifest.read(source) for source in sources], name, settings, on_file=show)
    made = found.manifest.write(folder, overwrite=force)
    if as_json:
        output.print_json(found.to_json() | {"manifest": str(made.path), "folds": made.folds})
        return
    tables.print_table(found.counts, title=f"{len(made.table)} samples → {made.path}")
    if len(found.shared):
        output.blank_line()
        tables.print_matrix(found.shared, "generator ↓  domain →", title="Fakes of generators that domains share")
    else:
        output.remark("no generator has fakes in two domains: --across domain has nothing to ask.")
    for alike in found.alike:
        output.remark(f"one generator? {alike}: import one of them with --rename, if so.")
    for note in found.notes:
        output.remark(f"note: {note}")
