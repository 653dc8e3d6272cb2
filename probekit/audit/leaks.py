"""Leaks: what stands on both sides of an evaluation, whole groups or single pictures.

The *side* of a sample is its split; where questions evaluate out of fold by group, it is its group.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int, Keys
from probekit.manifest import SPLITS
from probekit.samples import full_names

PAIR_COLUMNS = ("kind", "a", "b", "across", "value", "path_a", "path_b", "generator_a", "generator_b",
                "label_a", "label_b", "side_a", "side_b")  # fmt: skip

COPY, ALIKE, FEATURES = "identical bytes", "near-duplicate", "near in the features"


def sides(table: pd.DataFrame, folds: int) -> Groups:
    """The side of each sample; two samples of one side are never learned from and scored on."""
    found: Groups = table["group" if folds else "split"].astype("str").to_numpy(object)
    return found


def divided_groups(table: pd.DataFrame, folds: int) -> pd.DataFrame:
    """Groups with samples in several splits: group, samples, and how many are in train, val and test.

    There are none where evaluation is out of fold by group.
    """
    counts = pd.crosstab(table["group"], table["split"]).reindex(columns=list(SPLITS), fill_value=0)
    divided = counts[(counts > 0).sum(axis=1) > 1] if not folds else counts[:0]
    found = divided.rename_axis(index="group", columns=None).reset_index()
    found.insert(1, "samples", found[list(SPLITS)].sum(axis=1))
    return found.sort_values(["samples", "group"], ascending=[False, True], ignore_index=True)


def copies(table: pd.DataFrame, keys: Keys, folds: int) -> pd.DataFrame:
    """Each repetition of a picture's bytes with their first occurrence, as a table of pairs."""
    _, first, which = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    original = first[which.ravel()]
    again = np.flatnonzero(original != np.arange(len(keys)))
    return pair_table(table, sides(table, folds), COPY, original[again], again, np.ones(len(again)))


def each_once(pairs: pd.DataFrame) -> pd.DataFrame:
    """Each pair of samples once a kind, as it stands first: several models may find the same pair near."""
    low, high = pairs[["a", "b"]].min(axis=1), pairs[["a", "b"]].max(axis=1)
    repeated = pd.DataFrame({"kind": pairs["kind"], "low": low, "high": high}).duplicated()
    return pairs[~repeated]


def pair_table(
    table: pd.DataFrame,
    side: Groups,
    kind: str,
    a: Int[np.ndarray, " p"],
    b: Int[np.ndarray, " p"],
    value: Sequence[float] | np.ndarray,
) -> pd.DataFrame:
    """One row a pair: row numbers a and b, whether their sides differ, and what a reader must know of both.

    `path_a` and `path_b` have the member, frame or box that is meant.
    """
    columns: dict[str, object] = {"kind": kind, "a": a, "b": b, "across": side[a] != side[b], "value": value}
    cells = {"path": full_names(table), **{name: table[name] for name in ("generator", "label")}}
    for name, own in cells.items():
        values = np.asarray(own)
        columns |= {f"{name}_a": values[a], f"{name}_b": values[b]}
    columns |= {"side_a": side[a], "side_b": side[b]}
    return pd.DataFrame(columns, columns=list(PAIR_COLUMNS), index=range(len(a)))
