"""Maps in print: how far each can be believed."""

from probekit.reports.runs import Run
from probekit.reports.tables.runs import add
from probekit.reports.tables.table import Table, table, with_best
from probekit.reports.text import is_number, words

SHOWN = ("trustworthiness", "purity_map", "purity_features", "purity_chance", "perplexity", "n")


@add("map", instead_of=("map",))
def tables(run: Run) -> list[Table]:
    """A row for each map; the figures that no map should be judged by are left out."""
    shown = [name for name in SHOWN if any(is_number(part.get(name)) for part in run.parts)]
    if not shown:
        return []
    values = [[run.subject(part), *(part.get(name) for name in shown)] for part in run.parts]
    caption = (
        "Quality of the maps: share of true neighbours (trustworthiness) and of neighbours of one generator (purity)."
    )
    made = table("map-quality", caption, ["features", *map(words, shown)], values)
    judged = [
        [value if name in SHOWN[:3] else None for name, value in zip(["", *shown], row, strict=True)] for row in values
    ]
    return [with_best(made, judged)]
