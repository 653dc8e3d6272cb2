"""Retrieval: Rank-k and mean average precision, and searches for what is not in the gallery."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run, subject
from probekit.reports.section import Headline, Section, sections
from probekit.reports.text import number

Part = Mapping[str, Any]


@sections.add("retrieve")
class RetrieveSection(Section):
    """One row per model; open-set figures with the size of the gallery."""

    order = 40
    template = "retrieve"

    def title(self, run: Run) -> str:
        """`Retrieval`."""
        return "Retrieval"

    def question(self, run: Run) -> str:
        """The question behind the search."""
        return "Do an image's nearest neighbours in the gallery come from the same generator?"

    def answers(self, run: Run) -> list[str]:
        """Rank-1 and mAP per model."""
        return [
            f"{subject(part)}: rank-1 {number(_ranks(part).get('1'))}, mAP {number(part.get('map'))} "
            f"({number(part.get('n_query'))} queries, {number(part.get('n_gallery'))} in the gallery)."
            for part in run.parts
        ]

    def headlines(self, run: Run) -> list[Headline]:
        """Rank-1 and mAP."""
        return [
            headline
            for part in run.parts
            for headline in (
                Headline(
                    subject(part),
                    "Retrieval, rank-1",
                    _ranks(part).get("1"),
                    f"{number(part.get('n_query'))} queries",
                ),
                Headline(
                    subject(part),
                    "Retrieval, mAP",
                    part.get("map"),
                    f"gallery of {number(part.get('n_gallery'))}",
                ),
            )
        ]

    def context(self, run: Run) -> Mapping[str, Any]:
        """All k that any model reports, in order."""
        return {
            "ks": sorted({k for part in run.parts for k in _ranks(part)}, key=lambda k: (len(k), k)),
            "parts": [(part, subject(part), _ranks(part)) for part in run.parts],
        }


def _ranks(part: Part) -> dict[str, Any]:
    ranks = part.get("rank")
    return {str(k): value for k, value in ranks.items()} if isinstance(ranks, Mapping) else {}
