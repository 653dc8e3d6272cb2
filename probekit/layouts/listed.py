"""Data sets that come with lists of their files: where these really lie, and one row each."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.errors import ManifestError
from probekit.layouts.files import File, IgnoredFile, which_exist
from probekit.layouts.listing import Listing
from probekit.layouts.trees import Tree, finish_listing
from probekit.manifest import SPLITS

_TRIED = 200
"""So many of the listed paths say where all of them begin."""


def list_rows(root: Path, table: pd.DataFrame, notes: list[str], tree: Tree, source: str) -> Listing:
    """The listing of rows with `path`, as listed; files that are not there stay and are counted.

    Raises:
        ManifestError: one file is listed as real and as fake.
    """
    paths, moved = rebase(root, table["path"].tolist())
    table, more = one_row_each(table.assign(path=paths))
    if "mask" in table:
        table["mask"] = _rebase_masks(root, table["mask"].tolist())
        table["mask_white"] = table["mask"].map(lambda mask: tree.mask_white if mask else "")
    table["key"] = [File(path, path).stem for path in table["path"]]
    table["missing"] = [not there for there in which_exist(root, table["path"].tolist())]
    return finish_listing(root, table, list[IgnoredFile](), [*notes, *moved, *more], tree, source, keeps_missing=True)


def rebase(root: Path, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The paths from `root` on, and what to know: lists are written where the data lay once.

    So many folders are dropped from the front of all as most of the files are found with, of an evenly spread sample.
    """
    paths = [path.replace("\\", "/").removeprefix("./") for path in paths]
    distinct = sorted(set(paths))
    chosen = np.linspace(0, len(distinct) - 1, num=min(_TRIED, len(distinct)), dtype=int)
    sample = [distinct[number].split("/") for number in chosen]
    hits = [
        sum(which_exist(root, ["/".join(parts[drop:]) for parts in sample if len(parts) > drop]))
        for drop in range(max(map(len, sample), default=1))
    ]
    drop = hits.index(max(hits))
    if drop == 0:
        return paths, []
    front = "/".join(sample[0][:drop])
    return ["/".join(path.split("/")[drop:]) for path in paths], [f"listed paths lose their front, as in {front}/"]


def one_row_each(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The table with each file or frame once, and what was joined.

    One in several splits counts in the latest: nothing tested is learned from. Of equal splits, its last row counts.

    Raises:
        ManifestError: one file is listed as real and as fake.
    """
    identity = [column for column in ("path", "frame") if column in table]
    repeated = table.duplicated(identity, keep=False)
    if not repeated.any():
        return table.reset_index(drop=True), []
    twice = table[repeated]
    labels = twice.groupby("path")["label"].nunique()
    if (labels > 1).any():
        path = labels.index[labels > 1][0]
        raise ManifestError(f"{path} is listed as real and as fake: correct the list.")
    notes = []
    if "split" in table:
        splits = twice.groupby(identity)["split"].nunique()
        if leaks := int((splits > 1).sum()):
            notes.append(f"{leaks} files are listed in several splits: they count in the latest of train, val and test")
        rank = table["split"].map(dict(zip(SPLITS, range(len(SPLITS)), strict=True))).fillna(-1)
        table = table.loc[rank.sort_values(kind="stable").index]
    once = table.drop_duplicates(identity, keep="last").sort_index()
    notes.append(f"{len(table) - len(once)} of {len(table)} lines name a file again: one row each")
    return once.reset_index(drop=True), notes


def _rebase_masks(root: Path, masks: list[str]) -> list[str]:
    """Masks that are there, by their paths from `root` on; empty for the others."""
    named = [mask for mask in masks if mask]
    moved, _ = rebase(root, named)
    there = {old: new for old, new, found in zip(named, moved, which_exist(root, moved), strict=True) if found}
    return [there.get(mask, "") for mask in masks]
