"""`probekit cache export` and `import`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output
from probekit_cli.cache import stores

if TYPE_CHECKING:
    from probekit.exchange import Imported
    from probekit.store.settings import NumberFormat

Force = Annotated[bool, typer.Option("--force", help="Replace an earlier file of that name.")]


def export(
    name: stores.Name,
    to: Annotated[
        Path,
        typer.Option(
            "--to",
            metavar="FILE|DIR",
            help="Where to; for npy a folder.",
            callback=options.on_a_disk("exported features"),
        ),
    ],
    format_: Annotated[
        str | None,
        typer.Option("--format", help="npy, parquet, safetensors or hdf5. Default: by the ending of the name."),
    ] = None,
    taps: Annotated[
        str | None, typer.Option("--taps", metavar="TAP[,TAP]", help="Default: all with one vector a row.")
    ] = None,
    dtype: Annotated[
        str | None, typer.Option("--dtype", help="float16 or float32. Default: as the store has it.")
    ] = None,
    manifest: Annotated[
        str | None,
        typer.Option("--manifest", "-m", metavar="NAME|FILE", help="Rows of this manifest, with its columns."),
    ] = None,
    force: Force = False,
    cache: options.Cache = options.DEFAULT_CACHE,
    as_json: options.AsJson = False,
) -> None:
    """Write the features of one store into a file for other programs.

    Example: probekit cache export srm --to srm.parquet --manifest demo
    """
    from probekit.exchange import ExportSettings
    from probekit.exchange import export as export_features
    from probekit.files import spell_size
    from probekit.fingerprint import plain
    from probekit.manifest import Manifest

    names = tuple(tap.strip() for tap in (taps or "").split(",") if tap.strip())
    settings = ExportSettings(names, format_, _dtype(dtype))
    store = stores.find(cache, name)
    chosen = Manifest.read(manifest) if manifest else None
    with output.progress("writing rows") as show:
        done = export_features(store, to, settings, cache=cache, manifest=chosen, overwrite=force, on_rows=show)
    if as_json:
        output.print_json(plain(done))
    else:
        described = f"{', '.join(done.taps)} as {done.dtype}, {spell_size(done.bytes)}"
        output.remark(f"{done.path}: {output.count(done.rows, 'row')} of {described}")
    if done.failed:
        output.remark(
            f"{output.count(done.failed, 'row')} failed or lack a tap: status is not 1 there, features are NaN"
        )
    if done.missing:
        output.remark(f"{output.count(len(done.missing), 'sample')} of the manifest not in the store, and left out:")
        output.listing([(path, "no features") for path in done.missing], rest="extract them first")
        raise typer.Exit(1)


def import_(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="npy, npz, pt, parquet or safetensors.",
            callback=options.on_a_disk("files to import", "copy it to one"),
        ),
    ],
    model: Annotated[str, typer.Option("--model", metavar="imported:NAME", help="What the features are called here.")],
    manifest: options.Manifest = None,
    features: Annotated[str | None, typer.Option("--features", metavar="NAME", help="Array or column.")] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            "--ids",
            metavar="NAME|FILE",
            help="Paths or keys: array, column or text file. Default: found.",
            callback=options.on_a_disk("files to import"),
        ),
    ] = None,
    strip: Annotated[
        str, typer.Option("--strip", metavar="PREFIX", help="What to cut from the beginning of ids.")
    ] = "",
    tap: Annotated[str, typer.Option("--tap", help="Where the features left their model.")] = "final",
    view_name: Annotated[str, typer.Option("--view-name", help="How pixels reached it: center224 …")] = "undeclared",
    precision: Annotated[str, typer.Option("--precision", help="What it computed in.")] = "undeclared",
    source: Annotated[str, typer.Option("--source", metavar="TEXT", help="Paper, repository, checkpoint, date.")] = "",
    license_: Annotated[str, typer.Option("--license", metavar="TEXT", help="Under which they may be used.")] = "",
    dtype: Annotated[str, typer.Option("--dtype", help="Number format in the store: float16 or float32.")] = "float16",
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Take in features that somebody else computed, under a name and with the provenance that you declare.

    Questions then work on them as on all others: `probekit probe --model imported:NAME`.

    Example: probekit cache import srm.parquet --model imported:srm --manifest demo --tap blocks
    """
    from probekit import records
    from probekit.exchange import Declared, import_features
    from probekit.exchange.readers import read
    from probekit.fingerprint import plain
    from probekit.manifest import Manifest
    from probekit_cli.questions import describe_manifest

    declared = Declared(model, tap, view_name, precision, source, license_, _dtype(dtype) or "float16")
    given = read(file, features=features, ids=ids, tap=tap)
    chosen = Manifest.read(manifest)
    output.remark(given.described)
    with records.start("import", {"declared": declared, "file": file.name}, runs=runs) as run:
        with output.progress("writing rows") as show:
            done = import_features(given, declared, cache=cache, manifest=chosen, strip=strip, on_rows=show)
        run.note(manifest=describe_manifest(chosen), stores=[{"model": model, "name": done.store}], result=plain(done))
    if as_json:
        output.print_json(plain(done))
    else:
        _show(done)
    if done.unmatched:
        output.remark(f"{output.count(len(done.unmatched), 'row')} of {file} fit no sample, and were left out:")
        output.listing([(name, "not in the manifest") for name in done.unmatched], rest=str(run.path / "run.json"))
    if done.missing:
        output.remark(f"{output.count(len(done.missing), 'sample')} of {chosen.name} have no row in {file}:")
        output.listing([(path, "no features") for path in done.missing], rest=str(run.path / "run.json"))
    if done.unmatched or done.missing:
        raise typer.Exit(1)


def _show(done: "Imported") -> None:
    output.remark(f"{done.store}: {output.count(done.stored, 'row')} stored in {done.tap}")
    if done.present:
        output.remark(f"{output.count(done.present, 'row')} were there already, the same")
    if done.failed:
        output.remark(f"{output.count(done.failed, 'row')} without features, by the status in the file")
    if done.repeated:
        output.remark(f"{output.count(done.repeated, 'row')} said once more what another row said")


def _dtype(given: str | None) -> "NumberFormat | None":
    from probekit.registry import one_of
    from probekit.store.settings import NUMBER_FORMATS

    return None if given is None else one_of("--dtype", given, NUMBER_FORMATS)
