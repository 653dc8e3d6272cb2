"""`probekit blacklist list`, `verify`, `export` and `import`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, tables
from probekit_cli.blacklist import choosing

if TYPE_CHECKING:
    import pandas as pd

    from probekit.blacklist import Record

SHOWN = 200  # examples in the table on the screen


def list_(
    generator: Annotated[str | None, typer.Argument(help="Only this one.")] = None,
    examples: Annotated[bool, typer.Option("--examples", help="List every example with its id.")] = False,
    name: choosing.Blacklist = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Show the registered generators, where their examples came from, and the thresholds with what set them.

    Of several blacklists, unless one is named, a line each.

    Example: probekit blacklist list
    """
    from probekit import blacklist
    from probekit.fingerprint import plain

    present = blacklist.list_blacklists(blacklists)
    if len(present) > 1 and not (name or generator or examples):
        _overview(present, as_json)
        return
    opened = choosing.opened(name, blacklists)
    record, table = opened.record, opened.examples(generator)
    if as_json:
        thresholds = [
            {**vars(each), "pools": plain(each.pools), "stale": any(record.changed_since(each))}
            for each in record.calibrations
        ]
        counts = {name: n for name, n in record.generators.items() if generator in (None, name)}
        found = {
            "name": record.name,
            "path": str(opened.path),
            "version": record.version,
            "features": record.references,
        }
        found |= {"generators": counts, "thresholds": thresholds, "created": record.created}
        output.print_json(found | ({"examples": table.to_dict("records")} if examples else {}))
        return
    title = f"{record.name} · {record.title} · {output.count(record.examples, 'example')} · version {record.version}"
    if examples:
        shown = table.assign(id=table["id"].str[: blacklist.SHORT])[["id", "generator", "path", "manifest", "added"]]
        tables.print_table(shown.head(SHOWN), title=title)
        if len(shown) > SHOWN:
            output.remark(f"… and {len(shown) - SHOWN:,} more: --json lists all")
        return
    if len(table):
        tables.print_table(_generators(table), title=title)
    else:
        output.remark(f"{title}: register some with `probekit blacklist register`.")
    if record.calibrations:
        tables.print_table(_thresholds(record), title="Thresholds, the one in force last")
    else:
        output.remark("no threshold is set: run `probekit blacklist calibrate`.")


def verify(
    name: choosing.Blacklist = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Read every byte and compare it with its checksum; exit code 2 if anything is damaged.

    Example: probekit blacklist verify --blacklist theirs
    """
    opened = choosing.opened(name, blacklists)
    damaged = opened.verify()
    if as_json:
        output.print_json({"name": opened.record.name, "damaged": damaged})
    for line in damaged:
        output.remark(f"damaged: {line}")
    if damaged:
        raise typer.Exit(2)
    if not as_json:
        output.remark(f"{opened.record.name}: every byte is as it was written")


def export(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="Where to: watch.zip.", callback=options.on_a_disk("exported blacklists")),
    ],
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier file of that name.")] = False,
    name: choosing.Blacklist = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Write the blacklist into one file that another machine can import: vectors, ids and thresholds, no images.

    Example: probekit blacklist export watch.zip
    """
    from probekit import blacklist
    from probekit.files import spell_size

    opened = choosing.opened(name, blacklists)
    blacklist.export_file(opened, file, overwrite=force)
    size = file.stat().st_size
    if as_json:
        output.print_json({"path": str(file), "examples": len(opened), "bytes": size})
    else:
        output.remark(f"{file}: {output.count(len(opened), 'example')}, {spell_size(size)}")


def import_(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="What export wrote.", callback=options.on_a_disk("files to import")),
    ],
    name: Annotated[str | None, typer.Option("--name", help="What it is called here. Default: as it was.")] = None,
    blacklists: choosing.Blacklists = choosing.DEFAULT,
    as_json: options.AsJson = False,
) -> None:
    """Take in an exported blacklist once every byte of it was checked.

    Example: probekit blacklist import watch.zip --name theirs
    """
    from probekit import blacklist

    opened = blacklist.import_file(file, blacklists, name)
    if as_json:
        output.print_json(
            {"path": str(opened.path), "examples": len(opened), "generators": dict(opened.record.generators)}
        )
    else:
        counts = f"{output.count(len(opened), 'example')} of {output.count(len(opened.record.generators), 'generator')}"
        output.remark(f"{opened.path}: {counts}, compared by {opened.record.title}")


def _overview(present: "list[Path]", as_json: bool) -> None:
    """A line a blacklist."""
    import pandas as pd

    from probekit import blacklist
    from probekit.errors import BlacklistError

    rows = []
    for path in present:
        try:
            record = blacklist.Blacklist.open(path).record
        except BlacklistError as error:
            output.remark(f"note: {error}")
            continue
        last = record.calibrations[-1] if record.calibrations else None
        rows.append(
            {
                "name": record.name,
                "features": record.title,
                "generators": len(record.generators),
                "examples": record.examples,
                "threshold": last.threshold if last else None,
                "fpir": last.fpir if last and not any(record.changed_since(last)) else None,
            }
        )
    if as_json:
        output.print_json({"blacklists": rows})
        return
    table = pd.DataFrame(rows)
    table["threshold"] = ["none" if row["threshold"] is None else f"{row['threshold']:.5f}" for row in rows]
    table["FPIR"] = ["not known" if row["fpir"] is None else f"{row['fpir']:g}" for row in rows]
    tables.print_table(table.drop(columns="fpir"))
    output.remark("one of them: probekit blacklist list --blacklist NAME")


def _generators(table: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for generator, own in table.groupby("generator", sort=False):
        sources = list(dict.fromkeys(own["manifest"].where(own["manifest"] != "", _places(own["path"]))))
        shown = sources[0] + (f" and {len(sources) - 1} more" if len(sources) > 1 else "")
        rows.append(
            {"generator": generator, "examples": len(own), "last added": own["added"].max()[:16], "from": shown}
        )
    return pd.DataFrame(rows)


def _places(paths: "pd.Series[str]") -> "pd.Series[str]":
    """The folder of each example; the file itself, or the video, where no other comes from there."""
    files = paths.str.replace(r" frame=\d+$", "", regex=True)
    folders = files.map(lambda path: str(Path(path).parent))
    return files.where((files.groupby(folders).transform("nunique") == 1) | (folders == "."), folders)


def _thresholds(record: "Record") -> "pd.DataFrame":
    import pandas as pd

    from probekit.blacklist import spell_change

    return pd.DataFrame(
        [
            {
                "FPIR": f"{each.fpir:g}",
                "threshold": f"{each.threshold:.5f}",
                "set by": each.pool,
                "searches": ", ".join(f"{pool.searches} {pool.name}" for pool in each.pools),
                "real images": each.real or "none",
                "set at": each.set_at[:16],
                "holds": spell_change(record, each) or "yes",
            }
            for each in record.calibrations
        ]
    )
