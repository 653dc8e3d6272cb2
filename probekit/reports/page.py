"""The report: run folders in, one self-contained HTML page out."""

import shlex
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd

from probekit.errors import RunError
from probekit.reports.runs import Run, load, named_apart
from probekit.reports.section import Headline, Section, section_for
from probekit.reports.template import render
from probekit.reports.text import is_number, listing, moment

MOST_ROWS = 100
"""Rows of a table that are shown; the rest is in the run folder."""


@dataclass(frozen=True)
class Chapter:
    """One run in its place in the page."""

    id: str
    number: int
    run: Run
    section: Section
    context: Mapping[str, Any]
    title: str
    """Unlike that of any other chapter."""
    superseded: bool = False
    """A later run did the same: this one is folded away."""

    @property
    def command(self) -> str:
        """The command line, quoted for a shell."""
        words = self.run.record.get("command")
        return shlex.join(str(word) for word in words) if isinstance(words, list) else ""


@dataclass(frozen=True)
class Rows:
    """The first rows of a table and how many there are."""

    columns: list[str]
    rows: list[list[object]]
    total: int

    @property
    def numeric(self) -> list[bool]:
        """Which columns hold numbers, if not in every row; they are aligned to the right."""
        return [any(is_number(row[i]) for row in self.rows) for i in range(len(self.columns))]


def build(run_folders: Sequence[Path], title: str | None = None) -> str:
    """One HTML page about these runs, in the order of the work; equal folders give equal bytes.

    Raises:
        RunError: no folder was given, or one of them cannot be read.
    """
    runs = named_apart([load(Path(folder)) for folder in run_folders])
    if not runs:
        raise RunError("there are no runs to report on: run a command first, for example probekit probe.")
    known = [(section_for(run.verb), run) for run in runs]
    known.sort(key=lambda pair: (pair[0].place(pair[1]), str(pair[1].record.get("started")), pair[1].path.name))
    titles, superseded = _titles(known), _superseded([run for _, run in known])
    chapters = [
        Chapter(f"run-{n}", n, run, section, section.context(run), title, old)
        for n, ((section, run), title, old) in enumerate(zip(known, titles, superseded, strict=True), start=1)
    ]
    return render(
        "report.html",
        scripts=("theme.js", "report.js", "map.js"),
        title=title or "What the features know",
        chapters=chapters,
        manifests=_distinct([run.manifest for run in runs if run.manifest], "sha256"),
        stores=_distinct([store for _, run in known for store in _mappings(run.record.get("stores"))], "address"),
        versions=_versions([run for _, run in known]),
        ended=max((str(run.record.get("ended") or "") for run in runs), default=""),
        headlines=_headlines([line for chapter in chapters for line in chapter.section.headlines(chapter.run)]),
        rows_of=rows_of,
    )


def rows_of(table: pd.DataFrame | Sequence[Mapping[str, object]], most: int = MOST_ROWS) -> Rows:
    """The first rows of a table, or of a list of objects, whose columns are the union of their keys."""
    if isinstance(table, pd.DataFrame):
        head = table.head(most).astype(object)
        return Rows([str(name) for name in table.columns], head.to_numpy().tolist(), len(table))
    columns = list(dict.fromkeys(key for row in table for key in row))
    return Rows(columns, [[row.get(name) for name in columns] for row in table[:most]], len(table))


def _titles(known: Sequence[tuple[Section, Run]]) -> list[str]:
    """The heading of each run; where several would be called the same, what tells them apart is added."""
    titles = [section.title(run) for section, run in known]
    details: list[Callable[[Run], str]] = [
        lambda run: listing(list(dict.fromkeys(run.subject(part) for part in run.parts)), most=2),
        lambda run: str(run.manifest.get("name") or run.manifest.get("path") or ""),
        lambda run: moment(run.record.get("started")),
        lambda run: run.path.name,
    ]
    for detail in details:
        alike = {title for title, n in Counter(titles).items() if n > 1}
        found: dict[str, set[str]] = {title: set() for title in alike}
        for title, (_, run) in zip(titles, known, strict=True):
            if title in alike:
                found[title].add(detail(run))
        titles = [
            f"{title} · {detail(run)}" if len(found.get(title, ())) > 1 and detail(run) else title
            for title, (_, run) in zip(titles, known, strict=True)
        ]
    return titles


def _superseded(runs: Sequence[Run]) -> list[bool]:
    """Which extractions only did what a later one, into the same stores, tells in full."""
    later: set[tuple[str, ...]] = set()
    found = []
    for run in reversed(runs):
        stores = {(str(part.get("model")), str(part.get("address") or part.get("name") or "")) for part in run.parts}
        old = run.verb == "extract" and run.status == "done" and bool(stores) and stores <= later
        found.append(old)
        if run.verb == "extract" and run.status == "done":
            later |= stores
    return found[::-1]


def _headlines(lines: Sequence[Headline]) -> dict[str, Any]:
    """One subject: its numbers. Several: a table, because picking the best one would select on test data."""
    subjects = list(dict.fromkeys(line.subject for line in lines))
    names = list(dict.fromkeys(line.name for line in lines))
    value = {(line.subject, line.name): line for line in reversed(lines)}
    return {
        "names": names,
        "notes": {line.name: line.note for line in reversed(lines)},
        "subjects": [(subject, [value.get((subject, name)) for name in names]) for subject in subjects],
    }


def _versions(runs: Sequence[Run]) -> dict[str, list[str]]:
    """Every version of every library that any run used: more than one means that the runs differ."""
    found = sorted(
        {(str(name), str(version)) for run in runs for name, version in (run.record.get("versions") or {}).items()}
    )
    return {name: [version for _, version in pairs] for name, pairs in groupby(found, key=lambda pair: pair[0])}


def _distinct(items: Sequence[Mapping[str, Any]], key: str) -> list[Mapping[str, Any]]:
    return list({str(item.get(key) or item): item for item in items}.values())


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [item for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []
