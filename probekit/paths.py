"""Folders and files on a disk, or in a bucket, where it makes no difference which."""

import contextlib
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol, Self

from probekit import files
from probekit.errors import UsageError
from probekit.remote import BucketPath, is_url, local_path, without_secrets

_SLASHED = re.compile(r"([a-z][a-z0-9+.-]+):/([^/].*)", re.DOTALL | re.IGNORECASE)
"""What a URL is as a path, or with a slash too few."""


class Facts(Protocol):
    """Of a file or an object."""

    @property
    def st_size(self) -> int:
        """Bytes."""

    @property
    def st_mtime(self) -> float:
        """Seconds since 1970, when it was written."""


class AnyPath(Protocol):
    """What `pathlib.Path` and `BucketPath` have in common."""

    @property
    def name(self) -> str:
        """The last part."""

    @property
    def stem(self) -> str:
        """The last part without its ending."""

    @property
    def suffix(self) -> str:
        """The ending of the last part."""

    @property
    def parent(self) -> Self:
        """What it is in."""

    def __truediv__(self, name: str, /) -> Self:
        """What has that name in it."""

    def with_name(self, name: str, /) -> Self:
        """What has that name beside it."""

    def exists(self) -> bool:
        """Whether it is there."""

    def is_dir(self) -> bool:
        """Whether there is anything in it."""

    def glob(self, pattern: str, /) -> Iterator[Self]:
        """What fits the pattern, below it."""

    def stat(self) -> Facts:
        """Size and time."""

    def read_bytes(self) -> bytes:
        """All of it."""

    def read_text(self) -> str:
        """All of it."""

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete it."""

    def mkdir(self, *, parents: bool = False, exist_ok: bool = False) -> None:
        """Let it be a folder."""

    def __lt__(self, other: Self, /) -> bool:
        """By name."""


def path_of(text: str) -> AnyPath:
    """The folder or file that a path or a URL names.

    Raises:
        UsageError: a URL that is not read.
    """
    if is_url(text) and not text.startswith("file://"):
        return BucketPath.parse(text)
    if found := _SLASHED.fullmatch(local_path(text)):
        typed = without_secrets(f"{found[1]}://{found[2]}").replace("://", ":/", 1)
        raise UsageError(f"{typed}: write it with two slashes behind the colon.")
    return Path(local_path(text))


def require_no_url(path: Path, instead: str) -> None:
    """Nothing, unless this began as a URL: of one, a path keeps a slash less.

    Raises:
        UsageError: it did.
    """
    if found := _SLASHED.fullmatch(str(path)):
        raise UsageError(f"{without_secrets(f'{found[1]}://{found[2]}')}: {instead}")


def on_disk(folder: AnyPath, what: str) -> Path:
    """The folder, if it is on a disk.

    Args:
        folder: where something is to be kept.
        what: that is kept there, in the plural.

    Raises:
        UsageError: it is in a bucket.
    """
    if isinstance(folder, Path):
        return folder
    raise UsageError(f"{folder}: {what} lie on a disk, the stores alone may be in a bucket: name another --cache.")


@contextlib.contextmanager
def written_whole(target: AnyPath) -> Iterator[Path]:
    """A file on a disk to write, which then is the target, whole, in place of an earlier one; or nothing is changed.

    Raises:
        OSError: no room, no permission, no such folder.
        RemoteError: the bucket cannot be reached.
    """
    if isinstance(target, Path):
        with files.whole(target) as draft:
            yield draft
        return
    with tempfile.TemporaryDirectory(prefix="probekit-") as folder:
        draft = Path(folder) / target.name
        yield draft
        _bucket(target).upload(draft)


def write_whole_to(target: AnyPath, data: bytes) -> None:
    """The target with these bytes, whole, in place of an earlier one; or nothing is changed.

    Raises:
        OSError: no room, no permission, no such folder.
        RemoteError: the bucket cannot be reached.
    """
    if isinstance(target, Path):
        with files.whole(target) as draft:
            draft.write_bytes(data)
    else:
        _bucket(target).write_bytes(data)


def names_below(folder: AnyPath, pattern: str) -> list[str]:
    """What fits the pattern, named from the folder on, with slashes."""
    depth = pattern.count("/") + 1
    return sorted("/".join(str(path).replace("\\", "/").split("/")[-depth:]) for path in folder.glob(pattern))


def open_binary(file: AnyPath) -> BinaryIO:
    """The file, open to be read here and there; of an object, what is read is what is sent.

    Raises:
        FileNotFoundError: there is none.
    """
    return file.open("rb") if isinstance(file, Path) else _bucket(file).open_reader()


def for_library(file: AnyPath) -> Path | BinaryIO:
    """What a library opens that reads paths of a disk itself, and quicker than from an open file."""
    return file if isinstance(file, Path) else _bucket(file).open_reader()


def size_of(folder: AnyPath) -> int:
    """Bytes of all files in a folder."""
    if not isinstance(folder, Path):
        return sum(size for _, size in _bucket(folder).sizes())
    total = 0
    for file in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):  # others are at work there
            total += file.stat().st_size if file.is_file() else 0
    return total


def _bucket(path: AnyPath) -> BucketPath:
    assert isinstance(path, BucketPath)
    return path
