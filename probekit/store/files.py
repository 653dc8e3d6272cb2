"""Files of the journal, and one clear line where they cannot be written."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from probekit.errors import StoreError
from probekit.paths import AnyPath, write_whole_to


def write_whole(path: AnyPath, data: bytes) -> None:
    """The file with these bytes, safe and under its name, or no file at all.

    Raises:
        StoreError: no room, no permission, or the store was removed, which does not come back.
        RemoteError: the bucket cannot be reached.
    """
    with writable(path.parent):
        path.parent.mkdir(exist_ok=True)
        write_whole_to(path, data)


@contextlib.contextmanager
def writable(folder: AnyPath) -> Iterator[None]:
    """Errors of the operating system while something is written there, as ours."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and isinstance(folder, Path) and not folder.exists():
            raise StoreError(
                f"{folder} is there no more: it was removed or moved meanwhile. Run again to make it anew."
            ) from error
        raise StoreError(
            f"{folder} cannot be written ({error.strerror or error}): make room or choose another --cache, "
            "then run again; everything committed before is kept."
        ) from error
