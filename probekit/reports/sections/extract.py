"""Extraction: how many rows each model filled, how fast, and which images failed."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.section import Alert, Section, sections
from probekit.reports.text import count, duration, is_number, listing, number

MOST_FAILURES = 200
_COLUMNS = ("model", "taps", "view", "precision", "rows", "done", "failed", "computed", "seconds")


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
        return f"Features of {listing(names)} for every image of the manifest." if names else "Features of every image."

    def answers(self, run: Run) -> list[str]:
        """Rows and failures of each model, and the speed."""
        return [*(_rows(part) for part in run.parts), *_speed(run)]

    def alerts(self, run: Run) -> list[Alert]:
        """Images without features: no question of the page is about them."""
        lost = _lost(run)
        sentence = f"{count(lost, 'image')} could not be read or computed: no result is about them."
        return [Alert("caution", sentence, "failed")] if lost else []

    def context(self, run: Run) -> Mapping[str, Any]:
        """The failed images: how many, and a row for each model that failed on them."""
        failed, lost = run.tables.get("failed"), _lost(run)
        return {
            "models": [_row(part) for part in run.parts],
            "failed": failed,
            "lost": lost,
            "none": not lost and all(part.get("failed") == 0 for part in run.parts),
            "most": MOST_FAILURES,
        }


def _row(part: Mapping[str, Any]) -> dict[str, Any]:
    """A line of the table; of many taps the first and how many more."""
    taps = part.get("taps")
    told = {"taps": listing([str(tap) for tap in taps], most=4)} if isinstance(taps, list) else {}
    return {name: value for name, value in ({**part, **told}).items() if name in _COLUMNS}


def _lost(run: Run) -> int:
    """How many images failed for at least one model."""
    failed = run.tables.get("failed")
    if failed is None:
        return 0
    return int(failed["path"].nunique()) if "path" in failed else len(failed)


def _rows(part: Mapping[str, Any]) -> str:
    failed = part.get("failed")
    lost = "none failed" if failed == 0 else f"{number(failed)} failed"
    done = f"{number(part.get('done'))} of {number(part.get('rows'))} rows done"
    computed = f", {number(part['computed'])} of them computed by this run" if "computed" in part else ""
    return f"{part.get('model', 'The model')}: {done}{computed}; {lost}."


def _speed(run: Run) -> list[str]:
    found = run.result if is_number(run.result.get("seconds")) else next(iter(run.parts), {})
    if not is_number(found.get("seconds")):
        return []
    idle = bool(run.parts) and all(part.get("computed") == 0 for part in run.parts)
    if idle:  # a speed of looking things up is no speed of a model
        return [f"It took {duration(found['seconds'])}; everything was there already."]
    rate = f", {number(found.get('images_per_second'))} images/s" if found.get("images_per_second") else ""
    return [f"It took {duration(found['seconds'])}{rate}."]
