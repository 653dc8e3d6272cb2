"""Retrieval: Rank-k and mean average precision, searches for what is not in the gallery, projections, few examples."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.matrices import Matrix, confusion_matrix
from probekit.reports.rows import Rows, pivot
from probekit.reports.runs import Run
from probekit.reports.section import Alert, Headline, Section, sections
from probekit.reports.text import cell, count, is_number, number
from probekit.reports.topics import Topic, told, untold

Part = Mapping[str, Any]

TOPICS = (
    Topic("Rank curves", "The share of scored queries whose class is among the first k.", ("ranks-",)),
    Topic(
        "Open set",
        "FNIR: searches for registered generators that were missed or named wrongly. FPIR: searches without a mate "
        "that were accepted. Both pools are kept apart: unregistered generators, and real images.",
        ("det-", "pools-"),
    ),
    Topic(
        "By registered examples",
        "Means over draws of so many examples of each generator, ± one standard deviation.",
        ("shots-",),
        ("shots",),
        ("shot_draws",),
    ),
    Topic(
        "Contact sheets",
        "A query at the left of each row, then its nearest registered images. Rows were picked to show a right and a "
        "wrong answer of each generator: no fair sample.",
        ("sheet-",),
    ),
)
TOLD = {"gains", "leave_one_out", "leave_one_out_gains", "per_class"}
"""Tables that the result itself holds, and the page shows from there."""


@sections.add("retrieve")
class RetrieveSection(Section):
    """One row per model; open-set figures with the size of the gallery."""

    order = 40
    template = "retrieve"

    def title(self, run: Run) -> str:
        """`Retrieval`, and what was asked beyond one search."""
        parts = run.parts
        if any(part.get("leave_one_out") for part in parts):
            return "Retrieval, each generator left out"
        if any(part.get("gains") for part in parts):
            return "Retrieval, projected"
        return "Retrieval, by examples" if any(part.get("shots") for part in parts) else "Retrieval"

    def question(self, run: Run) -> str:
        """The question behind the search."""
        return "Do an image’s nearest neighbours in the gallery come from the same generator?"

    def answers(self, run: Run) -> list[str]:
        """Rank-1, mAP and the unregistered generators, one sentence per model; then what was asked beyond."""
        parts = [_flat(part) for part in run.parts]
        further = [sentence for part in parts for sentence in (_left_out(part), _gained(part), _by_shots(part))]
        return [*(_sentence(run, part) for part in parts), *(sentence for sentence in further if sentence)]

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

    def alerts(self, run: Run) -> list[Alert]:
        """Thresholds that come from the queries themselves, and ranks that cannot be wrong."""
        found = []
        points = [point for part in run.parts for pool in _pools(part) for point in pool.get("points") or []]
        if any(point.get("threshold_from") == "queries" for point in points):
            said = "thresholds were set on the queries themselves, so their FPIR is right by construction"
            found.append(Alert("caution", f"Retrieval: {said}.", "open-set"))
        registered = [[row for row in part.get("per_class") or [] if row.get("n_gallery")] for part in run.parts]
        if any(len(classes) == 1 for classes in registered):
            found.append(Alert("serious", "Only one class is registered: its rank-k and mAP are 1 whatever is asked."))
        return found

    def context(self, run: Run) -> Mapping[str, Any]:
        """One row per model with all k that any of them reports, and every other table and figure under its topic."""
        parts = [_flat(part) for part in run.parts]
        found = told(run, TOPICS)
        figures, tables = untold(run, found)
        return {
            "topics": found,
            "pivots": {"shots": _shots_table(run)},
            "for_papers": figures,
            "tables": [name for name in tables if name not in TOLD],
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
    apart = [
        f"{pool.get('pool', 'unregistered')} images told apart with AUROC {_with_interval(pool, 'auroc')}"
        for pool in _pools(part)
    ]
    return "; ".join([closed, *apart]) + "."


def _pools(part: Part) -> list[Part]:
    """The open-set figures of each pool; an older record has one object for them."""
    opened = part.get("open_set")
    return [opened] if isinstance(opened, Mapping) else list(opened or [])


def _left_out(part: Part) -> str:
    """How well each generator in turn is told from the registered ones, on the raw features."""
    found = part.get("leave_one_out")
    rows = found.get("rows") or [] if isinstance(found, Mapping) else []
    kept = [row for row in rows if row.get("pool") == "unregistered" and row.get("features", "raw") == "raw"]
    known = sorted((row["auroc"], str(row.get("unknown"))) for row in kept if is_number(row.get("auroc")))
    if not known:
        return ""
    (low, worst), (high, best) = known[0], known[-1]
    ends = f"from {number(low)} ({worst}) to {number(high)} ({best})"
    return f"With each of {count(len(known), 'generator')} unregistered in turn, the AUROC against it goes {ends}."


def _gained(part: Part) -> str:
    """What the projection changes, and whether that may be chance."""
    gains = [row for row in part.get("gains") or [] if isinstance(row, Mapping) and is_number(row.get("gain"))]
    told_apart = [
        f"{row.get('measure')} {row['gain']:+.3f}".replace("-", "−").replace("Rank−1", "rank-1")
        + (f" ({cell(row['gain_ci'], 'gain_ci')})" if row.get("gain_ci") else "")
        + ("" if row.get("outside") else ", which may be chance")
        for row in gains
    ]
    return f"The projection changes {'; '.join(told_apart)}." if told_apart else ""


def _by_shots(part: Part) -> str:
    """Rank-1 at the fewest and at the most registered examples."""
    rows = [row for row in part.get("shots") or [] if isinstance(row, Mapping) and row.get("measure") == "Rank-1"]
    known = [row for row in rows if is_number(row.get("value"))]
    if len(known) < 2:
        return ""
    said = [f"{number(row['value'])} with {_examples(row.get('shots'))}" for row in (known[0], known[-1])]
    return f"By registered examples of each generator: rank-1 {said[0]}, {said[1]}."


def _shots_table(run: Run) -> Rows | None:
    """Rank-1 and DIR by the number of registered examples."""
    table = run.tables.get("shots")
    if table is None or not {"shots", "measure", "value", "spread"} <= set(table.columns):
        return None
    several = [name for name in ("model", "tap") if name in table and table[name].nunique() > 1]
    return pivot(table, [*several, "measure"], "shots", "value", "spread", axis="examples: ")


def _examples(shots: object) -> str:
    return f"{shots}" if str(shots).isdigit() else f"{shots} of them"


def _with_interval(part: Part, name: str, value: object = None) -> str:
    """`0.710 (0.660–0.750)`; without an interval the number alone."""
    key = f"{name}_ci"
    value = part.get(name) if value is None else value
    return f"{number(value)} ({cell(part[key], key)})" if part.get(key) else number(value)
