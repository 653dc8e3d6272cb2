"""Where a new manifest goes, and options that give names values."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli import options

MANIFESTS = Path("manifests")

Folder = Annotated[
    Path,
    typer.Option(
        "--manifests",
        metavar="DIR",
        help="Where the manifest goes.",
        callback=options.on_a_disk("manifests that are written", "name a folder"),
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace a manifest of that name.")]


def pairs(flag: str, given: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` of each time that an option was given.

    Raises:
        UsageError: one has no name or no `=`.
    """
    from probekit.errors import UsageError

    found = {}
    for text in given or []:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise UsageError(f"{flag} {text}: write NAME=VALUE.")
        found[name] = value
    return found
