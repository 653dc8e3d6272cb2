"""A table as Markdown, as GitHub reads it."""

import re

from probekit.reports.tables.table import Cell, Table

SPECIAL = re.compile(r"([\\`*_|$~]|\](?=[(\[:]))")  # a bracket alone, as of an interval, is no link


def markdown(table: Table) -> str:
    """The caption in bold, and the table; ends with a line break.

    In a matrix the first heading says what is down and what is across.
    """
    first = f"{table.columns[0]} ↓ {table.axis} →" if table.axis else table.columns[0]
    heading = [escape(name) for name in (first, *table.columns[1:])]
    rule = ["---:" if right else ":---" for right in table.right]
    rows = [[_cell(item) for item in row] for row in table.rows]
    lines = [f"**{escape(table.caption)}**", "", *(f"| {' | '.join(row)} |" for row in (heading, rule, *rows))]
    return "\n".join(lines) + "\n"


def escape(text: str) -> str:
    """The text with nothing in it that Markdown or HTML would take for its own."""
    flat = " ".join(text.split())
    plain = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return SPECIAL.sub(r"\\\1", plain)


def _cell(item: Cell) -> str:
    text = escape(item.text)
    return f"**{text}**" if item.bold and text else text
