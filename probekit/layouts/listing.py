"""What a layout is asked and what it answers: the rows that files become, a video those of evenly spaced frames."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from probekit.errors import ImageError
from probekit.images import EXTENSIONS
from probekit.layouts.files import File, IgnoredFile, not_an_image
from probekit.sources import VIDEOS, Sample, frame_numbers


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
    rename: Mapping[str, str] = field(default_factory=dict)
    """Class name → what to call it; `real` is not for this, that is what `labels` says."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Column → the only value of it that is imported."""
    reals: Mapping[str, Path] = field(default_factory=dict)
    """Domain → folder of the real images that a data set borrows (df40)."""
    frames: int = 8
    """Rows of each video, of the frames in the middle of as many equal spans; 0 leaves videos out."""
    skip_missing: bool = False
    """Leave out listed files that do not exist (table); else they stay, and are reported as failed later."""


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
    """Number of files of each (class, split), where it differs from that of the rows."""
    missing: "pd.Series[bool] | None" = None
    """For each row whether its file is not there, or cannot be opened; None means that all are there."""
    published: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Number of images of a (class, split) that the whole data set has."""
    keeps_missing: bool = False
    """Whether missing rows stay, to be reported as failed later."""
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
    suffix = file.suffix
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
