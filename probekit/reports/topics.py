"""Topics: the tables and figures of a run that answer one question, under one heading, with how to read them."""

from collections.abc import Sequence
from dataclasses import dataclass

from probekit.reports.runs import Figure, Run

MOST_OPEN = 3
"""Figures of a topic that are shown at once; more are folded."""


@dataclass(frozen=True)
class Topic:
    """What belongs together, by the names that commands give to their files."""

    heading: str
    reading: str
    """How to read it: a sentence or two."""
    prefixes: tuple[str, ...] = ()
    """Of its figures: `shots-`."""
    tables: tuple[str, ...] = ()
    """That are shown open."""
    folded: tuple[str, ...] = ()
    """That are there to open."""
    open_figures: bool = True
    leads: bool = False
    """It is what the run was made for, and comes before the matrices."""


@dataclass(frozen=True)
class Told:
    """A topic with what a run has on it."""

    topic: Topic
    figures: tuple[Figure, ...]
    tables: tuple[str, ...]
    folded: tuple[str, ...]

    @property
    def shown(self) -> bool:
        """Whether its figures stand open."""
        return self.topic.open_figures and len(self.figures) <= MOST_OPEN


def told(run: Run, topics: Sequence[Topic]) -> list[Told]:
    """The topics on which the run has figures or tables, in their order; nothing is told twice."""
    found, used = [], set()
    for topic in topics:
        figures = tuple(f for f in run.figures if f.name.startswith(topic.prefixes or ("\0",)) and f.name not in used)
        used |= {figure.name for figure in figures}
        tables, folded = (tuple(name for name in names if name in run.tables) for names in (topic.tables, topic.folded))
        if figures or tables or folded:
            found.append(Told(topic, figures, tables, folded))
    return found


def untold(run: Run, found: Sequence[Told]) -> tuple[list[Figure], list[str]]:
    """The figures and tables of the run that no topic has told."""
    figures = {figure.name for each in found for figure in each.figures}
    tables = {name for each in found for name in (*each.tables, *each.folded)}
    return [f for f in run.figures if f.name not in figures], [name for name in run.tables if name not in tables]
