"""Weights that do not come from a hub: files that are named, and networks of the cache."""

from collections.abc import Mapping, Sequence
from pathlib import Path


def with_networks(given: Mapping[str, Path], models: Sequence[str], cache: Path) -> dict[str, Path]:
    """Model → checkpoint: those given, and the folders of trained networks (`tuned:NAME`) in the cache."""
    from probekit.models import tuned

    return tuned.locate(models, cache) | dict(given)
