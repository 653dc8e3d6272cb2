"""Which blacklist is meant, and which images."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from probekit.paths import AnyPath, require_no_url
from probekit_cli import options, output

if TYPE_CHECKING:
    from probekit.blacklist import Blacklist as Opened
    from probekit.blacklist import ImageSet, Record

DEFAULT = Path("blacklists")
MANIFEST = "manifest:"
METAVAR = f"PATH|{MANIFEST}NAME"

Blacklist = Annotated[
    str | None,
    typer.Option(
        "--blacklist",
        "-b",
        envvar="PROBEKIT_BLACKLIST",
        metavar="NAME|DIR",
        help="Blacklist; the only one in blacklists/.",
        callback=options.on_a_disk("blacklists", "name a folder"),
        rich_help_panel=options.FILES,
    ),
]
Blacklists = Annotated[
    Path,
    typer.Option(
        "--blacklists",
        envvar="PROBEKIT_BLACKLISTS",
        metavar="DIR",
        help="Folder of the blacklists.",
        callback=options.on_a_disk("blacklists", "name a folder"),
        rich_help_panel=options.FILES,
    ),
]
Split = Annotated[str | None, typer.Option(help="Of a manifest, only this split: train, val or test.")]
Weights = Annotated[
    list[str] | None,
    typer.Option(
        metavar="MODEL=FILE",
        help="Local checkpoint of a model, not a hub's.",
        callback=options.on_a_disk("checkpoints"),
    ),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: a GPU if there is one.")]
Frames = Annotated[int, typer.Option(min=0, help="Frames of each video; 0 leaves videos out.")]
BatchSize = Annotated[int | None, typer.Option(min=1, help="Images in one forward pass. Default: the store's own.")]
Workers = Annotated[int | None, typer.Option(min=1, help="Threads that read and decode. Default: one per processor.")]


@dataclass(frozen=True)
class Engine:
    """Where features are computed and kept, as the options say."""

    cache: AnyPath
    weights: list[str] | None
    device: str | None
    batch_size: int | None
    workers: int | None
    frames: int = 0
    """Of each video among the images; 0 leaves videos out."""

    def checkpoints(self) -> dict[str, Path]:
        """Model → file; every network of the cache is one."""
        from probekit.errors import UsageError
        from probekit.models import tuned

        found = tuned.locate_all(self.cache)
        for text in self.weights or []:
            model, equals, file = text.rpartition("=")
            if not equals or not Path(file).exists():
                raise UsageError(f"--weights {text}: write MODEL=FILE, a file that exists.")
            found[model] = Path(file)
        return found

    def images(
        self,
        record: "Record",
        inputs: Sequence[str],
        *,
        generator: str | None = None,
        split: str | None = None,
        shots: int = 0,
        seed: int = 0,
    ) -> "ImageSet":
        """The images that are meant, with the features that the blacklist compares."""
        from probekit.blacklist import Computing, images_of_files, images_of_manifest
        from probekit.errors import UsageError
        from probekit.manifest import SPLITS, Manifest
        from probekit.registry import unknown_name

        named = [text.removeprefix(MANIFEST) for text in inputs if text.startswith(MANIFEST)]
        if named and len(inputs) > 1:
            raise UsageError(f"give images and folders, or one {MANIFEST}NAME, not both.")
        if split is not None and split not in SPLITS:
            raise unknown_name("--split", split, SPLITS)
        if not named and (split or generator):
            raise UsageError(f"--split and --of choose among the samples of a manifest: give {MANIFEST}NAME.")
        with output.progress("features") as show:
            computing = Computing(
                self.cache,
                self.checkpoints(),
                self.device,
                self.batch_size,
                self.workers,
                on_progress=lambda progress: show(progress.done, progress.total),
            )
            if named:
                manifest = Manifest.read(named[0] or None)
                return images_of_manifest(
                    record.blocks, manifest, computing, generator=generator, split=split, shots=shots, seed=seed
                )
            paths = [Path(text) for text in inputs]
            for path in paths:
                require_no_url(path, f"images that are not of a manifest lie on a disk: give {MANIFEST}NAME.")
            return images_of_files(record.blocks, paths, computing, frames=self.frames, shots=shots, seed=seed)


def opened(name: str | None, blacklists: Path) -> "Opened":
    """The blacklist that is meant; says so if its folder was renamed or copied."""
    from probekit import blacklist

    found = blacklist.Blacklist.open(blacklist.find_blacklist(name, blacklists))
    if found.recorded_name != found.record.name:
        output.remark(f"note: the folder {found.record.name} was written as blacklist {found.recorded_name}.")
    return found


def failures(images: "ImageSet", run: Path) -> None:
    """Say which images have no features; then the command ends with exit code 1.

    Raises:
        typer.Exit: there are such images.
    """
    if len(images.failed):
        output.remark(f"{output.count(len(images.failed), 'image')} without features:")
        lines = list(zip(images.failed["path"], images.failed["reason"], strict=True))
        output.listing(lines, rest=str(run / "tables" / "failed.csv"))
        raise typer.Exit(1)
