"""Where a new manifest goes."""

from pathlib import Path
from typing import Annotated

import typer

MANIFESTS = Path("manifests")

Folder = Annotated[Path, typer.Option("--manifests", metavar="DIR", help="Where the manifest goes.")]
Force = Annotated[bool, typer.Option("--force", help="Replace a manifest of that name.")]
