"""`probekit extract`."""

from typing import TYPE_CHECKING, Annotated

import typer

from probekit.paths import AnyPath
from probekit_cli import checkpoints, engines, options, output, questions, tables

if TYPE_CHECKING:
    from probekit.extract.results import ModelExtraction


def extract(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME[,NAME]",
            help="clip, dinov2, sam, npr, srm, spectrum, open_clip:ARCH/PRETRAINED, hf:REPO, timm:NAME, sam:vit_b …; "
            "tuned:NAME of finetune.",
        ),
    ],
    manifest: options.Manifest = None,
    taps: Annotated[
        str,
        typer.Option(
            metavar="[MODEL#]TAP[,…]",
            help="Where features leave the model: final, all (each that is one vector), proj, cls, mean, registers, "
            "cls@all, mean@0-11, ln2@23 (blocks count from 0), patches, patches@20 (large: many vectors an image); "
            "clip#cls@all asks clip alone.",
        ),
    ] = "final",
    view: Annotated[
        str | None,
        typer.Option(
            metavar="POLICY",
            help="How pixels reach the model: resize, center, squash, native, longest, tencrop, tile, or texture:N for "
            "the N crops with the most texture. Default: the model's own.",
        ),
    ] = None,
    perturb: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CHAIN[,CHAIN]",
            help="What is done to the images first, one store for each: jpeg:75, webp:80, blur:sigma=2, "
            "blur:k=9,sigma=3, resize:0.5, resize:to=512, noise:var=10, crop:0.1, chained by +; none for the clean "
            "view too; or a preset: ufd, sidbench, rine, ua5.",
        ),
    ] = None,
    weights: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[MODEL=]FILE",
            help="Local checkpoint, in place of a hub's.",
            callback=options.on_a_disk("checkpoints"),
        ),
    ] = None,
    decoder: Annotated[
        str | None,
        typer.Option(metavar="nvjpeg", help="Decode JPEG files on the GPU; its pixels differ a little: another store."),
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32 or bfloat16 (default where the hardware is fast at it); weight-free features are float32."
        ),
    ] = None,
    compile_: Annotated[
        bool,
        typer.Option("--compile", help="Let torch.compile translate networks: quicker on GPUs, and another store."),
    ] = False,
    dtype: Annotated[str, typer.Option(help="Number format in the store: float16 or float32.")] = "float16",
    device: Annotated[
        str | None,
        typer.Option(help="cpu, cuda:1 …; several with commas: a process each. Default: all GPUs, else the CPU."),
    ] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images in one forward pass.")] = None,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Threads that read and decode. Default: one per processor.")
    ] = None,
    unit_size: Annotated[
        int | None, typer.Option(min=1, help="Images that one process claims and commits together.")
    ] = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Try images again that could not be read.")
    ] = False,
    rehash: Annotated[
        bool, typer.Option("--rehash", help="Read every file again, whatever its size and time say.")
    ] = False,
    engine: engines.Engine = "local",
    address: engines.Address = None,
    workers_per_node: engines.WorkersPerNode = None,
    shard: engines.ShardOfAll = None,
    mixed_versions: engines.MixedVersions = False,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Run frozen models over every image of a manifest and keep the features.

    Safe to interrupt: running the same command again does only what is missing. With
    --perturb none,jpeg:75,blur:sigma=2+jpeg:50 each model fills three stores: of the clean images, of compressed
    ones, and of blurred and then compressed ones.

    Example: probekit extract --model srm,npr --manifest demo

    Example: probekit extract --model srm --manifest demo --engine ray --address local

    Example: probekit extract --model srm --manifest demo --shard $SLURM_ARRAY_TASK_ID/16
    """
    from probekit import records
    from probekit.extract import ExtractSettings, Shard
    from probekit.extract import extract as extract_features
    from probekit.manifest import Manifest
    from probekit.perturbations import parse_all
    from probekit.registry import one_of
    from probekit.store.settings import NUMBER_FORMATS, PRECISIONS

    cluster = engines.cluster_settings(engine, address, workers_per_node)
    names = _split(model)
    chosen = Manifest.read(manifest)
    settings = ExtractSettings(
        models=names,
        taps=() if taps == "final" else _split(taps),
        view=view,
        perturb=tuple(chain.name for chain in parse_all(perturb or [])),
        decoder=one_of("--decoder", decoder, ("nvjpeg",)) if decoder else "",
        precision=one_of("--precision", precision, PRECISIONS) if precision else None,
        compile=compile_,
        dtype=one_of("--dtype", dtype, NUMBER_FORMATS),
    )
    part = Shard.parse(shard) if shard else None
    with records.start("extract", settings, runs=runs) as run:
        if part:
            run.note(shard=part)
        try:
            with output.progress("extracting") as show:
                result = extract_features(
                    chosen,
                    settings,
                    cache=cache,
                    weights=checkpoints.with_networks(checkpoints.named(weights or [], names), names, cache),
                    device=device,
                    batch_size=batch_size,
                    workers=workers,
                    unit_size=unit_size,
                    retry_failed=retry_failed,
                    rehash=rehash,
                    shard=part,
                    mixed_versions=mixed_versions,
                    cluster=cluster,
                    on_progress=lambda progress: show(progress.done, progress.total),
                    on_remark=output.remark,
                )
        except KeyboardInterrupt as stop:
            stop.add_note("what was committed is kept, and the same command goes on from there")
            raise
        described = ("model", "view", "precision", "address", "name", "weights_sha256")
        stores = [{fact: getattr(model, fact) for fact in described} for model in result.models]
        run.note(manifest=questions.describe_manifest(chosen), stores=stores, result=result.to_json())
        if len(result.failed):
            run.table("failed", result.failed)
    if as_json:
        output.print_json(result.to_json() | {"run": str(run.path)})
    elif any(one.rows for one in result.models):  # else the shard has no samples, which was said
        _show(result.models, result.images_per_second, cache)
    for note in result.notes:
        output.remark(f"note: {note}")
    if len(result.failed):
        failures = list(result.failed[["path", "reason"]].drop_duplicates().itertuples(index=False, name=None))
        output.remark(f"{output.count(result.failed['path'].nunique(), 'sample')} without features:")
        output.listing(failures, rest=str(run.path / "tables" / "failed.csv"))
        raise typer.Exit(1)


def _show(models: "tuple[ModelExtraction, ...]", rate: float | None, cache: AnyPath) -> None:
    import pandas as pd

    from probekit.models.requests import compact

    columns = {
        "model": "model",
        "view": "view",
        "done": "done",
        "failed": "failed",
        "computed": "computed",
        "taps": "taps",
        "name": "store",
    }
    frame = pd.DataFrame([{shown: getattr(model, name) for name, shown in columns.items()} for model in models])
    frame["taps"] = [",".join(compact(taps)) for taps in frame["taps"]]
    title = f"Features of {output.count(models[0].rows, 'sample')} in {cache}" + (
        f" ({rate:,.1f} images/s)" if rate else ""
    )
    if output.stdout().width < tables.WIDE:  # model and view tell stores apart, and `cache info` names them
        frame = frame.drop(columns="store")
    tables.print_table(frame, title=title, whole=("view", "store"))


def _split(text: str) -> tuple[str, ...]:
    from probekit.errors import UsageError

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{text!r} names nothing: give one name, or several with commas between.")
    return names
