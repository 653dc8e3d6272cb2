"""What `probekit compare` prints."""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from probekit_cli import output, tables

if TYPE_CHECKING:
    import pandas as pd

    from probekit.comparison import CkaResult, DistanceResult, SeparabilityResult
    from probekit.features import FeatureSet
    from probekit_cli.questions import Session

MATRIX = 16
"""Features or generators up to which a matrix is printed, not only drawn and kept as a table."""
ROWS = 45
"""Pairs up to which each is a row of a printed table."""
FEW_ANSWERS = 6
"""Kinds of features up to which the table of each is printed; of more, what it says in words."""


def cka(session: "Session", result: "CkaResult") -> None:
    """The matrix, or where it is, and the pairs at both ends."""
    title = f"Linear CKA, debiased · {result.n} samples of {result.n_groups} groups"
    if len(result.names) <= MATRIX:
        table = partial(tables.print_matrix, result.matrix(), "features", title=title)
    else:
        table = partial(_say, [f"{title}: {len(result.pairs)} pairs, in tables/cka.csv"])
    _paragraph(session, table, result.verdicts, result.notes)


def separability(session: "Session", features: "FeatureSet", result: "SeparabilityResult") -> None:
    """The AUC of every two generators in one kind of features; of several taps, they follow as a table."""
    title = f"Separability · {features.title} · AUC, {result.settings.trial.probe}, {result.evaluation}"
    table = partial(tables.print_matrix, result.matrix(), "generator", title=title, styles=tables.score_style)
    printed = len(result.classes) <= MATRIX and session.count <= FEW_ANSWERS
    _paragraph(session, table if printed else None, _named(features, result), result.notes)


def separability_over_taps(session: "Session", found: "Sequence[tuple[FeatureSet, SeparabilityResult]]") -> None:
    """Pairs down and taps across, for each model with several taps."""
    from probekit_cli.compare.pictures import by_model

    for title, points in by_model(found).items():
        if points["tap"].nunique() > 1 and points["series"].nunique() <= ROWS:
            table = points.pivot(index="series", columns="tap", values="value")
            table = table.loc[list(dict.fromkeys(points["series"])), list(dict.fromkeys(points["tap"]))]
            heading = f"Separability by tap · {title}"
            styles = tables.score_style
            session.show(partial(tables.print_matrix, table, "pair ↓  tap →", title=heading, styles=styles))


def distances(session: "Session", features: "FeatureSet", result: "DistanceResult") -> None:
    """A row a pair, halves of each generator last; with many pairs the figures and the table are enough."""
    title = f"Distances · {features.title} · {result.settings.condition}, {result.width} columns · 95 % intervals"
    table = partial(tables.print_table, _distance_table(result.pairs), title=title)
    printed = len(result.pairs) <= ROWS and session.count <= FEW_ANSWERS
    _paragraph(session, table if printed else None, _named(features, result), result.notes)


def _distance_table(pairs: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    rows = []
    for row in pairs.to_dict("records"):
        halves = row["a"] == row["b"]
        name = f"halves of {row['a']}" if halves else f"{row['a']}, {row['b']}"
        flag = "" if row["enough"] else " (groups ≤ d)"
        rows.append(
            {
                "generators": name,
                "n": f"{row['n_a']} + {row['n_b']}",
                "Fréchet": f"{number(row['fd'])}{flag}",
                "Fréchet, n → ∞": _cell(row, "fd_inf"),
                "MMD² (KID)": _cell(row, "kid"),
                "MMD² (Gaussian)": _cell(row, "mmd"),
            }
        )
    return pd.DataFrame(rows)


def _cell(row: "Mapping[Hashable, Any]", name: str) -> str:
    value, low, high = (row[key] for key in (name, f"{name}_lo", f"{name}_hi"))
    return number(value) if math.isnan(low) else f"{number(value)} [{number(low)}, {number(high)}]"


def number(value: float) -> str:
    """`0.041`, `12.3`, `1,234`; `–` where it is undefined."""
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _named(features: "FeatureSet", result: "SeparabilityResult | DistanceResult") -> list[str]:
    return [f"{features.name}: {verdict}" for verdict in result.verdicts]


def _paragraph(
    session: "Session", table: Callable[[], None] | None, verdicts: Sequence[str], notes: Sequence[str]
) -> None:
    """A table, what it says in words, and what a reader must know."""

    def show() -> None:
        if table is not None:
            table()
        _say(verdicts)

    if table is not None or verdicts:
        session.show(show)
    for note in notes:
        session.remark(f"note: {note}")


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        output.stdout().print(output.printable(line), markup=False, soft_wrap=True)
