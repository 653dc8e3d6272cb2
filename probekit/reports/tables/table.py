"""What a table is, before it is Markdown or LaTeX; and tables from frames, records and matrices."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from probekit.reports.matrices import Matrix
from probekit.reports.text import cell, count, is_number, is_unknown, number, words

SUBJECT = ("model", "tap", "view", "precision")


@dataclass(frozen=True)
class Cell:
    """A cell as it is read."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Table:
    """Cells under headings, with a caption; all texts are plain, and escaped where they are written."""

    name: str
    """What its files are called, and its label."""
    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    right: tuple[bool, ...]
    """Which columns are aligned to the right: numbers."""
    axis: str = ""
    """What all columns but the first are, where the table is a matrix: `tested on`."""

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows) or len(self.right) != len(self.columns):
            raise ValueError(f"table {self.name}: rows, columns and alignments differ in number.")


def table(
    name: str,
    caption: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    axis: str = "",
    texts: int = 1,
) -> Table:
    """A table of texts and numbers; the first `texts` columns are texts, all others are aligned to the right."""
    cells = tuple(tuple(item if isinstance(item, Cell) else Cell(_spell(item)) for item in row) for row in rows)
    return Table(name, caption, tuple(columns), cells, tuple(place >= texts for place in range(len(columns))), axis)


def with_best(made: Table, values: Sequence[Sequence[object]], *, falling: frozenset[int] = frozenset()) -> Table:
    """The table with the best value of each column bold, where rows compete; of equal ones as printed, all.

    Args:
        made: the table.
        values: of its cells; a column without numbers has no best, nor has one whose numbers are all printed alike.
        falling: columns in which less is better.
    """
    rows = [list(row) for row in made.rows]
    for column in range(len(made.columns)):
        known = {
            i: float(value) for i, row in enumerate(values) if is_number(value := row[column]) and not is_unknown(value)
        }
        printed = {i: number(value) for i, value in known.items()}
        if len(set(printed.values())) < 2:
            continue
        best = printed[(min if column in falling else max)(known, key=known.__getitem__)]
        for i, text in printed.items():
            rows[i][column] = replace(rows[i][column], bold=text == best)
    return replace(made, rows=tuple(tuple(row) for row in rows))


def estimate(value: object, interval: object = None) -> str:
    """`0.932 [0.901, 0.955]`; without an interval the number alone."""
    ends = list(interval) if isinstance(interval, Sequence) and not isinstance(interval, str) else []
    if len(ends) != 2 or any(is_unknown(end) for end in ends):
        return number(value)
    return f"{number(value)} [{number(ends[0])}, {number(ends[1])}]"


def of_frame(name: str, frame: pd.DataFrame, caption: str = "") -> Table:
    """The general form of a table: intervals beside their values, and what is the same in all rows in the caption."""
    return of_records(
        name, frame.astype(object).to_dict("records"), caption, columns=[str(key) for key in frame.columns]
    )


def of_records(
    name: str,
    records: Sequence[Mapping[Any, object]],
    caption: str = "",
    columns: Sequence[str] | None = None,
) -> Table:
    """The same of objects; columns are the union of their keys.

    Args:
        name: of the table.
        records: a row each; `x_lo` with `x_hi`, or `x_ci`, are the interval of `x`.
        caption: what the table is; without one its name in words.
        columns: which columns, in which order.
    """
    keys = list(columns) if columns is not None else list(dict.fromkeys(str(key) for row in records for key in row))
    same = [key for key in keys if key in SUBJECT and len({str(row.get(key)) for row in records}) == 1]
    interval = {key: _interval_keys(key, keys) for key in keys}
    beside = {end for ends in interval.values() for end in ends}
    shown = [key for key in keys if key not in same and key not in beside]
    told = [f"{words(key)}: {cell(records[0].get(key), key)}" for key in same]
    rows = [[_with_interval(row, key, interval[key]) for key in shown] for row in records]
    right = tuple(any(is_number(row.get(key)) for row in records) for key in shown)
    heading = ". ".join([caption or words(name), *(["; ".join(told)] if told else []), count(len(records), "row")])
    cells = tuple(tuple(Cell(text) for text in row) for row in rows)
    return Table(name, f"{heading}.", tuple(words(key) for key in shown), cells, right)


def of_matrix(name: str, matrix: Matrix, caption: str = "") -> list[Table]:
    """A table for each metric of a matrix of the report; cells are what it shows."""
    return [
        table(
            f"{layer.name}-{name}" if len(matrix.layers) > 1 else name,
            f"{caption or name}: {layer.label}",
            [matrix.row_axis, *matrix.columns],
            [[row, *texts] for row, texts in zip(matrix.rows, layer.text, strict=True)],
            axis=matrix.column_axis,
        )
        for layer in matrix.layers
    ]


def _interval_keys(key: str, keys: Sequence[str]) -> tuple[str, ...]:
    if f"{key}_ci" in keys:
        return (f"{key}_ci",)
    return ends if set(ends := (f"{key}_lo", f"{key}_hi")) <= set(keys) else ()


def _with_interval(row: Mapping[Any, object], key: str, ends: tuple[str, ...]) -> str:
    if not ends:
        return cell(row.get(key), key)
    found = row.get(ends[0]) if len(ends) == 1 else [row.get(end) for end in ends]
    return estimate(row.get(key), found)


def _spell(value: object) -> str:
    return value if isinstance(value, str) else cell(value)
