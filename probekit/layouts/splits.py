"""Splits of data that says them for some of its samples only."""

import pandas as pd

from probekit.manifest import SPLITS, assign_splits
from probekit.manifest.columns import file_names


def complete_splits(rows: pd.DataFrame, seed: int) -> tuple[pd.DataFrame, list[str]]:
    """The rows with a split for each, or without the column if none has one; and what to know about it.

    What the data says stays. A sample without a split follows the samples of its group: to test if any of them is
    tested, else to val, else to train. What is left is divided by group, 60/20/20 %.
    """
    if "split" not in rows:
        return rows, []
    silent = (rows["split"] == "").to_numpy()
    if silent.all():
        return rows.drop(columns="split"), []
    if not silent.any():
        return rows, []
    groups = file_names(rows) if "group" not in rows else rows["group"].where(rows["group"] != "", file_names(rows))
    known = rows["split"].map(dict(zip(SPLITS, range(len(SPLITS)), strict=True)))
    latest = known[~silent].groupby(groups[~silent]).max()
    follow = groups.map(latest)[silent]
    split = rows["split"].copy()
    split[follow.dropna().index] = [SPLITS[int(number)] for number in follow.dropna()]
    rest = follow.index[follow.isna()]
    split[rest] = assign_splits(rows.loc[rest].assign(group=groups[rest]), seed)
    note = f"{silent.sum()} samples have no split in the data: {len(follow) - len(rest)} follow their group"
    return rows.assign(split=split), [f"{note}, {len(rest)} are divided by group, 60/20/20 %, seed {seed}"]
