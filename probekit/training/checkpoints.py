"""Checkpoints: how far a training has come, in one file that is there whole or not at all.

.NAME.checkpoint.safetensors   module.*, best.* and optimiser.N.* as tensors; all else as JSON in its metadata
"""

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit.errors import StoreError
from probekit.files import whole

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module


@dataclass
class Epoch:
    """What came of one epoch."""

    loss: float
    """Mean over its steps."""
    val_loss: float | None
    """None without val images."""
    val_accuracy: float | None
    """None also of a network without a classifier."""


@dataclass
class State:
    """Where a training stands, beside its tensors."""

    identity: str
    """Fingerprint of all that decides the weights."""
    epoch: int = 0
    """Epochs done."""
    step: int = 0
    """Batches of the epoch under way that were gone through, those without a readable image among them."""
    losses: list[float] = field(default_factory=list)
    """Of every step that learned."""
    losses_before: int = 0
    """So many of them are of epochs before the one under way."""
    epochs: list[Epoch] = field(default_factory=list)
    best: int = 0
    """Number of the epoch with the lowest val loss, from 1; 0 before there is any."""
    learned: int = 0
    """Images that went through the network, each time it did."""
    failed: dict[int, str] = field(default_factory=dict)
    """Row → why it cannot be read."""
    seconds: float = 0.0
    """Of training, over all lives."""

    @property
    def lowest(self) -> float:
        """Val loss of the best epoch; infinite before there is one."""
        found = self.epochs[self.best - 1].val_loss if self.best else None
        return math.inf if found is None else found


def save(
    path: Path, state: State, module: "Module", best: "dict[str, Tensor]", optimiser: "torch.optim.Optimizer"
) -> None:
    """Write a checkpoint in place of the one before.

    Raises:
        StoreError: it cannot be written.
    """
    from safetensors.torch import save_file

    tensors = {f"module.{name}": values for name, values in module.state_dict().items()}
    tensors |= {f"best.{name}": values for name, values in best.items()}
    moments = optimiser.state_dict()["state"]
    tensors |= {f"optimiser.{n}.{name}": value for n, own in moments.items() for name, value in own.items()}
    tensors = {name: values.detach().contiguous() for name, values in tensors.items() if values is not None}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole(path) as draft:
            save_file(tensors, draft, {"state": json.dumps(asdict(state))})
    except OSError as error:
        raise StoreError(f"{path}: cannot be written ({error.strerror or error}): make room.") from error


def read_state(path: Path) -> State | None:
    """What a checkpoint says without its tensors; None where there is none.

    Raises:
        StoreError: it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        return None
    try:
        with safe_open(path, "pt") as file:
            found: dict[str, Any] = json.loads(file.metadata()["state"])
        found["epochs"] = [Epoch(**epoch) for epoch in found["epochs"]]
        found["failed"] = {int(row): reason for row, reason in found["failed"].items()}
        return State(**found)
    except (SafetensorError, OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is damaged ({error}): delete it, the training then begins anew.") from error


def restore(path: Path, module: "Module", optimiser: "torch.optim.Optimizer") -> "dict[str, Tensor]":
    """Give module and optimiser what the checkpoint holds; returns the weights of the best epoch so far."""
    from safetensors.torch import load_file

    tensors = load_file(path)
    parts: dict[str, dict[str, Tensor]] = {"module": {}, "best": {}, "optimiser": {}}
    for name, values in tensors.items():
        part, _, rest = name.partition(".")
        parts[part][rest] = values
    module.load_state_dict(parts["module"])
    moments: dict[int, dict[str, Tensor]] = {}
    for name, values in parts["optimiser"].items():
        number, _, rest = name.partition(".")
        moments.setdefault(int(number), {})[rest] = values
    optimiser.load_state_dict({"state": moments, "param_groups": optimiser.state_dict()["param_groups"]})
    return parts["best"]
