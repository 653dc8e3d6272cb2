"""Layouts: how a folder of images, or a listing, becomes the rows of a manifest; one file each.

A layout says where each image lies, what its class is called, and what else its name tells. What all have
in common is done here: which classes are real, which images form a group, and what was expected, found
and ignored.

    class_folders.py zero_one.py template.py table.py webdataset.py   layouts of no data set in particular
    datasets/          those of published data sets
    trees.py listed.py names.py source_videos.py                      what these share
    files.py           the files of a folder or an archive
    choosing.py classes.py groups.py splits.py                        what is done with every listing
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from probekit.errors import ManifestError
from probekit.fingerprint import plain
from probekit.layouts.choosing import choose_rows, count_rows, drop_missing
from probekit.layouts.classes import label_classes, name_splits
from probekit.layouts.groups import group_rows
from probekit.layouts.listing import ImportOptions, Listing, Scan
from probekit.layouts.splits import complete_splits
from probekit.manifest import MIN_GROUPS, Manifest, assign_splits, default_folds, split_report, unanswerable, validate
from probekit.registry import Registry

__all__ = ["ImportOptions", "Layout", "Listing", "Scan", "import_manifest", "layouts", "scan"]

Layout = Callable[[Path, ImportOptions], Listing]
"""Given a folder (for listings also a file), what lies there."""

layouts = Registry[Layout]("layout", package="probekit.layouts", entry_points="probekit.layouts")

_DEFAULTS = ImportOptions()


def scan(root: Path, layout: str, options: ImportOptions = _DEFAULTS, seed: int = 0) -> Scan:
    """The samples under a folder as a validated table; without `split`, unless the data has one.

    Raises:
        UnknownNameError: there is no such layout, or an option names a class that is not there.
        UsageError: the options do not fit the layout, or the layout does not fit the folder.
        ManifestError: there is no image, or a row breaks the contract.
    """
    listing = layouts.get(layout)(root, options)
    if len(listing.rows):
        listing = choose_rows(listing, options)
        expected = count_rows(listing)
        listing = drop_missing(listing, options)
    if listing.rows.empty:
        ignored = f" ({len(listing.ignored)} files ignored)" if listing.ignored else ""
        raise ManifestError(f"{root} has no image for layout {layout!r}{ignored}: check the folder and the layout.")
    rows, class_notes = label_classes(name_splits(listing.rows), options)
    rows, group_notes = group_rows(rows, options.group)
    rows, split_notes = complete_splits(rows, seed)
    return Scan(
        root=listing.root,
        table=validate(rows.drop(columns=["class", "key"]), listing.source),
        notes=(*listing.notes, *class_notes, *group_notes, *split_notes),
        expected=expected,
        ignored=pd.DataFrame(listing.ignored, columns=["path", "reason"], dtype="str"),
    )


def import_manifest(
    root: Path, layout: str, name: str, options: ImportOptions = _DEFAULTS, seed: int = 0
) -> tuple[Manifest, Scan]:
    """A manifest, not written yet, and what was found; a split that the data lacks is assigned by group.

    Raises:
        ProbekitError: as `scan`.
    """
    found = scan(root, layout, options, seed)
    table, folds, how = found.table, 0, "as the data has it"
    if "split" not in table:
        table = validate(table.assign(split=assign_splits(table, seed)), found.root)
        folds = default_folds(table)
        how = f"assigned by group, 60/20/20 %, seed {seed}"
    split = split_report(table, how)
    notes = [*found.notes, *_split_notes(table, split, folds)]
    notes += [f"{kind}: {detail}" for kind, detail in unanswerable(table)]
    facts = {
        "imported": datetime.now(UTC).isoformat(timespec="seconds"),
        "layout": layout,
        "options": plain(options),
        "split": split,
        "notes": notes,
    }
    manifest = Manifest(name, None, found.root.resolve(), table, folds, facts)
    return manifest, replace(found, notes=tuple(notes))


def _split_notes(table: pd.DataFrame, split: Mapping[str, Any], folds: int) -> list[str]:
    images, groups = _counts(split["rows"]), _counts(split["groups"])
    notes = [f"split {split['how']}: {images} images, {groups} groups"]
    if divided := int((table.groupby("group")["split"].nunique() > 1).sum()):
        notes.append(
            f"{divided} groups are divided by the data's own split: relatives of training images are tested on"
        )
    if min(split["groups"].values()) < MIN_GROUPS:
        how = f"questions evaluate out of fold by group, {folds} folds" if folds else "no interval can be given there"
        notes.append(f"fewer than {MIN_GROUPS} groups in a split: {how}")
    return notes


def _counts(by_split: dict[str, int]) -> str:
    return " / ".join(str(count) for count in by_split.values())
