"""`probekit demo`."""

import shlex
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit.paths import AnyPath, on_disk
from probekit_cli import commands, options, output
from probekit_cli.manifest import written

if TYPE_CHECKING:
    from probekit.manifest import Manifest

MODELS = "srm"
UNREGISTERED = "shiftmap"  # it copies real texture: the generator that is hardest to tell from real


def demo(
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: Annotated[
        Path,
        typer.Option(
            "--runs",
            metavar="DIR",
            help="Made anew by every demo.",
            callback=options.on_a_disk("run records", "name a folder"),
        ),
    ] = Path("runs/demo"),
    manifests: written.Folder = written.MANIFESTS,
    data_only: Annotated[
        bool, typer.Option("--data-only", help="Make the images and their manifest, and ask nothing.")
    ] = False,
    seed: options.Seed = 0,
) -> None:
    """Do the whole main job on real photographs, offline: data, audit, features, probes, retrieval, map, report.

    Crops of photographs are inpainted by four classical methods; afterwards every command works on them as typed.

    Example: probekit demo
    """
    began = time.monotonic()
    manifest = _make_data(cache, manifests, seed)
    if data_only:
        output.remark(f"{output.count(len(manifest.table), 'image')} in {manifest.root}, manifest {manifest.path}")
        return
    _forget_runs(runs)
    which = ["--manifest", "demo" if manifests == Path("manifests") else str(manifest.path)]
    kept = ["--runs", str(runs)]
    asked = [*which, *([] if cache == options.DEFAULT_CACHE else ["--cache", str(cache)]), *kept]
    for why, words in (
        ("Is every image readable, and is no photograph on two sides of a split?", ["manifest", "check", *which]),
        ("Do size, format or copies give the classes away? Files alone must not.", ["audit", *asked]),
        ("Features, once. A second run would find everything done.", ["extract", "--model", MODELS, *asked]),
        ("Real or inpainted? Trained on one, tested on each.", ["probe", "--train", "all", "--test", "all", *asked]),
        ("Which method was it?", ["probe", "--task", "attribution", *asked]),
        (
            f"Nearest registered examples, {UNREGISTERED} not among them.",
            ["retrieve", "--unknown", UNREGISTERED, *asked],
        ),
        ("How far apart do the methods lie in these features?", ["compare", *asked]),
        ("What lies near what?", ["map", *asked]),
        ("All of it on one page.", ["report", *kept]),
    ):
        _run(words, why)
    output.stdout().print(
        f"\n[bold]Done in {time.monotonic() - began:.0f} s.[/bold] "
        f"Open [bold]{runs / 'report.html'}[/bold] in a browser. "
        "The three diffusion-type inpainters are caught on photographs that no probe has seen, also by probes of each "
        f"other; {UNREGISTERED} pastes real texture, which these features cannot tell from real. Nearest examples, "
        "without training, hardly tell registered methods from an unregistered one: their AUROC is near .5.\n"
        "Your own images: probekit manifest import FOLDER --layout class-folders --name mine"
    )


def _make_data(cache: AnyPath, manifests: Path, seed: int) -> "Manifest":
    from probekit import inpainting
    from probekit.manifest import Manifest, assign_splits, default_folds, split_report, validate

    root = on_disk(cache, "the demo's images") / "demo-images"
    _say(None, "Real photographs, and crops of them with a hole refilled by four inpainters.")
    with output.progress("inpainting") as show:
        table = inpainting.build(root, inpainting.InpaintingSettings(seed=seed), progress=show)
    table = validate(table, root)
    table["split"] = assign_splits(table, seed)
    facts = {"layout": "demo", "split": split_report(table, f"assigned by group, seed {seed}")}
    return Manifest("demo", None, root, table, default_folds(table), facts).write(manifests, overwrite=True)


def _forget_runs(runs: Path) -> None:
    """Remove the records of an earlier demo, and nothing else that may lie in that folder."""
    for record in runs.glob("*/run.json"):
        shutil.rmtree(record.parent)


def _run(arguments: list[str], why: str) -> None:
    _say(shlex.join(["probekit", *arguments]), why)
    if code := commands.execute(arguments):
        raise typer.Exit(code)


def _say(command: str | None, why: str) -> None:
    from rich.text import Text

    console = output.stdout()
    console.print()
    console.print(Text(f"# {why}", style="dim"))
    if command:
        console.print(Text(f"$ {command}", style="bold cyan"), soft_wrap=True)
