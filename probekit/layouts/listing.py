"""What a layout is asked and what it answers; and the files of a folder, none of them lost silently.

An archive is listed as a folder of its members, called like the archive without its ending; a video becomes rows of
evenly spaced frames.
"""

import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from probekit.errors import ImageError, UsageError
from probekit.images import EXTENSIONS
from probekit.sources import ARCHIVES, VIDEOS, Sample, frame_numbers
from probekit.sources.archives import open_archive, plain_name

COMPRESSED = (".tar.bz2", ".tar.gz", ".tar.xz", ".tar.zst", ".tgz")
"""Endings of archives that cannot be read in place; they are reported with what to do."""
SYSTEM_FILES = frozenset({"__macosx", "thumbs.db", "desktop.ini"})


@dataclass(frozen=True)
class ImportOptions:
    """How a person steers an import; what does not concern a layout is not used by it."""

    labels: Mapping[str, int] = field(default_factory=dict)
    """Class name → 0 (real) or 1 (fake), against or beyond what the names say."""
    domain: str = ""
    """Domain of the rows that have no other."""
    domains: Mapping[str, str] = field(default_factory=dict)
    """Class name → domain: real images are compared with the fakes of their domain."""
    group: str = "auto"
    """`auto`, `stem`, `parent`, `none`, or columns joined by `+`."""
    masks: str = "masks"
    """Name of the folders that hold masks (class-folders)."""
    template: str = ""
    """Path with fields (template): `{generator}/{split}/{group}.png`."""
    listing: Path | None = None
    """CSV or Parquet file (table); None means that the root is the listing."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """Manifest column → the listing's column (table)."""
    frames: int = 8
    """Rows of each video, of the frames in the middle of as many equal spans; 0 leaves videos out."""
    skip_missing: bool = False
    """Leave out listed files that do not exist (table); else they stay, and are reported as failed later."""


class IgnoredFile(NamedTuple):
    """A file, or a whole folder, that is no sample, and why."""

    path: str
    reason: str


@dataclass(frozen=True, eq=False)
class Listing:
    """What a layout found."""

    root: Path
    """Where relative paths start."""
    rows: pd.DataFrame
    """path, class (what the data calls it), key (equal for an image and its relatives in other classes), and
    any of a manifest's columns; the index is what messages call the row."""
    ignored: list[IgnoredFile] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    expected: "Counter[tuple[str, str]] | None" = None
    """Number of files of each (class, split), where it can differ from that of the rows."""
    found: "Counter[tuple[str, str]] | None" = None
    """The same of those that are there, where some rows have no file."""
    source: str = ""
    """What messages name before the row."""


@dataclass(frozen=True, eq=False)
class Scan:
    """What an import found: the table, and everything a person should know about it."""

    root: Path
    table: pd.DataFrame
    notes: tuple[str, ...]
    expected: pd.DataFrame
    """class, split, expected (files by name or listing), found (files that are there)."""
    ignored: pd.DataFrame
    """path, reason: every file that is no sample."""

    def to_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "root": str(self.root),
            "samples": len(self.table),
            "notes": list(self.notes),
            "expected": self.expected.to_dict(orient="records"),
            "ignored": self.ignored.to_dict(orient="records"),
        }


class File(NamedTuple):
    """A file, or a member of an archive."""

    place: PurePosixPath
    """Where it is below the root, as if every archive were a folder."""
    path: str
    member: str = ""

    @property
    def name(self) -> str:
        """What messages call it."""
        return f"{self.path}/{self.member}" if self.member else self.path


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
        files, ignored = _list_members(root.parent, PurePosixPath(root.name), PurePosixPath())
        if [reason for path, reason in ignored if path == root.name and not files]:
            raise UsageError(f"{root} is {ignored[0].reason}")
        return Files(root.parent, root.resolve().stem, files, sorted(ignored))
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: give the folder that holds the images.")
    paths, ignored = _walk(root)
    files = []
    for path in paths:
        if not _is_archive(path.name):
            files.append(File(path, str(path)))
            continue
        members, left_out = _list_members(root, path, path.with_suffix(""))
        files += members
        ignored += left_out
    return Files(
        root, root.resolve().name, sorted(files, key=lambda file: (str(file.place), file.name)), sorted(ignored)
    )


