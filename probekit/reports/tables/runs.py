"""Which tables a run has: those that a paper prints, and the rest in their general form."""

from collections.abc import Callable
from dataclasses import dataclass

from probekit.registry import Registry
from probekit.reports.runs import Run
from probekit.reports.tables.table import Table, of_frame

MOST_ROWS = 100
"""Rows beyond which a table is no table to paste, such as the scores of every sample."""


@dataclass(frozen=True)
class Publication:
    """What a command's runs are in print."""

    tables: Callable[[Run], list[Table]]
    instead_of: frozenset[str]
    """Tables of the run that are in these in full."""


publications = Registry[Publication]("publication", "probekit.reports.tables", "probekit.publications")


def add(
    verb: str, *, instead_of: tuple[str, ...] = ()
) -> Callable[[Callable[[Run], list[Table]]], Callable[[Run], list[Table]]]:
    """Register the function below as what makes the tables of a command's runs."""

    def register(tables: Callable[[Run], list[Table]]) -> Callable[[Run], list[Table]]:
        publications.add(verb)(Publication(tables, frozenset(instead_of)))
        return tables

    return register


def tables_of(run: Run) -> list[Table]:
    """The tables of a run with names of their own; none with more than 100 rows, which stay CSV and Parquet."""
    known = publications.get(run.verb) if run.verb in publications else Publication(lambda _: [], frozenset())
    general = [
        of_frame(name, frame)
        for name, frame in run.tables.items()
        if name not in known.instead_of and 0 < len(frame) <= MOST_ROWS
    ]
    return [*known.tables(run), *general]
