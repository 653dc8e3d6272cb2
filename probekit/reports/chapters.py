"""Chapters: the runs of a page in the order of the work, each under a heading that no other has."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from probekit.reports import provenance
from probekit.reports.runs import Run, load, named_apart
from probekit.reports.section import Section, section_for
from probekit.reports.text import listing, moment


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
        return provenance.command(self.run)


def chapters_of(run_folders: Sequence[Path]) -> list[Chapter]:
    """A chapter for each folder; equal folders give equal chapters, however they were listed.

    Raises:
        RunError: one of them cannot be read.
    """
    runs = named_apart([load(Path(folder)) for folder in run_folders])
    known = [(section_for(run.verb), run) for run in runs]
    known.sort(key=lambda pair: (pair[0].order, str(pair[1].record.get("started")), pair[1].path.name))
    titles, superseded = _titles(known), _superseded([run for _, run in known])
    return [
        Chapter(f"run-{n}", n, run, section, section.context(run), title, old)
        for n, ((section, run), title, old) in enumerate(zip(known, titles, superseded, strict=True), start=1)
    ]


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
