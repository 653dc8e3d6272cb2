"""Retrieval in print: closed set, classes, and searches for what is not registered."""

from collections.abc import Mapping
from typing import Any

from probekit.reports.runs import Run
from probekit.reports.tables.runs import add
from probekit.reports.tables.table import Cell, Table, estimate, of_records, table, with_best
from probekit.reports.text import number

Part = Mapping[str, Any]

OPEN = {"auroc": "AUROC", "oscr": "OSCR", "ccr_at_fpr05": "CCR@FPR5", "tnr_at_tpr95": "TNR@TPR95"}


@add("retrieve", instead_of=("per_class",))
def tables(run: Run) -> list[Table]:
    """A row for each kind of features, then classes and non-mated pools."""
    parts = [{**part.get("closed_set", {}), **part} for part in run.parts]
    if not parts:
        return []
    found = [_closed(run, parts)]
    for part in parts:
        if part.get("per_class"):
            name = run.subject(part)
            found.append(of_records(f"classes-{name}", part["per_class"], f"Retrieval of each class, {name}"))
    pools = dict.fromkeys(str(pool.get("pool")) for part in parts for pool in _pools(part))
    return [*found, *(_open(run, parts, pool) for pool in pools)]


def _closed(run: Run, parts: list[dict[str, Any]]) -> Table:
    ks = sorted({str(k) for part in parts for k in part.get("rank") or {}}, key=int)
    values: list[list[object]] = []
    rows: list[list[object]] = []
    for part in parts:
        ranks = {str(k): value for k, value in (part.get("rank") or {}).items()}
        own = [*(ranks.get(k) for k in ks), part.get("map"), part.get("macro_map"), part.get("map_at_r")]
        values.append([run.subject(part), *own])
        cells: list[object] = [run.subject(part), *own]
        if ks and ks[0] == "1":
            cells[1] = Cell(estimate(own[0], part.get("rank1_ci")))
        cells[1 + len(ks)] = Cell(estimate(part.get("map"), part.get("map_ci")))
        rows.append(cells)
    first = parts[0]
    caption = (
        f"Retrieval of {number(first.get('n_scored', first.get('n_queries')))} queries among "
        f"{number(first.get('n_gallery'))} registered images, without rows of the query's own group."
        + (" The best of each column in bold." if len(parts) > 1 else "")
    )
    columns = ["features", *(f"Rank-{k}" for k in ks), "mAP", "macro mAP", "MAP@R"]
    return with_best(table("retrieval", caption, columns, rows), values)


def _open(run: Run, parts: list[dict[str, Any]], name: str) -> Table:
    values: list[list[object]] = []
    rows: list[list[object]] = []
    told = ""
    for part in parts:
        for pool in _pools(part):
            if str(pool.get("pool")) == name:
                told = f"{number(pool.get('n_mated'))} mated and {number(pool.get('n_non_mated'))} non-mated searches, "
                told += f"N = {number(pool.get('n_enrolled_rows'))}"
                own = [pool.get(key) for key in OPEN]
                values.append([run.subject(part), *own])
                rows.append([run.subject(part), Cell(estimate(own[0], pool.get("auroc_ci"))), *own[1:]])
    made = table(f"open-set-{name}", f"Open set against {name} images: {told}.", ["features", *OPEN.values()], rows)
    return with_best(made, values)


def _pools(part: Part) -> list[Part]:
    found = part.get("open_set") or []
    return [found] if isinstance(found, Mapping) else list(found)
