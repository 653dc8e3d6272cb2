"""Tables for people: numbers to three places, and matrices that fit the terminal."""

import math
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from probekit_cli.output import printable, stdout

if TYPE_CHECKING:
    import pandas as pd
    from rich.text import Text

NARROWEST, GAP = 5, 2  # characters: of a column of a matrix, and between two
READABLE = 8  # characters to which a column of texts is folded where room is short


def print_table(
    frame: "pd.DataFrame", title: str = "", styles: Callable[[str, Any], str] | None = None, corner: str | None = None
) -> None:
    """A frame as a table; numbers to three places, right-aligned, never cut while texts and headings can be folded.

    Args:
        frame: what to print.
        title: stands above.
        styles: (column, value) → rich style of a cell.
        corner: print the index too, under this heading.
    """
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    if title:
        console.print(Text(printable(title), style="bold"), soft_wrap=True)
    headings = [*([] if corner is None else [corner]), *map(str, frame.columns)]
    numeric = [*([] if corner is None else [False]), *(frame[name].dtype.kind in "iufb" for name in frame.columns)]
    rows = [
        [
            *([] if corner is None else [Text(printable(str(label)))]),
            *(
                Text(printable(_spell(value)), style=styles(str(column), value) if styles else "")
                for column, value in zip(frame.columns, row, strict=True)
            ),
        ]
        for label, row in zip(frame.index, frame.itertuples(index=False), strict=True)
    ]
    widths = _table_widths(headings, numeric, rows, console.width)
    table = Table(header_style="", box=None, pad_edge=False)
    for heading, right, width in zip(headings, numeric, widths, strict=True):
        justify: Literal["left", "right"] = "right" if right else "left"
        table.add_column(Text(_folded(heading, width)), justify=justify, width=width, no_wrap=right, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_matrix(
    frame: "pd.DataFrame", corner: str, title: str = "", styles: Callable[[str, Any], str] | None = None
) -> None:
    """A matrix of narrow cells as a table: long names are folded, and columns that do not fit follow beneath.

    Args:
        frame: what to print; the index is printed, too.
        corner: what the rows are, and the columns: `train ↓  test →`.
        title: stands above.
        styles: (column, value) → rich style of a cell.
    """
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    if title:
        console.print(Text(printable(title), style="bold"), soft_wrap=True)
    rows = [
        [Text(printable(_spell(v)), style=styles(str(c), v) if styles else "") for c, v in zip(frame, row, strict=True)]
        for row in frame.itertuples(index=False)
    ]
    names = [printable(str(name)) for name in frame.columns]
    least = [max([NARROWEST, *(len(row[j]) for row in rows)]) for j in range(len(names))]
    labels = [printable(str(label)) for label in frame.index]
    left = console.width - sum(max(len(name), width) + GAP for name, width in zip(names, least, strict=True))
    edge = min(max(map(len, [corner, *labels])), max(len(corner), console.width // 3, left))
    at_once = max(1, (console.width - edge) // (max(least, default=NARROWEST) + GAP))
    for first in range(0, max(len(names), 1), at_once):
        part = slice(first, first + at_once)
        table = Table(header_style="", box=None, pad_edge=False)
        table.add_column(corner, width=edge, no_wrap=True)
        natural = [max(len(name), width) for name, width in zip(names[part], least[part], strict=True)]
        for name, width in zip(names[part], _widths(natural, least[part], console.width - edge), strict=True):
            table.add_column(Text(_folded(name, width)), justify="right", width=width, no_wrap=True)
        for label, row in zip(labels, rows, strict=True):
            table.add_row(Text(_folded(label, edge)), *row[part])
        console.print(table)


def _table_widths(
    headings: Sequence[str], numeric: Sequence[bool], rows: "Sequence[Sequence[Text]]", room: int
) -> list[int]:
    """Of the columns of a table: numbers and the words of headings stay whole, texts are folded."""
    natural, least = [], []
    for place, (heading, right) in enumerate(zip(headings, numeric, strict=True)):
        cells = max((len(row[place]) for row in rows), default=0)
        natural.append(max(len(heading), cells))
        least.append(max([cells if right else min(cells, READABLE), *map(len, heading.split())]))
    return _widths(natural, least, room + GAP)


def _widths(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Of columns that stand side by side: the widest give way first."""
    widths = list(natural)
    while sum(widths) + GAP * len(widths) > room:
        slack = [width - at_least for width, at_least in zip(widths, least, strict=True)]
        if max(slack) <= 0:
            break
        widths[max(range(len(widths)), key=lambda j: widths[j] if slack[j] else 0)] -= 1
    return widths


def _folded(name: str, width: int) -> str:
    """The name over several lines, broken after `_`, `-`, `+` and spaces where there are any."""
    lines = [""]
    for piece in re.findall(r"[^_+ -]*[_+ -]?", name):
        rest = piece
        while rest:
            if len(lines[-1]) + len(rest.rstrip()) <= width:
                lines[-1], rest = lines[-1] + rest, ""
            elif lines[-1] and len(rest) <= width:
                lines.append("")
            else:
                cut = width - len(lines[-1])
                lines[-1], rest = lines[-1] + rest[:cut], rest[cut:]
                lines.append("")
    return "\n".join(line.rstrip() for line in lines)


def score_style(_column: str, value: object) -> str:
    """Colour of a score between .5 (says nothing) and 1 (perfect)."""
    if not isinstance(value, float) or math.isnan(value):
        return "dim"
    steps = ((0.95, "bold green"), (0.85, "green"), (0.7, "yellow"), (0.55, ""))
    return next((style for least, style in steps if value >= least), "dim")


def _spell(value: object) -> str:
    if isinstance(value, float):
        return "–" if math.isnan(value) else f"{value:.3f}"
    return "" if value is None else str(value)
