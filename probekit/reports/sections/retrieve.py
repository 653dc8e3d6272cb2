"""Retrieval: Rank-k and mean average precision, and searches for what is not in the gallery."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.matrices import Matrix, confusion_matrix
from probekit.reports.runs import Run
from probekit.reports.section import Headline, Section, sections
from probekit.reports.text import cell, number

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
        return "Do an image’s nearest neighbours in the gallery come from the same generator?"

    def answers(self, run: Run) -> list[str]:
        """Rank-1, mAP and the unregistered generators, one sentence per model."""
        return [_sentence(run, part) for part in map(_flat, run.parts)]

    def headlines(self, run: Run) -> list[Headline]:
        """Rank-1 and mAP."""
        return [
            headline
            for part in map(_flat, run.parts)
            for headline in (
                Headline(
                    run.subject(part),
                    "Retrieval, rank-1",
                    _ranks(part).get("1"),
                    _queries(part),
                ),
                Headline(
                    run.subject(part),
                    "Retrieval, mAP",
                    part.get("map"),
                    f"gallery of {number(part.get('n_gallery'))}",
                ),
            )
        ]

    def context(self, run: Run) -> Mapping[str, Any]:
        """One row per model with all k that any of them reports, and their first neighbours."""
        parts = [_flat(part) for part in run.parts]
        return {
            "ks": sorted({k for part in parts for k in _ranks(part)}, key=lambda k: (len(k), k)),
            "scored": any(part.get("n_scored") is not None for part in parts),
            "parts": [(part, run.subject(part), _ranks(part), _neighbours(part)) for part in parts],
        }


def _flat(part: Part) -> dict[str, Any]:
    """The closed-set numbers beside the rest."""
    closed = part.get("closed_set")
    return {**closed, **part} if isinstance(closed, Mapping) else dict(part)


def _ranks(part: Part) -> dict[str, Any]:
    ranks = part.get("rank")
    return {str(k): value for k, value in ranks.items()} if isinstance(ranks, Mapping) else {}


def _neighbours(part: Part) -> Matrix | None:
    found = part.get("confusion")
    if not isinstance(found, Mapping) or not found.get("counts"):
        return None
    return confusion_matrix(found["query"], found["neighbour"], found["counts"], axes=("Query", "First neighbour"))


def _queries(part: Part) -> str:
    """`1,135 queries`, or `908 of 1,135 queries scored` where some have nothing to find in the gallery."""
    every, scored = part.get("n_queries"), part.get("n_scored")
    if scored is None or scored == every:
        return f"{number(every)} queries"
    return f"{number(scored)} of {number(every)} queries scored"


def _sentence(run: Run, part: Part) -> str:
    counts = f"{_queries(part)}, {number(part.get('n_gallery'))} in the gallery"
    rank1 = _with_interval(part, "rank1", _ranks(part).get("1"))
    mean_ap = _with_interval(part, "map", part.get("map"))
    closed = f"{run.subject(part)}: rank-1 {rank1}, mAP {mean_ap} ({counts})"
    opened = part.get("open_set")
    pools = [opened] if isinstance(opened, Mapping) else opened or []
    apart = [
        f"{pool.get('pool', 'unregistered')} images told apart with AUROC {number(pool.get('auroc'))}" for pool in pools
    ]
    return "; ".join([closed, *apart]) + "."


def _with_interval(part: Part, name: str, value: object) -> str:
    """`0.710 (0.660–0.750)`; without an interval the number alone."""
    key = f"{name}_ci"
    return f"{number(value)} ({cell(part[key], key)})" if part.get(key) else number(value)
