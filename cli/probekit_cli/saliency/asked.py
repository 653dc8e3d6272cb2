"""What the options of `probekit saliency` ask."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from probekit.paths import AnyPath
from probekit_cli import checkpoints

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.heads import Head


def saved(probe: str) -> "Head | None":
    """The saved probe of that file or folder; None for the name of a probe to train.

    Raises:
        UnknownNameError: it is neither.
        ProbeError: it is no saved probe.
    """
    from probekit import heads, probes

    if probe in probes.names():
        return None
    path = Path(probe)
    if not path.exists() and not path.suffix and path.parent == Path():
        probes.get(probe)  # which says what there is
    return heads.read(path)


def refuse_training(given: Mapping[str, object]) -> None:
    """Nothing, unless an option was given that a saved probe leaves nothing to do.

    Raises:
        UsageError: one was.
    """
    from probekit.errors import UsageError

    for flag, value in given.items():
        if value not in (None, False):
            raise UsageError(f"{flag}: the probe is trained already, its file says how: leave it out.")


def reference(head: "Head") -> str:
    """The features of a saved probe, as `--model` names them."""
    return f"{head.models[0]}#{head.taps[0]}"


def label(head: "Head") -> "FeatureSet":
    """The name and source of a saved probe's features, without any row of them."""
    import pandas as pd

    from probekit.features import FeatureSet, Source
    from probekit.heads.saved_head import SavedHead

    assert isinstance(head, SavedHead)  # `look_with` took it
    settings = head.settings
    source = Source(settings.model, head.taps[0], settings.view_name, settings.precision, settings.address)
    return FeatureSet(reference(head), (source,), pd.DataFrame(), (), pd.DataFrame({"path": [], "reason": []}))


def task(head: "Head") -> str:
    """What it was trained for, as `--task` has it."""
    from probekit.heads.saved_head import SavedHead

    attributes = isinstance(head, SavedHead) and head.probe.task == "attribution"
    return "attribution" if attributes else "binary"


def weights(given: str | None, models: Sequence[str], cache: AnyPath) -> dict[str, Path]:
    """FILE of the one model that is run, or MODEL=FILE of one of several; networks of the cache beside it.

    Raises:
        UsageError: there is no such file.
    """
    from probekit.errors import UsageError

    if given is None:
        return checkpoints.with_networks({}, models, cache)
    name = next((model for model in models if given.startswith(f"{model}=")), None)
    file = Path(given.removeprefix(f"{name}=") if name else given)
    if not file.exists():
        raise UsageError(f"--weights {given}: no such file. Write FILE or {models[0]}=FILE.")
    return checkpoints.with_networks({name or models[0]: file}, models, cache)
