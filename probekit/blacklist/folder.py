"""The folder of blacklists: which there are, and which one is meant."""

from pathlib import Path

from probekit.blacklist.record import FILE
from probekit.errors import BlacklistError
from probekit.registry import unknown_name


def list_blacklists(folder: Path) -> list[Path]:
    """The blacklists in a folder, by name."""
    return sorted(path.parent for path in folder.glob(f"[!.]*/{FILE}"))


def find_blacklist(choice: str | None, folder: Path) -> Path:
    """The blacklist that is meant.

    Args:
        choice: a name in `folder`, or a blacklist's own folder; None means the only one there.
        folder: where blacklists live.

    Raises:
        UnknownNameError: there is none of that name.
        BlacklistError: there is none at all, or there are several and none is named.
    """
    present = list_blacklists(folder)
    if choice and (Path(choice) / FILE).is_file():
        return Path(choice)
    if not present:
        raise BlacklistError(f"there is no blacklist in {folder}: make one with `probekit blacklist create`.")
    if choice:
        if (folder / choice) not in present:
            raise unknown_name(f"blacklist in {folder}", choice, [path.name for path in present])
        return folder / choice
    if len(present) > 1:
        names = ", ".join(path.name for path in present)
        raise BlacklistError(f"{folder} holds several blacklists ({names}): choose one with --blacklist NAME.")
    return present[0]
