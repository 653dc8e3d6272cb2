"""Predictions: which images a saved probe calls fake, and how often it is right where that is known."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.section import Alert, Section, sections
from probekit.reports.text import count, is_number, number

MOST_EXAMPLES = 20
"""Images in the table of the page: those with the highest scores."""


@sections.add("predict")
class PredictSection(Section):
    """The probe, the threshold, the counts, and the images it is surest of."""

    order = 35
    template = "predict"

    def title(self, run: Run) -> str:
        """`Predictions`."""
        return "Predictions"

    def question(self, run: Run) -> str:
        """Which probe was used."""
        title = _probe(run).get("title")
        return f"What does the saved probe say of these images: {title}?" if title else "What does a saved probe say?"

    def answers(self, run: Run) -> list[str]:
        """Images called fake, and accuracy by generator where the truth is known."""
        scored, called = run.result.get("scored"), run.result.get("called_fake")
        if not is_number(scored):
            return []
        verdict = str(_probe(run).get("polarity") or "fake").removeprefix("positive is ")
        said = f"{count(int(scored), 'image')} scored"
        share = f", {number(called)} called {verdict} ({called / scored:.0%})" if is_number(called) and scored else ""
        threshold = run.result.get("threshold")
        at = f" at probability {number(threshold)}" if is_number(threshold) else ""
        return [f"{said}{share}{at}.", *_by_generator(run)]

    def alerts(self, run: Run) -> list[Alert]:
        """Images without a score."""
        lost = len(run.failed)
        return [Alert("caution", f"{count(lost, 'image')} got no score.", "failed")] if lost else []

    def context(self, run: Run) -> Mapping[str, Any]:
        """The surest images, highest scores first."""
        table = run.tables.get("predictions")
        surest = None
        if table is not None and "score" in table:
            surest = table.sort_values("score", ascending=False, kind="stable").head(MOST_EXAMPLES)
        return {"probe": _probe(run), "surest": surest, "failed": run.tables.get("failed")}


def _probe(run: Run) -> Mapping[str, Any]:
    probe = run.result.get("probe")
    return probe if isinstance(probe, Mapping) else {}


def _by_generator(run: Run) -> list[str]:
    table = run.tables.get("pairs")
    if table is None or not {"generator", "auc"} <= set(table.columns) or table["auc"].isna().all():
        return []
    known = table.dropna(subset=["auc"]).sort_values("auc", kind="stable")
    low, high = known.iloc[0], known.iloc[-1]
    if len(known) == 1:
        return [f"Against {low['generator']}: AUC {number(low['auc'])}."]
    ends = f"{number(low['auc'])} ({low['generator']}) to {number(high['auc'])} ({high['generator']})"
    return [f"By generator, AUC goes from {ends}."]
