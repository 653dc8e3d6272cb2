"""What is recorded and shown of the trainings themselves."""

from typing import TYPE_CHECKING, Any

from probekit_cli import tables
from probekit_cli.questions import Session

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.training import Trained


def trainings(session: Session, trained: "dict[str, Trained]", features: "dict[str, FeatureSet]") -> None:
    """A row a network, its curve, and what could not be read."""
    import pandas as pd

    rows = [_row(name, one) for name, one in trained.items()]
    session.run.table("networks", pd.DataFrame(rows))
    session.together["networks"] = rows
    session.show(lambda: tables.print_table(pd.DataFrame(rows)[list(SHOWN)], title="Networks"))
    for one in trained.values():
        session.excluded |= one.failed


SHOWN = ("network", "learned", "images", "val", "epochs", "loss", "val loss", "val acc", "trained in")
"""Of a row, what fits a terminal."""


def _row(name: str, one: "Trained") -> dict[str, Any]:
    training = one.network.training
    kept = training["epochs"][training["epoch_kept"] - 1]
    seconds = training["seconds"]
    return {
        "network": one.network.model,
        "learned": training["train"],
        "images": training["n_train"],
        "val": training["n_val"],
        "epochs": training["epochs_done"],
        "loss": kept["loss"],
        "val loss": kept["val_loss"],
        "val acc": kept["val_accuracy"],
        "trained in": "was there"
        if one.reused
        else f"{seconds / 60:.1f} min"
        if seconds >= 120
        else f"{seconds:.0f} s",
    }
