"""What a layout is asked and what it answers; and the files of a folder, none of them lost silently."""

import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd

from probekit.errors import UsageError
from probekit.images import EXTENSIONS

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


def list_files(root: Path) -> tuple[list[PurePosixPath], list[IgnoredFile]]:
    """All files under a folder relative to it, sorted, and what was left out: hidden and system files.

    Links are followed, to each folder once.

    Raises:
        UsageError: there is no such folder.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is no folder: give the folder that holds the images.")
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


def is_image(path: PurePosixPath) -> bool:
    """Whether the name says so, in upper or lower case."""
    return path.suffix.lower() in EXTENSIONS


def not_an_image(path: PurePosixPath) -> IgnoredFile:
    """For files that `is_image` refuses."""
    return IgnoredFile(str(path), f"not an image ({path.suffix or 'no extension'})")


def _why_ignored(path: Path) -> str:
    if path.name.startswith("."):
        return "hidden"
    if path.name.lower() in SYSTEM_FILES:
        return "left by an operating system"
    if not path.exists():
        return "a link to nothing"
    try:
        path.name.encode()
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    return ""
