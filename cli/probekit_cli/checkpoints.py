"""Weights that do not come from a hub: files that are named, and networks of the cache."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from probekit.paths import AnyPath


def with_networks(given: Mapping[str, Path], models: Sequence[str], cache: AnyPath) -> dict[str, Path]:
    """Model → checkpoint: those given, and the folders of trained networks (`tuned:NAME`) in the cache."""
    from probekit.models import tuned

    return tuned.locate(models, cache) | dict(given)


def named(given: Sequence[str], models: Sequence[str]) -> dict[str, Path]:
    """Model → checkpoint of `MODEL=FILE`; a lone FILE belongs to the only model.

    Raises:
        UsageError: no such file, or nothing says whose it is.
    """
    from probekit.errors import UsageError
    from probekit.registry import unknown_name

    found = {}
    for text in given:
        name, equals, file = text.rpartition("=")
        if not equals or name not in models:
            if equals and not Path(text).exists():
                raise unknown_name("model of --weights", name, models)
            if len(models) > 1:
                raise UsageError(
                    f"--weights {text}: with several models write MODEL=FILE, MODEL one of {', '.join(models)}."
                )
            name, file = models[0], text
        if not Path(file).exists():
            raise UsageError(f"--weights {file}: no such file.")
        found[name] = Path(file)
    return found
