"""`probekit extract`."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options, output, questions


def extract(
    model: Annotated[
        str,
        typer.Option(
            "--model",
            metavar="NAME[,NAME]",
            help="clip, dinov2, sam, npr, srm, spectrum, open_clip:ARCH/PRETRAINED, hf:REPO, timm:NAME, sam:vit_b …",
        ),
    ],
    manifest: options.Manifest = None,
    taps: Annotated[
        str, typer.Option(help="Where features leave the model: `final` or names with commas between.")
    ] = "final",
    view: Annotated[
        str | None,
        typer.Option(
            help="How pixels reach the model: resize, center, squash, native, longest. Default: the model's own."
        ),
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(metavar="[MODEL=]FILE", help="Local checkpoint, in place of a hub's.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(
            help="float32 or bfloat16 (default where the hardware is fast at it); weight-free features are float32."
        ),
    ] = None,
    dtype: Annotated[str, typer.Option(help="Number format in the store: float16 or float32.")] = "float16",
    device: Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: a GPU if there is one.")] = None,
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
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Run frozen models over every image of a manifest and keep the features.

    Safe to interrupt: running the same command again does only what is missing.

    Example: probekit extract --model srm,npr --manifest demo
    """
    from probekit import records
    from probekit.extract import ExtractSettings
    from probekit.extract import extract as extract_features
    from probekit.manifest import Manifest

    names = _split(model)
    chosen = Manifest.read(manifest)
    settings = ExtractSettings(
        models=names,
        taps=() if taps == "final" else _split(taps),
        view=view,
        precision=_one_of("--precision", precision, ("float32", "bfloat16")) if precision else None,  # type: ignore[arg-type]  # checked
        dtype=_one_of("--dtype", dtype, ("float16", "float32")),  # type: ignore[arg-type]  # one of the two
    )
    with records.start("extract", settings, runs=runs) as run:
        try:
            with output.progress("extracting") as show:
                result = extract_features(
                    chosen,
                    settings,
                    cache=cache,
                    weights=_weights(weights or [], names),
                    device=device,
                    batch_size=batch_size,
                    workers=workers,
                    unit_size=unit_size,
                    retry_failed=retry_failed,
                    rehash=rehash,
                    on_progress=lambda progress: show(progress.done, progress.total),
                )
        except KeyboardInterrupt:
            output.remark("interrupted: what was committed is kept, and the same command goes on from there.")
            raise
        stores = [{"model": model.model, "view": model.view, "name": model.name} for model in result.models]
        run.note(manifest=questions.describe_manifest(chosen), stores=stores, result=result.to_json())
        if len(result.failed):
            run.table("failed", result.failed)
    if as_json:
        output.print_json(result.to_json() | {"run": str(run.path)})
    else:
        _show(result.models, result.images_per_second, cache)
    if len(result.failed):
        failures = list(zip(result.failed["path"], result.failed["reason"], strict=True))
        output.remark(f"{output.count(result.failed['path'].nunique(), 'sample')} failed and have no features:")
        output.listing(failures, rest=str(run.path / "tables" / "failed.csv"))
        raise typer.Exit(1)


def _show(models: "tuple[object, ...]", rate: float | None, cache: Path) -> None:
    import pandas as pd

    columns = {
        "model": "model",
        "taps": "taps",
        "rows": "samples",
        "done": "done",
        "failed": "failed",
        "computed": "computed",
        "name": "store",
    }
    frame = pd.DataFrame([{shown: getattr(model, name) for name, shown in columns.items()} for model in models])
    frame["taps"] = [",".join(taps) for taps in frame["taps"]]
    output.print_table(frame, title=f"Features in {cache}" + (f" ({rate:,.1f} images/s)" if rate else ""))


def _weights(given: list[str], models: tuple[str, ...]) -> dict[str, Path]:
    """MODEL=FILE pairs; a lone FILE belongs to the only model."""
    from probekit.errors import UsageError
    from probekit.registry import unknown_name

    found = {}
    for text in given:
        name, equals, file = text.rpartition("=")
        if not equals or name not in models:
            if equals and not Path(text).exists():
                raise unknown_name("model of --weights", name, models)
            if len(models) > 1:
                raise UsageError(
                    f"--weights {text}: with several models write MODEL=FILE, MODEL one of {', '.join(models)}."
                )
            name, file = models[0], text
        if not Path(file).exists():
            raise UsageError(f"--weights {file}: no such file.")
        found[name] = Path(file)
    return found


def _split(text: str) -> tuple[str, ...]:
    from probekit.errors import UsageError

    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if not names:
        raise UsageError(f"{text!r} names nothing: give one name, or several with commas between.")
    return names


def _one_of(flag: str, value: str, known: tuple[str, ...]) -> str:
    from probekit.registry import unknown_name

    if value not in known:
        raise unknown_name(flag, value, known)
    return value
