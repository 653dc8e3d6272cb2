"""Files of the journal, and one clear line where they cannot be written."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from probekit.errors import StoreError
from probekit.files import whole


def write_whole(path: Path, data: bytes) -> None:
    """The file with these bytes, on disk and under its name, or no file at all.

    Raises:
        StoreError: no room, no permission, or the store was removed, which does not come back.
    """
    with writable(path.parent):
        path.parent.mkdir(exist_ok=True)
        with whole(path) as draft:
            draft.write_bytes(data)


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Errors of the operating system while something is written there, as ours."""
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not folder.exists():
            raise StoreError(
                f"{folder} is there no more: it was removed or moved meanwhile. Run again to make it anew."
            ) from error
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another --cache, "
            "then run again; everything committed before is kept."
        ) from error
