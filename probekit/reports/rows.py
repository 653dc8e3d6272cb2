"""Tables for people: intervals in one cell, what is the same in every row said once, and no more rows than are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from probekit.reports.text import UNKNOWN, cell, exact, is_number, is_unknown, number

MOST_ROWS = 100
"""Rows of a table that are shown; the rest is in the run folder."""
MANY_COLUMNS = 8
"""Above it, columns with one value are said once, above the table."""
LONG = 22
"""Characters from which a text needs a wide column."""


@dataclass(frozen=True)
class Rows:
    """The first rows of a table and how many there are."""

    columns: list[str]
    rows: list[list[object]]
    total: int
    same: tuple[tuple[str, object], ...] = ()
    """Columns left out because all rows have this value."""
    aligned: int = 0
    """Last columns that hold numbers, though with words or signs about them."""

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, if not in every row; they are aligned to the right."""
        return [
            i >= len(self.columns) - self.aligned or name.endswith("_ci") or any(is_number(row[i]) for row in self.rows)
            for i, name in enumerate(self.columns)
        ]

    @property
    def wide(self) -> list[bool]:
        """Which columns hold long texts."""
        return [
            any(len(cell(row[i], name)) > LONG for row in self.rows if not is_number(row[i]))
            for i, name in enumerate(self.columns)
        ]


def rows_of(table: pd.DataFrame | Sequence[Mapping[str, object]], most: int = MOST_ROWS) -> Rows:
    """The first rows of a table, or of a list of objects, whose columns are the union of their keys."""
    if isinstance(table, pd.DataFrame):
        columns = [str(name) for name in table.columns]
        records = [dict(zip(columns, row, strict=True)) for row in table.head(most).astype(object).to_numpy().tolist()]
    else:
        columns = list(dict.fromkeys(key for row in table for key in row))
        records = [{name: row.get(name) for name in columns} for row in table[:most]]
    columns, records = _with_intervals(columns, records)
    same = _alike(columns, records) if len(columns) > MANY_COLUMNS and len(records) > 1 else {}
    kept = [name for name in columns if name not in same]
    return Rows(kept, [[row[name] for name in kept] for row in records], len(table), tuple(same.items()))


def pivot(
    table: pd.DataFrame, down: Sequence[str], across: str, value: str, spread: str | None = None, axis: str = ""
) -> Rows:
    """One row for each combination of the columns `down`, one column for each value of `across`: `0.467 ± 0.198`.

    Args:
        table: what a run wrote, one line for each cell.
        down: columns that name a row.
        across: the column whose values become columns, in the order in which they first appear.
        value: the column of the numbers.
        spread: the column of their standard deviations, if there is one.
        axis: what stands before each value of `across` in the head.
    """
    columns = list(dict.fromkeys(map(str, table[across])))
    rows: dict[tuple[str, ...], dict[str, str]] = {}
    for record in table.astype(object).to_dict("records"):
        deviation = record.get(spread) if spread else None
        around = "" if is_unknown(deviation) else f" ± {number(deviation)}"
        shown = f"{number(record[value])}{around}" if not is_unknown(record[value]) else UNKNOWN
        rows.setdefault(tuple(str(record[name]) for name in down), {})[str(record[across])] = shown
    found: list[list[object]] = [
        [*names, *(cells.get(name, UNKNOWN) for name in columns)] for names, cells in rows.items()
    ]
    return Rows([*down, *(f"{axis}{name}" for name in columns)], found, len(found), aligned=len(columns))


def _with_intervals(columns: list[str], records: list[dict[str, object]]) -> tuple[list[str], list[dict[str, object]]]:
    """`auc_lo` and `auc_hi` as one column `auc_ci`; every interval stands beside its number."""
    bounded = {name.removesuffix("_lo") for name in columns if name.endswith("_lo")}
    bounded = {name for name in bounded if f"{name}_hi" in columns}
    dropped = {f"{name}_{end}" for name in bounded for end in ("lo", "hi")}
    intervals = {f"{name}_ci" for name in bounded} | {name for name in columns if name.endswith("_ci")}
    kept = []
    for name in columns:
        kept += [name] if name not in dropped | intervals else []
        kept += [f"{name}_ci"] if f"{name}_ci" in intervals else []
    kept += sorted(intervals.difference(kept))
    merged = [
        {**row, **{f"{name}_ci": _interval(row[f"{name}_lo"], row[f"{name}_hi"]) for name in bounded}}
        for row in records
    ]
    return kept, merged


def _interval(low: object, high: object) -> list[object] | None:
    return None if is_unknown(low) else [low, high]


def _alike(columns: Sequence[str], records: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Columns, but for the first, in which all rows say the same."""
    return {name: records[0][name] for name in columns[1:] if len({exact(row[name]) for row in records}) == 1}
