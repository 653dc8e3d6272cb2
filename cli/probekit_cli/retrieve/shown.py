"""What `probekit retrieve` prints of an answer."""

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from probekit_cli import tables

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.retrieval import OpenSet, RetrievalResult
    from probekit_cli.questions import Session

MATRIX = 12  # classes up to which the first neighbours are printed, not only drawn


def answer(session: "Session", features: "FeatureSet", result: "RetrievalResult", *, each: bool) -> None:
    """Closed set, classes, first neighbours and open set, with what a reader should know."""
    session.show(_closed(result, features.title))
    session.show(_classes(result))
    if 1 < len(result.neighbours) <= MATRIX:
        title = "First neighbours of the queries"
        session.show(partial(tables.print_matrix, result.neighbours, "query ↓  neighbour →", title=title))
    if result.open:
        session.show(partial(_open, result.open))
    for note in result.notes:
        session.remark(f"note: {note}")
    if len(result.per_class) == 1 or result.per_class["n_gallery"].gt(0).sum() < 2:
        session.remark("note: one class is registered: its rank-k and mAP are 1 whatever the features are.")
    if result.settings.unknown and not result.open:
        session.remark("note: no open-set figures: no generator is registered besides the unknown ones.")
    if each:
        session.remark("note: here every generator is registered; below, each in turn is not.")


def at_fpir(rate: float | None, fpir: float | None) -> str:
    """`0.812 (.053)`: the DIR, and the FPIR that its threshold has on the queries."""
    if rate is None or fpir is None or math.isnan(rate):
        return "unresolvable"
    return f"{rate:.3f} ({f'{fpir:.3f}'.removeprefix('0')})"


def _closed(result: "RetrievalResult", name: str) -> Callable[[], None]:
    """What prints the closed set, without holding what every query found."""
    import pandas as pd

    closed, settings = result.closed, result.settings
    voters = "" if settings.vote == "prototype" else f", k {settings.k}"
    title = (
        f"Retrieval · {name} · {closed.n_scored} of {closed.n_queries} queries in {closed.n_gallery} registered images "
        f"· {settings.vote} vote{voters}"
    )
    numbers = {f"rank-{rank}": value for rank, value in closed.rank.items()}
    by = settings.class_rank
    numbers |= {f"class rank-{rank} ({by})": value for rank, value in closed.class_rank.items() if rank == 1}
    numbers |= {"mAP": closed.mean_ap, "macro mAP": closed.macro_ap, "MAP@R": closed.map_at_r}
    numbers |= {"R-prec": closed.r_precision, "attribution": closed.knn_accuracy}
    return partial(tables.print_table, pd.DataFrame([numbers]), title=title)


def _classes(result: "RetrievalResult") -> Callable[[], None]:
    shown = {
        "n_queries": "queries",
        "n_scored": "scored",
        "n_gallery": "gallery",
        "rank1": "rank-1",
        "map": "mAP",
        "map_at_r": "MAP@R",
        "knn_recall": "recall",
    }
    table = result.per_class.set_index("generator")[[*shown]].rename(columns=shown)
    return partial(tables.print_table, table, corner="generator")


def _open(pools: "tuple[OpenSet, ...]") -> None:
    import pandas as pd

    rows = [
        {
            "against": pool.pool,
            "n": pool.n_non_mated,
            "AUROC": pool.auroc,
            "OSCR": pool.oscr,
            "CCR@FPR5": pool.ccr_at_fpr05,
            "TNR@TPR95": pool.tnr_at_tpr95,
        }
        for pool in pools
    ]
    dirs = [
        {
            "against": pool.pool,
            **{f"DIR@{point.fpir:g}": at_fpir(point.dir, point.measured_fpir) for point in pool.points},
            "threshold from": f"{pool.points[0].n_threshold} {pool.points[0].threshold_from}",
        }
        for pool in pools
    ]
    first = pools[0]
    title = f"Open set · {first.n_mated} mated searches, N = {first.n_enrolled_rows} of {', '.join(first.enrolled)}"
    tables.print_table(pd.DataFrame(rows), title=title)
    tables.print_table(pd.DataFrame(dirs), title="DIR at FPIR (as measured)")
