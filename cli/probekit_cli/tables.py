"""Tables for people: numbers to three places, and matrices that fit the terminal."""

import math
import re
import textwrap
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from probekit_cli.output import printable, stdout

if TYPE_CHECKING:
    import pandas as pd

NARROWEST, GAP = 5, 2  # characters: of a column of a matrix, and between two
PIECES = re.compile(r"[^_+ -]*[_+ -]?")  # of a name, between which it may be folded
WIDE = 120  # columns of a terminal that has room for names of stores, and the like
READABLE = 12  # characters to which a word is shortened where room is short
WORD = re.compile(r"[^\W\d_]{2}")  # what has no two letters in a row is a number, a date or a sign: it stays whole


def print_table(
    frame: "pd.DataFrame",
    title: str = "",
    styles: Callable[[str, Any], str] | None = None,
    corner: str | None = None,
    whole: Collection[str] = (),
) -> None:
    """A frame as a table: numbers to three places and never cut; columns that do not fit follow beneath.

    A column of words that begins the table begins each part of it. Words fold at spaces; a longer one loses its middle.

    Args:
        frame: what to print.
        title: stands above.
        styles: (column, value) → rich style of a cell.
        corner: print the index too, under this heading.
        whole: columns whose words are never shortened: names to be typed again.
    """
    from rich.table import Table
    from rich.text import Text

    console = stdout()
    if title:
        console.print(Text(printable(title), style="bold"))
    columns = [] if corner is None else [_Column(corner, [printable(str(label)) for label in frame.index], False)]
    for place, name in enumerate(map(str, frame.columns)):
        values = frame.iloc[:, place].tolist()
        cells = [printable(_spell(value)) for value in values]
        looks = [styles(name, value) if styles else "" for value in values]
        columns.append(_Column(name, cells, frame.dtypes.iloc[place].kind in "iufb", looks, name in whole))
    room = console.width
    for part in _parts(columns, room):
        table = Table(header_style="", box=None, pad_edge=False)
        widths = _widths([one.natural for one in part], [one.least for one in part], room + GAP)
        for one, width in zip(part, widths, strict=True):
            justify: Literal["left", "right"] = "right" if one.right else "left"
            table.add_column(Text(_at_spaces(one.heading, width)), justify=justify, width=width, no_wrap=True)
        for row in range(len(frame)):
            table.add_row(*(Text(_at_spaces(c.cells[row], w), c.looks[row]) for c, w in zip(part, widths, strict=True)))
        console.width = max(room, sum(widths) + GAP * (len(widths) - 1))  # rather too wide than a number cut
        console.print(table)


@dataclass
class _Column:
    """One column of a table."""

    heading: str
    cells: Sequence[str]
    right: bool
    looks: Sequence[str] = ()
    kept: bool = False
    """Whether words are never shortened."""

    def __post_init__(self) -> None:
        self.looks = self.looks or [""] * len(self.cells)

    @property
    def natural(self) -> int:
        """Characters with nothing folded."""
        return max(map(len, [self.heading, *self.cells]))

    @property
    def least(self) -> int:
        """Characters below which a number or a word of the heading would be cut; words may lose their middles."""
        whole = [cell for cell in self.cells if not WORD.search(cell)]
        words = [word for cell in self.cells for word in cell.split()]
        numbers = [word for word in words if not WORD.search(word)]
        longest = max(map(len, words), default=0)
        shortest = longest if self.kept else min(longest, READABLE)
        return max([shortest, *map(len, [*whole, *numbers, *self.heading.split()])])


def _parts(columns: Sequence[_Column], room: int) -> list[list[_Column]]:
    """Columns that stand side by side; the first ones, which name the rows, are repeated."""
    again = _naming(columns, room)
    parts: list[list[_Column]] = [[]]
    for column in columns:
        wide = sum(one.least + GAP for one in [*parts[-1], column]) - GAP
        if wide > room and len(parts[-1]) > len(again):
            parts.append([*again])
        parts[-1].append(column)
    return parts


def _naming(columns: Sequence[_Column], room: int) -> list[_Column]:
    """The first columns of words until no two rows are called the same, as far as they leave room for others.

    Their words stay whole where half of the room is enough for that; those never to be shortened may take two thirds.
    """
    found: list[_Column] = []
    rows = len(columns[0].cells) if columns else 0
    for column in columns if rows > 1 else ():
        told_apart = len(set(zip(*(one.cells for one in found), strict=True))) == rows
        most = room * 2 // 3 if column.kept else room // 2
        wide = sum(one.least + GAP for one in [*found, column]) > most
        if told_apart or column.right or not any(map(WORD.search, column.cells)) or (found and wide):
            break
        found.append(column)
    names = sum(replace(one, kept=True).least + GAP for one in found)
    for one in found:
        one.kept = one.kept or names <= room // 2
    return found


def shortened(text: str, width: int) -> str:
    """The text without its middle, if it is longer: a path keeps its end, which tells files apart."""
    if len(text) <= width:
        return text
    end = (width - 1) * 2 // 3 if "/" in text else (width - 1) // 2
    return f"{text[: width - 1 - end]}…{text[len(text) - end :]}"


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
        console.print(Text(printable(title), style="bold"))
    rows = [
        [Text(printable(_spell(v)), style=styles(str(c), v) if styles else "") for c, v in zip(frame, row, strict=True)]
        for row in frame.itertuples(index=False)
    ]
    names = [printable(str(name)) for name in frame.columns]
    least = [
        max([NARROWEST, min(max(map(len, PIECES.findall(name))), READABLE), *(len(row[j]) for row in rows)])
        for j, name in enumerate(names)
    ]
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


def _widths(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Of columns that stand side by side: the widest give way first."""
    widths = list(natural)
    while sum(widths) + GAP * len(widths) > room:
        slack = [width - at_least for width, at_least in zip(widths, least, strict=True)]
        if max(slack) <= 0:
            break
        widths[max(range(len(widths)), key=lambda j: widths[j] if slack[j] else 0)] -= 1
    return widths


def _at_spaces(text: str, width: int) -> str:
    """The text in lines of that width, broken at spaces only; a longer word loses its middle."""
    words = " ".join(shortened(word, width) for word in text.split(" "))
    return text if len(text) <= width else "\n".join(textwrap.wrap(words, width, break_on_hyphens=False))


def _folded(name: str, width: int) -> str:
    """The name over several lines, broken after `_`, `-`, `+` and spaces; a longer piece loses its middle."""
    lines = [""]
    for piece in PIECES.findall(name):
        if lines[-1] and len(lines[-1]) + len(piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece if len(piece.rstrip()) <= width else shortened(piece, width)
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
