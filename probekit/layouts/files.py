"""The files of a folder or an archive, sorted, none of them lost silently.

An archive is listed as a folder of its members, called like the archive without its ending. Data sets have millions of
files: what happens to each is done with text, not with `Path` objects, which take ten times as long.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from probekit.errors import ImageError, UsageError
from probekit.images import EXTENSIONS
from probekit.paths import require_no_url
from probekit.sources import ARCHIVES
from probekit.sources.archives import open_archive, plain_name

COMPRESSED = (".tar.bz2", ".tar.gz", ".tar.xz", ".tar.zst", ".tgz")
"""Endings of archives that cannot be read in place; they are reported with what to do."""
SYSTEM_FILES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})
_MANY = 32
"""From so many files of one folder on, reading the folder is quicker than asking for each."""


class IgnoredFile(NamedTuple):
    """A file, or a whole folder, that is no sample, and why."""

    path: str
    reason: str


class File(NamedTuple):
    """A file, or a member of an archive."""

    place: str
    """Where it is below the root, as if every archive were a folder; folders are separated by slashes."""
    path: str
    member: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path}/{self.member}" if self.member else self.path

    @property
    def parts(self) -> list[str]:
        """The folders it is in, and its own name."""
        return self.place.split("/")

    @property
    def stem(self) -> str:
        """Its own name without the last ending: `a.b` of `a.b.PNG`."""
        return os.path.splitext(self.place.rpartition("/")[2])[0]

    @property
    def trunk(self) -> str:
        """Its place without the last ending."""
        return os.path.splitext(self.place)[0]

    @property
    def suffix(self) -> str:
        """The last ending of its name, in lower case, with the point."""
        return os.path.splitext(self.place)[1].lower()

    @property
    def is_image(self) -> bool:
        """Whether the name says so, in upper or lower case."""
        return self.suffix in EXTENSIONS


class Files(NamedTuple):
    """What lies under a folder, or in an archive."""

    root: Path
    """Where the paths start."""
    title: str
    """What the folder or archive is called."""
    files: list[File]
    ignored: list[IgnoredFile]


def list_files(root: Path) -> Files:
    """All files under a folder, or in an archive, sorted, and what was left out: hidden and system files.

    Links are followed, to each folder once. Archives are listed with the files that they hold.

    Raises:
        UsageError: there is no such folder or archive, or the archive cannot be read.
    """
    if root.is_file() and _is_archive(root.name):
        files, ignored = _list_members(root.parent, root.name, "")
        if [reason for path, reason in ignored if path == root.name and not files]:
            raise UsageError(f"{root} is {ignored[0].reason}")
        return Files(root.parent, root.resolve().stem, files, sorted(ignored))
    if not root.is_dir():
        require_no_url(root, "buckets are not listed: write the manifest from the listing that you have.")
        raise UsageError(f"{root} is no folder: give the folder that holds the images.")
    paths, ignored = _walk(root)
    files = []
    for path in paths:
        if not _is_archive(path):
            files.append(File(path, path))
            continue
        members, left_out = _list_members(root, path, f"{path.rpartition('.')[0]}/")
        files += members
        ignored += left_out
    return Files(root, root.resolve().name, sorted(files), sorted(ignored))


def not_an_image(file: File) -> IgnoredFile:
    """For files that `File.is_image` refuses."""
    ending = PurePosixPath(file.place).suffix
    return IgnoredFile(file.name, f"not an image ({ending or 'no extension'})")


def which_exist(root: Path, paths: Sequence[str]) -> list[bool]:
    """For each path, relative to the root or absolute, whether a file lies there.

    Folders of many of them are read once instead of asked file by file.
    """
    folders: dict[str, list[str]] = {}
    for path in paths:
        folder, slash, name = path.rpartition("/")
        folders.setdefault(folder + slash, []).append(name)
    there = {folder: _files_among(os.path.join(root, folder), names) for folder, names in folders.items()}
    return [name in there[folder + slash] for folder, slash, name in (path.rpartition("/") for path in paths)]


def _files_among(folder: str, names: Sequence[str]) -> set[str]:
    if len(names) < _MANY:
        return {name for name in names if os.path.isfile(os.path.join(folder, name))}
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_file()}
    except OSError:
        return set()


def _is_archive(name: str) -> bool:
    name = name.lower()
    return name.endswith((*ARCHIVES, *COMPRESSED))


def _list_members(root: Path, path: str, prefix: str) -> tuple[list[File], list[IgnoredFile]]:
    """The files in an archive, each name once, and those left out; names are only compared, never opened."""
    try:
        archive = open_archive(str(root / path))
        members = {plain_name(member.name): member for member in archive.members()}
    except ImageError as error:
        return [], [IgnoredFile(path, f"an archive that cannot be read: {error}")]
    files, ignored = [], []
    for name, member in sorted(members.items()):
        if name.endswith("/") or member.is_folder:
            continue
        reason = next(filter(None, map(_why_name_ignored, PurePosixPath(name).parts)), "") or member.reason
        if reason:
            ignored.append(IgnoredFile(_printable(f"{path}/{name}"), reason))
        else:
            files.append(File(str(PurePosixPath(prefix + name.lstrip("/"))), path, name))
    if archive.damage:
        ignored.append(IgnoredFile(path, f"may hold more: {archive.damage}"))
    return files, ignored


def _walk(root: Path) -> tuple[list[str], list[IgnoredFile]]:
    """Paths of all files below, sorted; folders in the order of their names, each before what it holds."""
    files: list[str] = []
    ignored: list[IgnoredFile] = []
    seen, waiting = set(), [""]
    while waiting:
        below = waiting.pop()
        folder = os.path.join(root, below)
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            ignored.append(IgnoredFile(below or ".", "a link to a folder that is already here"))
            continue
        seen.add((status.st_dev, status.st_ino))
        prefix, folders = f"{below}/" if below else "", []
        try:
            for entry in _entries(folder):
                if reason := _why_ignored(entry):
                    ignored.append(IgnoredFile(_printable(prefix + entry.name), reason))
                elif entry.is_dir():
                    folders.append(prefix + entry.name)
                else:
                    files.append(prefix + entry.name)
        except PermissionError as error:
            ignored.append(IgnoredFile(below or ".", f"a folder that cannot be read: {error.strerror}"))
        waiting += reversed(folders)
    return sorted(files), sorted(ignored)


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        yield from sorted(entries, key=lambda entry: entry.name)


def _why_ignored(entry: os.DirEntry[str]) -> str:
    if reason := _why_name_ignored(entry.name):
        return reason
    return "a link to nothing" if entry.is_symlink() and not os.path.exists(entry.path) else ""


def _why_name_ignored(name: str) -> str:
    if name.startswith("."):
        return "hidden"
    if name.lower() in SYSTEM_FILES:
        return "left by an operating system"
    try:
        name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return ""


def _printable(name: str) -> str:
    return name.encode(errors="replace").decode()
