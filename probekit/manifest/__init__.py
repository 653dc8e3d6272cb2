"""Manifests: which images there are, what made them, and which of them a probe may learn from.

A manifest is a table, one sample a row, in CSV (UTF-8) or Parquet. Beside `NAME.csv` lies `NAME.json` with
the facts that are not the table's: where the images are, how they were imported and split, how many folds.

    columns.py   the contract: which columns there are and what may stand in them
    splits.py    train, val and test for tables that do not say
    files.py     `Manifest`: found, read, written
    masks.py     what was manipulated in an image, whatever white means in its data set
    check.py     the images behind the rows: unreadable, duplicate, leaking
    join.py      one manifest of several; with it groups.py, copies.py, shared_names.py
"""

from probekit.manifest.check import CheckReport, check, summarise, unanswerable
from probekit.manifest.columns import REAL, SPLITS, validate
from probekit.manifest.files import Manifest, find, read_table
from probekit.manifest.groups import linked_groups
from probekit.manifest.join import Joined, JoinSettings, join
from probekit.manifest.masks import read_mask
from probekit.manifest.splits import MIN_GROUPS, assign_splits, default_folds, split_report

__all__ = [
    "MIN_GROUPS",
    "REAL",
    "SPLITS",
    "CheckReport",
    "JoinSettings",
    "Joined",
    "Manifest",
    "assign_splits",
    "check",
    "default_folds",
    "find",
    "join",
    "linked_groups",
    "read_mask",
    "read_table",
    "split_report",
    "summarise",
    "unanswerable",
    "validate",
]
