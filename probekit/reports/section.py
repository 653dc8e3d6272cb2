"""What the report knows about a command: its place in the page, its question and its answer in words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from probekit.registry import Registry
from probekit.reports.runs import Run


@dataclass(frozen=True)
class Headline:
    """One number for the top of the page."""

    subject: str
    """Whose number it is: `clip#proj`."""
    name: str
    value: float | None
    note: str = ""
    """What to hold it against: `chance 0.200`."""


class Section:
    """How a command is shown; this one fits any command, and others say more."""

    order = 90
    """Place in the page: the order of the work."""
    template = "any"

    def place(self, run: Run) -> int:
        """Where in the page this run stands, if not where its command does."""
        return self.order

    def title(self, run: Run) -> str:
        """The section's heading."""
        return run.verb.capitalize()

    def question(self, run: Run) -> str:
        """What was asked, in one sentence."""
        return f"probekit {run.verb}"

    def answers(self, run: Run) -> list[str]:
        """What came out, in sentences with numbers."""
        return []

    def headlines(self, run: Run) -> list[Headline]:
        """The numbers that a reader looks for first."""
        return []

    def context(self, run: Run) -> Mapping[str, Any]:
        """What the template needs beside `run`."""
        return {}


sections = Registry[type[Section]]("report section", "probekit.reports.sections", "probekit.sections")


def section_for(verb: str) -> Section:
    """The section of a command; the general one when it has none of its own."""
    return sections.get(verb)() if verb in sections else Section()
