"""Which samples belong together: a photograph and the fakes made from it, the frames of a video."""

from itertools import combinations
from pathlib import PurePosixPath

import pandas as pd

from probekit.errors import UsageError
from probekit.manifest.columns import file_names

SHARED = 0.5
"""Two classes are related when this share of the smaller one's names occurs in the other."""


def group_rows(rows: pd.DataFrame, policy: str) -> tuple[pd.DataFrame, list[str]]:
    """The rows with a group, unless each is its own; and what to know about it.

    Args:
        rows: with path, class, label and key.
        policy: `auto`: the data's own groups, else equal keys in related classes; `stem`: equal file names
            without extension; `parent`: the same folder; `none`: each file alone; else columns joined by `+`.

    Raises:
        UsageError: the policy names a column that is not there.
    """
    if policy == "auto":
        return (rows, []) if "group" in rows else _group_related(rows)
    if policy == "none":
        return rows.drop(columns="group", errors="ignore"), []
    parts = [_part(rows, name) for name in policy.split("+")]
    return rows.assign(group=["/".join(values) for values in zip(*parts, strict=True)]), []


def _part(rows: pd.DataFrame, name: str) -> list[str]:
    if name == "stem":
        return [PurePosixPath(path).stem for path in file_names(rows)]
    if name == "parent":
        return [str(PurePosixPath(path).parent) for path in file_names(rows)]
    if name not in rows or name == "key":
        there = ", ".join(column for column in rows.columns if column != "key")
        raise UsageError(f"--group {name}: there is no such column ({there}): give auto, stem, parent or none.")
    return [str(value) for value in rows[name]]


def _group_related(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Equal keys are one group within classes that share at least half of the smaller one's keys."""
    classes = list(zip(rows["class"], rows["label"], strict=True))
    keys: dict[tuple[str, str], set[str]] = {}
    for name, key in zip(classes, rows["key"], strict=True):
        keys.setdefault(name, set()).add(key)
    family = {name: name for name in keys}  # the first class of those it is related to
    notes = []
    for one, other in combinations(sorted(keys), 2):
        smaller = min(len(keys[one]), len(keys[other]))
        shared = len(keys[one] & keys[other])
        if shared >= SHARED * smaller:
            notes.append(f"{one[0]} and {other[0]} share {shared} of {smaller} names: same name, same group")
            first, second = sorted((family[one], family[other]))
            family = {name: first if root == second else root for name, root in family.items()}
    if not notes:
        return rows, []
    related = {name for name in keys if list(family.values()).count(family[name]) > 1}
    several = len({family[name] for name in related}) > 1
    groups = []
    for name, key, path in zip(classes, rows["key"], file_names(rows), strict=True):
        prefix = f"{family[name][0]}/" if several else ""
        groups.append(prefix + key if name in related else path)
    return rows.assign(group=groups), [*notes, "use --group none if equal names mean nothing"]
