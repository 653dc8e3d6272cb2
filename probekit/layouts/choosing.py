"""What a person takes of a listing, under which names; and how much of it there is."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace

import pandas as pd

from probekit.errors import UsageError
from probekit.layouts.files import IgnoredFile
from probekit.layouts.listing import ImportOptions, Listing
from probekit.layouts.names import find_generator
from probekit.registry import unknown_name

_COLUMNS = {"generator": "class"}
"""What a manifest calls a listing's column."""


def choose_rows(listing: Listing, options: ImportOptions) -> Listing:
    """The listing with classes renamed and only the rows that are asked for.

    Raises:
        UsageError: an option names no class, column or value that is there.
    """
    rows = listing.rows
    for old, new in options.rename.items():
        if old not in (known := rows["class"].unique()):
            raise unknown_name("class in --rename", old, known)
        if not new:
            raise UsageError(f"--rename {old}=: give the new name.")
    rows = _rename(rows, options.rename)
    notes = list(listing.notes)
    for column, value in options.only.items():
        kept = rows[_equal(rows, column, value)]
        if len(kept) < len(rows):
            notes.append(f"--only {column}={value}: {len(rows) - len(kept)} of {len(rows)} samples are left out")
        rows = kept
    if not options.only:
        return replace(listing, rows=rows, notes=notes)
    return replace(listing, rows=rows, notes=notes, expected=None, published={})


def count_rows(listing: Listing) -> pd.DataFrame:
    """class, split, expected (by name, listing or publication), found (files that are there)."""
    split = listing.rows["split"] if "split" in listing.rows else pd.Series("", listing.rows.index)
    own = pd.DataFrame({"class": listing.rows["class"], "split": split})
    there = own if listing.missing is None else own[~listing.missing.loc[own.index]]
    named, found = _count(own), _count(there)
    expected: Mapping[tuple[str, str], int] = listing.expected or named
    published = _published(listing, bool((split != "").any()))
    keys = sorted({*expected, *found, *published})
    counts = [(*key, max(int(expected.get(key, 0)), published[key]), found[key]) for key in keys]
    return pd.DataFrame(counts, columns=["class", "split", "expected", "found"])


def drop_missing(listing: Listing, options: ImportOptions) -> Listing:
    """The listing without rows that have no file, unless they are to be reported as failed later."""
    if listing.missing is None:
        return listing
    missing = listing.missing.loc[listing.rows.index]
    lost = sorted(listing.rows.loc[missing, "path"])
    if not lost:
        return listing
    if listing.keeps_missing and not options.skip_missing:
        return replace(listing, notes=[*listing.notes, _missing_note(lost)])
    ignored = listing.ignored
    if listing.keeps_missing:
        ignored = sorted([*ignored, *(IgnoredFile(path, "listed, but does not exist") for path in lost)])
    return replace(listing, rows=listing.rows[~missing], ignored=ignored)


def _rename(rows: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """The rows with other classes, and with what is known of those, where the listing has such columns."""
    columns = {"class": rows["class"].replace(dict(names))}
    for old, new in names.items():
        known = find_generator(new)
        for column in ("family", "architecture"):
            if known and column in rows:
                columns[column] = columns.get(column, rows[column]).mask(rows["class"] == old, getattr(known, column))
    return rows.assign(**columns)


def _equal(rows: pd.DataFrame, column: str, value: str) -> "pd.Series[bool]":
    name = _COLUMNS.get(column, column)
    if name not in rows:
        raise unknown_name("column in --only", column, [c for c in rows.columns if c not in ("key", "path")])
    equal = rows[name].astype("str") == value
    if not equal.any():
        raise unknown_name(f"{column} in --only", value, rows[name].astype("str").unique())
    return equal


def _published(listing: Listing, divided: bool) -> "Counter[tuple[str, str]]":
    """What the whole data set has; a part of it without splits is compared with all splits together."""
    counts: Counter[tuple[str, str]] = Counter()
    for (name, split), count in listing.published.items():
        counts[name, split if divided else ""] += count
    return counts


def _count(rows: pd.DataFrame) -> "Counter[tuple[str, str]]":
    return Counter(zip(rows["class"].tolist(), rows["split"].tolist(), strict=True))


def _missing_note(paths: list[str]) -> str:
    if len(paths) == 1:
        return f"1 listed file does not exist ({paths[0]}): --skip-missing leaves it out"
    return f"{len(paths)} listed files do not exist ({paths[0]} …): --skip-missing leaves them out"
