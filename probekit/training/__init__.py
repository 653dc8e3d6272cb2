"""Training: networks end to end, as baselines beside the frozen features.

    settings.py      what decides the weights
    data.py          which images, in which order, loaded ahead by threads
    augmentation.py  what is done to an image
    network.py       timm's network with its head
    mixing.py        new representations from those of a batch
    losses.py        cross-entropy and contrastive losses
    lora.py          low-rank updates of the attention
    loop.py          epochs, steps, early stopping
    checkpoints.py   how far it has come, in one file
    folder.py        what is left in the end
    heads.py         the classifier as a probe
    draws.py         random numbers

What comes out is a model, `tuned:NAME`, whose features go the way of all features.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from probekit import records
from probekit.errors import StoreError, UsageError
from probekit.fingerprint import fingerprint
from probekit.manifest import Manifest
from probekit.models.tuned import Network
from probekit.parallel import processors
from probekit.samples import Samples
from probekit.training import checkpoints, folder
from probekit.training.checkpoints import State
from probekit.training.data import Lesson
from probekit.training.folder import check_name, name_of
from probekit.training.heads import head_of
from probekit.training.loop import Loop, OnProgress, Progress
from probekit.training.network import Design, Trainee
from probekit.training.settings import TrainSettings, parse_augmentations

__all__ = [
    "Lesson",
    "Network",
    "Progress",
    "TrainSettings",
    "Trained",
    "check_name",
    "head_of",
    "name_of",
    "parse_augmentations",
    "train",
]


@dataclass(frozen=True, eq=False)
class Trained:
    """A network, and what was done for it just now."""

    network: Network
    reused: bool
    """It was there already."""
    failed: dict[str, str]
    """Path → reason, of the images that could not be read."""

    @property
    def curve(self) -> pd.DataFrame:
        """step, loss: along all steps."""
        return pd.DataFrame(self.network.training["losses"])

    @property
    def epochs(self) -> pd.DataFrame:
        """epoch, loss, val_loss, val_accuracy."""
        return pd.DataFrame(self.network.training["epochs"])


def train(
    manifest: Manifest,
    lesson: Lesson,
    task: str,
    settings: TrainSettings,
    *,
    place: Path,
    weights: Path | None = None,
    device: str = "cpu",
    workers: int | None = None,
    force: bool = False,
    on_progress: OnProgress | None = None,
) -> Trained:
    """A network that tells the classes of a lesson apart; one that was trained so before is taken as it is.

    A training that was interrupted goes on from its last checkpoint, to the same weights on the same machine with as
    many threads of a CPU.

    Args:
        manifest: the images.
        lesson: what is learned from which of them.
        task: `binary` or `attribution`.
        settings: how.
        place: folder of the network, `networks/NAME` of a cache.
        weights: what to start from; a hub's unless given or from scratch.
        device: `cpu`, `cuda:0` ….
        workers: threads that read and decode; one per processor unless given.
        force: train anew, whatever is there; an interrupted training that was forced goes on all the same.
        on_progress: called after steps.

    Raises:
        UsageError: a network of that name was trained, or is being trained, in another way; an image size that the
            network cannot take.
        UnknownNameError: timm has no such network.
        WeightsError: the weights to start from cannot be had.
        ProbeError: the loss is not a number any more, or no image can be read.
        MemoryError: the device has no room for a batch.
    """
    check_name(place.name)
    design = Design.of(settings, len(lesson.classes), weights)
    identity = _identity(manifest, lesson, task, design)
    if not force and (found := folder.trained_already(place, identity)):
        return Trained(found, True, dict(found.training["failed"]))
    state = _resumed(place, identity, force)
    trainee, samples = Trainee(design, device), Samples.of_rows(manifest)
    before, began = state.learned, time.monotonic()
    Loop(trainee, lesson, samples, state, folder.checkpoint_of(place), workers or processors(), on_progress).run()
    speed = (state.learned - before) / max(time.monotonic() - began, 1e-9)
    tensors = trainee.finished()
    training = _training(manifest, lesson, design, state, device) | {"images_per_second": round(speed, 3)}
    network = folder.write(place, tensors, design, trainee.network, lesson, task, training)
    return Trained(network, False, training["failed"])


def _identity(manifest: Manifest, lesson: Lesson, task: str, design: Design) -> str:
    """Fingerprint of all that decides the weights, but for the content of the images, which is not read for it."""
    return fingerprint(
        {
            "settings": design.settings.record(),
            "manifest": manifest.sha256,
            "train": lesson.name,
            "task": task,
            "classes": lesson.classes,
            "start": design.start.sha256 if design.start else None,
        }
    )


def _resumed(place: Path, identity: str, force: bool) -> State:
    """Where an interrupted training of the same network stands, or the beginning.

    Raises:
        UsageError: an unfinished training of another network has that name, and nothing is forced.
        StoreError: the checkpoint is damaged, and nothing is forced.
    """
    checkpoint = folder.checkpoint_of(place)
    try:
        state = checkpoints.read_state(checkpoint)
    except StoreError:
        if not force:
            raise
        state = None
    if force and state and (state.identity != identity or not folder.newer_than_network(checkpoint, place)):
        state = None
    if state is None:
        checkpoint.unlink(missing_ok=True)
        return State(identity)
    if state.identity != identity:
        raise UsageError(
            f"{checkpoint} is of an unfinished training with other settings, another manifest or other starting "
            "weights: finish it by its own command, choose another --name, or --force to begin anew."
        )
    return state


def _training(manifest: Manifest, lesson: Lesson, design: Design, state: State, device: str) -> dict[str, Any]:
    """The record of a training, but for its speed."""
    import torch

    best = f", the best by val loss: {state.best}" if state.best else ""
    paths = manifest.table["path"]
    return {
        "identity": state.identity,
        "train": lesson.name,
        "manifest": {"name": manifest.name, "sha256": manifest.sha256},
        "start": {"source": design.source, "sha256": design.start.sha256 if design.start else None},
        "n_train": len(lesson.train),
        "n_val": len(lesson.val),
        "n_train_by_class": lesson.counts(lesson.train),
        "n_val_by_class": lesson.counts(lesson.val),
        "epochs_done": state.epoch,
        "epoch_kept": state.best or state.epoch,
        "stopped": f"{state.epoch} of {design.settings.epochs} epochs{best}",
        "epochs": [{"epoch": number, **vars(epoch)} for number, epoch in enumerate(state.epochs, start=1)],
        "losses": folder.curve(state),
        "steps": len(state.losses),
        "seconds": round(state.seconds, 1),
        "device": device,
        "threads": torch.get_num_threads(),
        "versions": dict(records.versions()),
        "failed": {str(paths.iloc[row]): reason for row, reason in sorted(state.failed.items())},
    }
