"""Files that are there whole or not at all: written beside their place, brought to the disk, then named.

And how the size of files is spelled.
"""

import contextlib
import errno
import os
import uuid
from collections.abc import Iterator
from pathlib import Path

NO_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP}  # file systems that know no such thing for folders


def draft_beside(path: Path) -> Path:
    """A hidden name in the same folder, with the same ending, that no other process uses."""
    return path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """The draft to write; it gets its name, in place of an earlier file, once it is on disk, or it is deleted.

    Raises:
        OSError: no room, no permission, no such folder.
    """
    draft = draft_beside(path)
    try:
        yield draft
        with draft.open("r+b") as written:
            os.fsync(written.fileno())
        draft.replace(path)
        sync_folder(path.parent)
    finally:
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            draft.unlink()


def spell_size(size: float) -> str:
    """A number of bytes for people: `1 byte`, `512 KiB`, `48.8 GiB`."""
    unit = "byte" if size == 1 else "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if size == round(size) or size >= 100 else f"{size:.1f} {unit}"


def sync_folder(folder: Path) -> None:
    """Let the names in a folder reach the disk: a file that was synced is lost with a name that was not."""
    if os.name == "nt":  # folders cannot be opened there, and NTFS keeps a journal of names itself
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise
    finally:
        os.close(opened)


def sync_tree(folder: Path) -> None:
    """Let a folder reach the disk with all that is in it."""
    for place, _, names in os.walk(folder):
        for name in names:
            with (Path(place) / name).open("rb") as opened:
                os.fsync(opened.fileno())
        sync_folder(Path(place))
