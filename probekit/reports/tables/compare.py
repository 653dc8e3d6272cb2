"""Comparisons in print: CKA, separability and distances, each as a matrix, and the distances with their intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

from probekit.comparison.verdicts import short_names
from probekit.reports.runs import Run
from probekit.reports.tables.runs import add
from probekit.reports.tables.table import Table, estimate, table
from probekit.reports.text import is_number, number

Part = Mapping[str, Any]

WIDEST = 8
"""Columns of a matrix beyond which intervals make it too wide for a page."""


@add("compare", instead_of=("cka", "separability", "distances"))
def tables(run: Run) -> list[Table]:
    """CKA first, then what is known of each kind of features."""
    cka = run.result.get("cka")
    found = [_cka(cka)] if isinstance(cka, Mapping) else []
    models: dict[str, list[Part]] = {}
    for part in run.parts:
        if part.get("separability"):
            models.setdefault(" · ".join(str(part.get(key)) for key in ("model", "view", "precision")), []).append(part)
    for name, parts in models.items():
        found.append(
            _separability(run.subject(parts[0]), parts[0]["separability"]) if len(parts) == 1 else _taps(name, parts)
        )
    return [*found, *(_distances(run.subject(part), part["distance"]) for part in run.parts if part.get("distance"))]


def matrix(names: Sequence[str], pairs: Sequence[Part], value: str, own: str) -> list[list[str]]:
    """Rows of a symmetric matrix, intervals above the diagonal where they fit, and `own` on it."""
    at = {frozenset((pair["a"], pair["b"])): pair for pair in pairs if pair["a"] != pair["b"]}
    rows = []
    for i, a in enumerate(names):
        row = [a]
        for j, b in enumerate(names):
            pair = at.get(frozenset((a, b)), {})
            interval = pair.get(f"{value}_ci") if j > i and len(names) <= WIDEST else None
            row.append(own if i == j else estimate(pair.get(value), interval))
        rows.append(row)
    return rows


def _cka(found: Part) -> Table:
    short, axis = short_names(found["names"])
    names = list(short.values())
    pairs = [{**pair, "a": short[pair["a"]], "b": short[pair["b"]]} for pair in found["pairs"]]
    caption = (
        f"Linear CKA (debiased) between features of the same {number(found['n'])} images of "
        f"{number(found['n_groups'])} groups{_brackets(names)}."
    )
    return table("cka", caption, [axis, *names], matrix(names, pairs, "cka", number(1.0)), axis=axis)


def _separability(name: str, found: Part) -> Table:
    classes = found["classes"]
    trial = found["settings"]["trial"]
    n = [count for pair in found["pairs"] for count in (pair["n_a"], pair["n_b"]) if is_number(count)]
    counted = f" n = {number(min(n))} to {number(max(n))} images of a generator." if n else ""
    caption = (
        f"AUC of a {trial['probe']} probe between every two generators in {name}, {found['evaluation']}"
        f"{_brackets(classes)}.{counted}"
    )
    rows = matrix(classes, found["pairs"], "auc", "–")
    return table(f"separability-{name}", caption, ["generator", *classes], rows, axis="generator")


def _taps(name: str, parts: Sequence[Part]) -> Table:
    """Pairs of generators down and taps across."""
    rows = []
    for place, first in enumerate(parts[0]["separability"]["pairs"]):
        pairs = [part["separability"]["pairs"][place] for part in parts]
        ends = [pair.get("auc_ci") if len(parts) <= WIDEST else None for pair in pairs]
        values = [estimate(pair["auc"], interval) for pair, interval in zip(pairs, ends, strict=True)]
        rows.append([f"{first['a']}, {first['b']}", *values])
    found = parts[0]["separability"]
    caption = f"AUC of a {found['settings']['trial']['probe']} probe between every two generators in taps of {name}, "
    caption += f"{found['evaluation']}" + ("; in brackets 95 % intervals over groups." if len(parts) <= WIDEST else ".")
    return table(
        f"separability-{name}", caption, ["generators", *(str(part["tap"]) for part in parts)], rows, axis="tap"
    )


def _distances(name: str, found: Part) -> Table:
    rows: list[list[object]] = []
    for pair in found["pairs"]:
        which = f"halves of {pair['a']}" if pair["a"] == pair["b"] else f"{pair['a']}, {pair['b']}"
        few = "" if pair["enough"] else "*"
        rows.append(
            [
                which,
                f"{number(pair['n_a'])} + {number(pair['n_b'])}",
                f"{number(pair['fd'])}{few}",
                estimate(pair["fd_inf"], pair.get("fd_inf_ci")),
                estimate(pair["kid"], pair.get("kid_ci")),
                estimate(pair["mmd"], pair.get("mmd_ci")),
            ]
        )
    starred = " *: no more groups than columns." if any(not pair["enough"] for pair in found["pairs"]) else ""
    caption = (
        f"Distances of generators in {name} ({found['settings']['condition']}, {number(found['width'])} columns): "
        "Fréchet distance, the same extrapolated to infinitely many images, and unbiased squared MMD with the "
        "polynomial kernel (KID) and a Gaussian one of median width; in brackets 95 % intervals over groups."
        f"{starred}"
    )
    columns = ["generators", "n", "Fréchet", "Fréchet, n → ∞", "MMD² (KID)", "MMD² (Gaussian)"]
    return table(f"distances-{name}", caption, columns, rows)


def _brackets(names: Sequence[str]) -> str:
    return "; above the diagonal with 95 % intervals over groups" if len(names) <= WIDEST else ""