def list_samples(file: File, root: Path, options: ImportOptions, ignored: list[IgnoredFile]) -> list[dict[str, str]]:
    """Path, member and frame of each sample of a file: one of an image, several of a video, none of anything else.

    Args:
        file: what `list_files` found.
        root: where its path starts.
        options: how many frames of a video.
        ignored: a file without samples is added to it, with the reason.

    Raises:
        UsageError: it is a video, and PyAV is not installed.
    """
    where = {"path": file.path, "member": file.member} if file.member else {"path": file.path}
    suffix = file.place.suffix.lower()
    if suffix in EXTENSIONS:
        return [where]
    if suffix not in VIDEOS:
        ignored.append(not_an_image(file))
    elif options.frames <= 0:
        ignored.append(IgnoredFile(file.name, "a video, and --frames is 0"))
    else:
        try:
            numbers = frame_numbers(Sample(str(root / file.path), file.member), options.frames)
            return [where | {"frame": str(number)} for number in numbers]
        except ImageError as error:
            ignored.append(IgnoredFile(file.name, f"a video that cannot be read: {error}"))
    return []


def table_of(rows: list[dict[str, str]], columns: Iterable[str]) -> pd.DataFrame:
    """The rows as text, with these columns, and `member` and `frame` where any row has them."""
    used = [name for name in ("member", "frame") if any(name in row for row in rows)]
    return pd.DataFrame(rows, columns=list(dict.fromkeys([*columns, *used])), dtype="str").fillna("")


def is_image(path: PurePosixPath) -> bool:
    """Whether the name says so, in upper or lower case."""
    return path.suffix.lower() in EXTENSIONS


def not_an_image(file: File) -> IgnoredFile:
    """For files that `is_image` refuses."""
    return IgnoredFile(file.name, f"not an image ({file.place.suffix or 'no extension'})")


def _is_archive(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in ARCHIVES or name.lower().endswith(COMPRESSED)


def _list_members(root: Path, path: PurePosixPath, place: PurePosixPath) -> tuple[list[File], list[IgnoredFile]]:
    """The files in an archive, each name once, and those left out; names are only compared, never opened."""
    try:
        archive = open_archive(str(root / path))
        members = {plain_name(member.name): member for member in archive.members()}
    except ImageError as error:
        return [], [IgnoredFile(str(path), f"an archive that cannot be read: {error}")]
    files, ignored = [], []
    for name, member in sorted(members.items()):
        if name.endswith("/") or member.is_folder:
            continue
        reason = next(filter(None, map(_why_name_ignored, PurePosixPath(name).parts)), "") or member.reason
        if reason:
            ignored.append(IgnoredFile(f"{path}/{name}".encode(errors="replace").decode(), reason))
        else:
            files.append(File(place / name.lstrip("/"), str(path), name))
    if archive.damage:
        ignored.append(IgnoredFile(str(path), f"may hold more: {archive.damage}"))
    return files, ignored


def _walk(root: Path) -> tuple[list[PurePosixPath], list[IgnoredFile]]:
    files, ignored, seen = [], [], set()
    for folder, subfolders, names in os.walk(root, followlinks=True):
        below = PurePosixPath(Path(folder).relative_to(root).as_posix())
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in seen:
            ignored.append(IgnoredFile(str(below), "a link to a folder that is already here"))
            subfolders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in sorted([*subfolders, *names]):
            reason = _why_ignored(Path(folder, name))
            if reason:
                ignored.append(IgnoredFile(str(below / name).encode(errors="replace").decode(), reason))
            elif name in names:
                files.append(below / name)
        subfolders[:] = sorted(name for name in subfolders if not _why_ignored(Path(folder, name)))
    return sorted(files, key=str), sorted(ignored)


def _why_ignored(path: Path) -> str:
    return _why_name_ignored(path.name) or ("" if path.exists() else "a link to nothing")


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
