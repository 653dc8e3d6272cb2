"""The folder of a trained network: written whole at the end, and recognised when it is asked for again."""

import json
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import probekit
from probekit.errors import StoreError, UsageError
from probekit.files import sync_tree
from probekit.fingerprint import JSONValue, hash_file, plain
from probekit.models import tuned
from probekit.models.tuned import Network
from probekit.training.checkpoints import State
from probekit.training.data import Lesson
from probekit.training.network import Design, head_names

if TYPE_CHECKING:
    from torch import Tensor

NOT_IN_NAMES = set("+,#=:/\\\0")
MOST_POINTS = 1000
"""Of the training curve; more steps are joined to their means."""


def check_name(name: str) -> None:
    """Nothing, if a network can be called that.

    Raises:
        UsageError: it cannot.
    """
    if not name or name.startswith(".") or NOT_IN_NAMES & set(name) or not name.isprintable():
        raise UsageError(f"--name {name!r}: a network's name has none of {' '.join('+,#=:/')} and begins with no dot.")


def name_of(lesson_name: str, prefix: str) -> str:
    """A name for the network of a training set: `xception41-scratch-lama`; `+` and `@` would mean something else."""
    kept = "".join(c if c.isalnum() or c in "._-" else "-" for c in lesson_name)
    return f"{prefix}-{kept}"


def checkpoint_of(folder: Path) -> Path:
    """Where the unfinished training of a network is kept."""
    return folder.with_name(f".{folder.name}.checkpoint.safetensors")


def newer_than_network(checkpoint: Path, folder: Path) -> bool:
    """Whether a checkpoint was written after the network that is there, if one is: it is not what became of it."""
    description = folder / tuned.DESCRIPTION
    return not description.exists() or checkpoint.stat().st_mtime_ns > description.stat().st_mtime_ns


def trained_already(folder: Path, identity: str) -> Network | None:
    """The network in a folder, if it is the one that would be trained; None where there is no folder.

    Raises:
        UsageError: it is another one.
        WeightsError: it cannot be read.
    """
    if not (folder / tuned.DESCRIPTION).exists():
        return None
    network = tuned.read(folder)
    if network.training["identity"] != identity:
        raise UsageError(
            f"{folder} was trained with other settings, another manifest or other starting weights "
            f"({_words(network)}): choose another --name, or --force to train it anew."
        )
    return network


def _words(network: Network) -> str:
    settings, training = network.settings, network.training
    start = "scratch" if settings.get("scratch") else "pretrained"
    return (
        f"{settings.get('arch')} {start}, {training['train']} of {training['manifest']['name']}, "
        f"{settings.get('epochs')} epochs, seed {settings.get('seed')}"
    )


def write(
    folder: Path,
    tensors: "dict[str, Tensor]",
    design: Design,
    network: object,
    lesson: Lesson,
    task: str,
    training: Mapping[str, object],
) -> Network:
    """The network kept in its folder, in place of an earlier one; a kill leaves the old one, the new one or none.

    Raises:
        StoreError: it cannot be written.
    """
    from safetensors.torch import save_file

    draft = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}")
    try:
        draft.mkdir(parents=True)
        save_file(tensors, draft / tuned.TENSORS)
        record = _record(design, network, lesson, task, training) | {"sha256": hash_file(draft / tuned.TENSORS)}
        text = json.dumps(record, indent=1, allow_nan=False, ensure_ascii=False)
        (draft / tuned.DESCRIPTION).write_text(text + "\n", encoding="utf-8")
        sync_tree(draft)
        replaced = draft.with_name(f"{draft.name}.old")
        if folder.exists():
            folder.replace(replaced)
        draft.replace(folder)
        shutil.rmtree(replaced, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"{folder}: cannot be written ({error.strerror or error}).") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    checkpoint_of(folder).unlink(missing_ok=True)
    return tuned.read(folder)


def _record(
    design: Design, network: object, lesson: Lesson, task: str, training: Mapping[str, object]
) -> dict[str, JSONValue]:
    head = head_names(network) if design.settings.has_head else None
    found = plain(
        {
            "kind": tuned.KIND,
            "format": tuned.FORMAT,
            "probekit": probekit.__version__,
            "arch": design.tuned_arch,
            "options": design.options,
            "task": task,
            "classes": lesson.classes,
            "input": design.settings.input,
            "view": design.view,
            "head": {"weight": head[0], "bias": head[1]} if head else None,
            "settings": design.settings.record(),
            "training": training,
        }
    )
    assert isinstance(found, dict)  # a mapping becomes an object
    return found


def curve(state: State) -> list[dict[str, Any]]:
    """The loss along the steps: step and loss, means over equal spans where there are many."""
    losses = state.losses
    span = -(-len(losses) // MOST_POINTS) or 1
    return [
        {"step": min(start + span, len(losses)), "loss": sum(own) / len(own)}
        for start in range(0, len(losses), span)
        if (own := losses[start : start + span])
    ]
