"""Files of the journal: whole or not at all, and one clear line where they cannot be written."""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

from probekit.errors import StoreError


def write_whole(path: Path, data: bytes) -> None:
    """The file with these bytes, on disk and under its name, or no file at all.

    Raises:
        StoreError: no room, no permission …
    """
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}")
    with writable(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
        except OSError:
            if path.parent.is_dir():
                draft.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Errors of the operating system while something is written there, as ours."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{folder} cannot be written ({error.strerror}): make room or choose another --cache, "
            "then run again; everything committed before is kept."
        ) from error
