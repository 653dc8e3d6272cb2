"""Train, val and test for tables that do not say: deterministic, and no group is ever divided."""

import hashlib
from collections import Counter
from typing import Any

import pandas as pd

from probekit.manifest.columns import SPLITS

SHARES = {"train": 0.6, "val": 0.2, "test": 0.2}
"""Of the groups, not of the rows."""
MIN_GROUPS = 10
"""With fewer groups in any split, questions evaluate out of fold unless told otherwise."""
FOLDS = 5
FEWEST_GROUPS = 3
"""Of real and of fake images: one to hold out, one to choose C on, one to learn from."""


def assign_splits(table: pd.DataFrame, seed: int = 0) -> list[str]:
    """A split for each row: about 60, 20 and 20 % of each generator's groups go to train, val and test.

    Every generator (of a domain and, if there is such a column, a source) has a whole number of places in
    each split, at least one if it has three groups. Groups come in the order of the SHA-256 of seed and name,
    those of the rarest generators first. Each goes where its rarest generator has most places left, then
    where the next one has, and so on (after the iterative stratification of Sechidis et al. 2011).
    """
    columns = [column for column in ("domain", "generator", "source") if column in table]
    makers: dict[str, set[tuple[str, ...]]] = {}
    for group, *maker in table[["group", *columns]].astype("str").itertuples(index=False, name=None):
        makers.setdefault(group, set()).add(tuple(maker))
    totals = Counter(maker for made_by in makers.values() for maker in made_by)
    places = {maker: _quotas(total) for maker, total in totals.items()}
    rarest_first = {group: sorted(made_by, key=lambda m: (totals[m], m)) for group, made_by in makers.items()}
    split_of = {}
    for group in sorted(makers, key=lambda group: (totals[rarest_first[group][0]], _hash(seed, group))):
        made_by = rarest_first[group]
        chosen = max(SPLITS, key=lambda split: [places[m][split] for m in made_by])
        for m in made_by:
            places[m][chosen] -= 1
        split_of[group] = chosen
    return [split_of[group] for group in table["group"]]


def default_folds(table: pd.DataFrame) -> int:
    """`FOLDS`, or as many as there are groups; 0 when every split has `MIN_GROUPS`, or folds could not help.

    They cannot with less than `FEWEST_GROUPS` groups of real or of fake images.
    """
    groups = table.groupby("split")["group"].nunique()
    fewest = table.groupby("label")["group"].nunique().min()
    if fewest < FEWEST_GROUPS or all(groups.get(split, 0) >= MIN_GROUPS for split in SPLITS):
        return 0
    return min(FOLDS, table["group"].nunique())


def split_report(table: pd.DataFrame, how: str) -> dict[str, Any]:
    """How the table was split, in words, and its numbers of rows and groups."""
    rows, groups = table["split"].value_counts(), table.groupby("split")["group"].nunique()
    return {"how": how, "rows": _by_split(rows), "groups": _by_split(groups)}


def _quotas(groups: int) -> dict[str, int]:
    """How many of a generator's groups each split should get: 1 → train; 2 → train, test; 3 → one each."""
    val = round(SHARES["val"] * groups) or int(groups >= 3)
    test = round(SHARES["test"] * groups) or int(groups >= 2)
    return {"train": groups - val - test, "val": val, "test": test}


def _by_split(counts: "pd.Series[int]") -> dict[str, int]:
    return {split: int(counts.get(split, 0)) for split in SPLITS}


def _hash(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
