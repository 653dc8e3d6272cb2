"""`probekit demo`."""

import shlex
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output

if TYPE_CHECKING:
    from probekit.manifest import Manifest

MODELS = "srm"
UNREGISTERED = "shiftmap"  # it copies real texture: the generator that is hardest to tell from real


def demo(
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: Annotated[Path, typer.Option("--runs", metavar="DIR", help="Made anew by every demo.")] = Path("runs/demo"),
    manifests: Annotated[Path, typer.Option("--manifests", metavar="DIR", help="Where demo.csv goes.")] = Path(
        "manifests"
    ),
    seed: options.Seed = 0,
) -> None:
    """Do the whole main job on real photographs, offline: data, features, probes, retrieval, map, report.

    Crops of photographs are inpainted by four classical methods; afterwards every command works on them as typed.

    Example: probekit demo
    """
    began = time.monotonic()
    manifest = _make_data(cache, manifests, seed)
    shutil.rmtree(runs, ignore_errors=True)
    chosen = str(manifest.path) if manifests != Path("manifests") else "demo"
    common = ["--manifest", chosen, *_unless_default("--cache", cache, options.DEFAULT_CACHE), "--runs", str(runs)]
    _run(["manifest", "check", *common[:-2]], "Is every image readable, and is no photograph on two sides of a split?")
    _run(["extract", "--model", MODELS, *common], "Features, once. A second run would find everything done.")
    _run(
        ["probe", "--train", "all", "--test", "all", *common],
        "Real or inpainted? Trained on one, tested on each.",
    )
    _run(["probe", "--task", "attribution", *common], "Which method was it?")
    _run(
        ["retrieve", "--unknown", UNREGISTERED, *common],
        f"Nearest registered examples, {UNREGISTERED} not among them.",
    )
    _run(["map", *common], "What lies near what?")
    _run(["report", "--runs", str(runs)], "All of it on one page.")
    output.stdout().print(
        f"\n[bold]Done in {time.monotonic() - began:.0f} s.[/bold] "
        f"Open [bold]{runs / 'report.html'}[/bold] in a browser. "
        "The three diffusion-type inpainters are caught on photographs that no probe has seen, also by probes of each "
        f"other; {UNREGISTERED} pastes real texture, which these features cannot tell from real.\n"
        "Your own images: probekit manifest import FOLDER --layout class-folders --name mine"
    )


def _make_data(cache: Path, manifests: Path, seed: int) -> "Manifest":
    from probekit import inpainting
    from probekit.manifest import Manifest, assign_splits, default_folds, split_report, validate

    root = cache / "demo-images"
    _say(None, "Real photographs, and crops of them with a hole refilled by four inpainters.")
    with output.progress("inpainting") as show:
        table = inpainting.build(root, inpainting.InpaintingSettings(seed=seed), progress=show)
    table = validate(table, root)
    table["split"] = assign_splits(table, seed)
    facts = {"layout": "demo", "split": split_report(table, f"assigned by group, seed {seed}")}
    return Manifest("demo", None, root, table, default_folds(table), facts).write(manifests, overwrite=True)


def _run(arguments: list[str], why: str) -> None:
    """One command as a person would type it; what it records is that command, too."""
    from probekit_cli.app import app

    _say(shlex.join(["probekit", *arguments]), why)
    typed, sys.argv = sys.argv, ["probekit", *arguments]
    try:
        app(arguments, standalone_mode=False)
    finally:
        sys.argv = typed


def _say(command: str | None, why: str) -> None:
    from rich.text import Text

    console = output.stdout()
    console.print()
    console.print(Text(f"# {why}", style="dim"))
    if command:
        console.print(Text(f"$ {command}", style="bold cyan"), soft_wrap=True)


def _unless_default(flag: str, value: Path, default: Path) -> list[str]:
    return [] if value == default else [flag, str(value)]
