"""Extraction: how many rows each model filled, how fast, and which images failed."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.section import Section, sections
from probekit.reports.text import count, duration, is_number, listing, number

MOST_FAILURES = 200


@sections.add("extract")
class ExtractSection(Section):
    """Rows done and failed per model, and the reasons."""

    order = 20
    template = "extract"

    def title(self, run: Run) -> str:
        """`Extraction`."""
        return "Extraction"

    def question(self, run: Run) -> str:
        """Which models saw the images."""
        names = [str(part.get("model")) for part in run.parts if part.get("model")]
        return (
            f"Features of {listing(names)} for every image of the manifest."
            if names
            else "Features of every image."
        )

    def answers(self, run: Run) -> list[str]:
        """Rows, failures and speed, one sentence per model."""
        return [_sentence(part) for part in run.parts]

    def context(self, run: Run) -> Mapping[str, Any]:
        """The failed images, at most `MOST_FAILURES`, and how many there were."""
        failed = run.tables.get("failed")
        return {"failed": failed, "most": MOST_FAILURES}


def _sentence(part: Mapping[str, Any]) -> str:
    rows, failed = part.get("rows"), part.get("failed")
    total = count(rows, "row") if isinstance(rows, int) else "rows"
    lost = count(failed, "image") + " failed" if isinstance(failed, int) and failed else "none failed"
    speed = part.get("images_per_second")
    took = f" in {duration(part['seconds'])}" if is_number(part.get("seconds")) else ""
    rate = f" ({number(speed, 1)} images/s)" if is_number(speed) and part.get("done") else ""
    computed = f"{number(part.get('done'))} computed by this run{took}{rate}"
    return f"{part.get('model', 'The model')}: {total}, {lost}; {computed}."
