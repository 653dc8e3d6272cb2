"""`probekit predict`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import checkpoints, options, output, questions, tables

if TYPE_CHECKING:
    from probekit.heads import Head
    from probekit.predict import Predictions

PAIR_COLUMNS = ("generator", "n_real", "n_fake", "acc", "balanced_acc", "auc", "ap", "eer")
"""Of the table of pairs, what fits a terminal."""

SHOWN = 200  # images in the table on the screen; the run's tables hold all


def predict(
    context: typer.Context,
    inputs: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="IMAGE",
            help="Images, videos, and folders of them.",
            show_default=False,
            callback=options.on_a_disk("images that are not of a manifest", "name a file, or give --manifest"),
        ),
    ] = None,
    *,
    probe: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="A saved probe, or the folder of its run; or the weights of UniversalFakeDetect, RINE or grip.",
            callback=options.on_a_disk("probes"),
        ),
    ],
    manifest: options.Manifest = None,
    threshold: Annotated[
        float | None, typer.Option(help="Above what probability an image is called fake. Default: the probe's own.")
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="Generators that an attribution probe names, the likeliest first.")
    ] = 3,
    frames: Annotated[int, typer.Option(min=0, help="Frames of each video; 0 leaves videos out.")] = 8,
    weights: Annotated[
        str | None,
        typer.Option(
            metavar="[MODEL=]FILE",
            help="Local checkpoint of the probe's model, not a hub's.",
            callback=options.on_a_disk("checkpoints"),
        ),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32 or bfloat16. Default for images: the probe's own; for a manifest, that of the store."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: a GPU if there is one.")] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Crops in one forward pass.")] = 16,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read and decode. Default: one per processor.")
    ] = None,
    store: options.Store = None,
    allow_missing: options.AllowMissing = False,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Score images, or the extracted samples of a manifest, with a saved probe or a published head.

    Example: probekit predict faces --probe fc_weights.pth
    """
    from probekit import heads, records
    from probekit.errors import UsageError
    from probekit.manifest import Manifest
    from probekit.predict import PredictSettings, predict_images, predict_manifest
    from probekit.registry import one_of
    from probekit.store.settings import PRECISIONS

    source = context.get_parameter_source("manifest")
    if inputs and manifest and source is not None and source.name == "COMMANDLINE":
        raise UsageError("give images or --manifest, not both.")
    computed_in = None if precision is None else one_of("--precision", precision, PRECISIONS)
    settings = PredictSettings(threshold, computed_in, top, frames)
    head = heads.read(probe)
    chosen = None if inputs else Manifest.read(manifest)
    asked = {"settings": settings, "probe": head.to_json()}
    asked |= {"manifest": chosen.sha256} if chosen else {"inputs": [str(path) for path in inputs or []]}
    with records.start("predict", asked, runs=runs) as run:
        if chosen:
            found = predict_manifest(chosen, head, settings, cache=cache, store=store, allow_missing=allow_missing)
            run.note(manifest=questions.describe_manifest(chosen), stores=[dict(found.source)])
        else:
            with output.progress("scoring") as show:
                found = predict_images(
                    inputs or [],
                    head,
                    settings,
                    weights=checkpoints.with_networks(_weights(weights, head), head.models[:1], cache),
                    device=device,
                    batch_size=batch_size,
                    workers=workers,
                    on_progress=show,
                )
        run.note(result=found.to_json(every_image=False))
        run.table("predictions", found.table)
        if found.pairs is not None:
            run.table("pairs", found.pairs)
        if len(found.failed):
            run.table("failed", found.failed)
    _show(found, run.path, as_json)


def _show(found: "Predictions", run: Path, as_json: bool) -> None:
    if as_json:
        output.print_json(found.to_json() | {"run": str(run)})
    elif found.pairs is not None:
        tables.print_table(found.pairs[list(PAIR_COLUMNS)], title=_title(found), styles=_style)
    else:
        _print_images(found, run)
    for note in found.notes:
        output.remark(f"note: {note}")
    if not as_json:
        output.remark(f"tables: {run}")
    if len(found.failed):
        output.remark(f"{output.count(len(found.failed), 'image')} without a score:")
        lines = list(zip(found.failed["path"], found.failed["reason"], strict=True))
        output.listing(lines, rest=str(run / "tables" / "failed.csv"))
        raise typer.Exit(1)


def _title(found: "Predictions") -> str:
    source = found.source
    return f"{found.head.title} · {source['model']}, {source['view']}, {source['precision']}"


def _print_images(found: "Predictions", run: Path) -> None:
    table, verdicts = found.table.head(SHOWN), found.head.verdicts
    hidden = ["generator", "domain", "truth", "label", *(["probability"] if table["probability"].isna().all() else [])]
    shown = table.drop(columns=hidden, errors="ignore")
    place = list(shown.columns).index("score") + (2 if "probability" in shown else 1)
    shown.insert(place, "verdict", [verdicts[label] for label in table["label"]])
    tables.print_table(shown, title=_title(found))
    if len(found.table) > SHOWN:
        output.remark(f"… and {len(found.table) - SHOWN:,} more: {run / 'tables' / 'predictions.csv'}")
    called = int(found.table["label"].sum())
    output.remark(f"{output.count(len(found.table), 'image')} scored, {called:,} called {verdicts[1]}")


def _style(column: str, value: object) -> str:
    return tables.score_style(column, value) if column in ("auc", "ap", "acc", "balanced_acc") else ""


def _weights(given: str | None, head: "Head") -> dict[str, Path]:
    """FILE, or MODEL=FILE with one of the names of the probe's model."""
    from probekit.errors import UsageError

    if given is None:
        return {}
    name = next((name for name in head.models if given.startswith(f"{name}=")), None)
    file = Path(given.removeprefix(f"{name}=") if name else given)
    if not file.exists():
        raise UsageError(f"--weights {given}: no such file. Write FILE or {head.models[0]}=FILE.")
    return {name or head.models[0]: file}
