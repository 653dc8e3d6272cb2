"""Training, and the features of what was trained."""

from pathlib import Path
from typing import TYPE_CHECKING

from probekit_cli import output
from probekit_cli.finetune.asked import Asked

if TYPE_CHECKING:
    from probekit.features import Selector
    from probekit.training import Progress, Trained


def train_all(asked: Asked) -> "dict[str, Trained]":
    """The network of each lesson by its name, trained now unless it is there."""
    from probekit.training import train

    found: dict[str, Trained] = {}
    for number, (name, lesson) in enumerate(asked.lessons.items(), start=1):
        which = f" ({number} of {len(asked.lessons)})" if len(asked.lessons) > 1 else ""
        with output.progress(f"images learned by {name}{which}") as show:

            def tell(progress: "Progress", show: output.Show = show) -> None:
                show(progress.done, progress.total, "" if progress.loss is None else f"loss {progress.loss:.3f}")

            try:
                found[name] = train(
                    asked.where.manifest,
                    lesson,
                    asked.task,
                    asked.settings,
                    place=asked.folder(name),
                    weights=asked.start,
                    device=asked.device,
                    workers=asked.workers,
                    force=asked.force,
                    on_progress=tell,
                )
            except KeyboardInterrupt as stop:
                stop.add_note("the last checkpoint is kept, and the same command goes on from there")
                raise
    return found


def extract_all(asked: Asked, trained: "dict[str, Trained]") -> "list[tuple[str, Selector]]":
    """Reference and store of each network's features of every image, in the precision of its training."""
    from probekit.extract import ExtractSettings, extract
    from probekit.features import Selector

    folders: dict[str, Path] = {one.network.model: one.network.folder for one in trained.values()}
    with output.progress("extracting") as show:
        result = extract(
            asked.where.manifest,
            ExtractSettings(models=tuple(folders), precision=asked.settings.precision),
            cache=asked.where.cache,
            weights=folders,
            device=asked.device,
            workers=asked.workers,
            on_progress=lambda progress: show(progress.done, progress.total),
            on_remark=output.remark,
        )
    return [(f"{model.model}#pool", Selector(store=model.address)) for model in result.models]
