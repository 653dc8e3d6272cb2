"""What is recorded and shown of the trainings themselves."""

from typing import TYPE_CHECKING, Any

from probekit_cli import output, tables
from probekit_cli.finetune.asked import Asked
from probekit_cli.questions import Session

if TYPE_CHECKING:
    import pandas as pd

    from probekit.training import Trained

SHOWN = ("network", "learned", "images", "epochs", "loss", "val loss", "val acc", "trained in")
"""Of a row, what fits a terminal."""
IMBALANCED = 1.5  # times as many images of one class as of another are worth a remark


def trainings(session: Session, asked: Asked, trained: "dict[str, Trained]") -> None:
    """A row a network, all curves in one picture, and what could not be read."""
    import pandas as pd

    rows = [_row(one) for one in trained.values()]
    session.together |= {"training": asked.settings.record(), "networks": rows}
    session.run.table("networks", pd.DataFrame([_flat(row) for row in rows]))
    steps = _joined({name: one.curve for name, one in trained.items()})
    session.run.table("training_steps", steps)
    session.run.table("training_epochs", _joined({name: one.epochs for name, one in trained.items()}))
    _draw(session, trained, steps)
    shown = pd.DataFrame([_flat(row) | {"trained in": _spent(row)} for row in rows])
    shown = shown.rename(columns={"val_loss": "val loss", "val_accuracy": "val acc"})
    session.show(lambda: tables.print_table(shown[list(SHOWN)], title=_title(asked)))
    for one in trained.values():
        _remarks(session, asked, one)


def _row(one: "Trained") -> dict[str, Any]:
    """What a reader wants to know of a network."""
    network, training = one.network, one.network.training
    kept = training["epochs"][training["epoch_kept"] - 1]
    return {
        "network": network.model,
        "learned": training["train"],
        "images": training["n_train"],
        "images_by_class": training["n_train_by_class"],
        "val_images": training["n_val"],
        "epochs": training["epochs_done"],
        "epoch_kept": training["epoch_kept"],
        "loss": kept["loss"],
        "val_loss": kept["val_loss"],
        "val_accuracy": kept["val_accuracy"],
        "seconds": training["seconds"],
        "images_per_second": training["images_per_second"],
        "device": training["device"],
        "start": training["start"]["source"],
        "weights_sha256": network.sha256,
        "reused": one.reused,
    }


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """The row as a table can hold it."""
    counts = ", ".join(f"{name} {count}" for name, count in row["images_by_class"].items())
    return row | {"images_by_class": counts}


def _spent(row: dict[str, Any]) -> str:
    seconds = row["seconds"]
    spelled = f"{seconds / 60:.1f} min" if seconds >= 120 else f"{seconds:.0f} s"
    return f"{spelled}, before" if row["reused"] else spelled


def _title(asked: Asked) -> str:
    settings = asked.settings
    words = [f"Networks: {settings.arch}", "from scratch" if settings.scratch else "pretrained"]
    words += [f"LoRA of rank {settings.lora}"] if settings.lora else []
    words += [f"{settings.loss}, {settings.optimizer}, lr {settings.learning_rate:g}", f"seed {settings.seed}"]
    return " · ".join(words)


def _remarks(session: Session, asked: Asked, one: "Trained") -> None:
    training = one.network.training
    counts = training["n_train_by_class"]
    if max(counts.values()) > IMBALANCED * min(counts.values()) and not asked.settings.balanced:
        told = ", ".join(f"{count} {name}" for name, count in counts.items())
        session.remark(f"note: {one.network.model} learned from {told}: --balanced takes as many of each.")
    if not training["n_val"] and asked.settings.epochs > 1:
        session.remark(f"note: {one.network.model}: without val images of every class the last epoch was kept.")
    if one.failed:
        session.remark(
            f"note: {one.network.model}: {output.count(len(one.failed), 'image')} of its training could not be read."
        )
    session.excluded |= one.failed


def _joined(frames: "dict[str, pd.DataFrame]") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat([frame.assign(network=name) for name, frame in frames.items()], ignore_index=True)


def _draw(session: Session, trained: "dict[str, Trained]", steps: "pd.DataFrame") -> None:
    from probekit import figures

    epochs = _joined({name: one.epochs for name, one in trained.items()})
    each = {name: one.network.training["steps"] / one.network.training["epochs_done"] for name, one in trained.items()}
    epochs["step"] = epochs["epoch"] * epochs["network"].map(each)
    series = {"network": "series"}
    drawn = figures.training_curves(steps.rename(columns=series), epochs.rename(columns=series), title="Loss by step")
    caption = "Loss by step: lines of the training images, dots of the val split after each epoch."
    session.run.figure("training", drawn, caption)
