"""Where protocols are: the user's own, in manifests/protocols, before those that probekit brings."""

from pathlib import Path

import probekit
from probekit.errors import UsageError
from probekit.registry import unknown_name
from probekit.studies.protocol import Protocol
from probekit.studies.reading import read

OWN = Path("manifests/protocols")


def folders() -> list[Path]:
    """Folders that protocols are looked for in, the first that has a name wins."""
    package = Path(probekit.__file__).resolve().parent
    brought = [package / "studies" / "protocols", package.parent / OWN]
    return [OWN, *(folder for folder in brought if folder.resolve() != OWN.resolve())]


def known() -> dict[str, Path]:
    """Name → file of every protocol, sorted."""
    found: dict[str, Path] = {}
    for folder in folders():
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return dict(sorted(found.items()))


def sound() -> tuple[list[Protocol], list[str]]:
    """Every protocol, sorted by name, and one line for each file that is none."""
    found, problems = [], []
    for path in known().values():
        try:
            found.append(read(path))
        except UsageError as error:
            problems.append(str(error))
    return found, problems


def find(name: str) -> Protocol:
    """The protocol of that name, or in that file.

    Raises:
        UnknownNameError: there is none; the message lists them.
        UsageError: it is not a sound protocol.
    """
    if name.endswith(".toml") or "/" in name:
        if not Path(name).is_file():
            raise UsageError(f"{name}: no such file. `probekit study ls` lists the studies that there are.")
        return read(Path(name))
    every = known()
    if name not in every:
        raise unknown_name("study", name, every)
    return read(every[name])
