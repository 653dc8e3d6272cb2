"""Questions beyond one gallery: a projection, every generator left out in turn, and few registered examples."""

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from probekit_cli import tables
from probekit_cli.retrieve import shown

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.retrieval import Comparison, LeaveOneOut, ShotCurve
    from probekit_cli.questions import Session

Record = Mapping[str, Any]

MEASURES = {"auroc": "AUROC", "oscr": "OSCR", "ccr_at_fpr05": "CCR@FPR5", "tnr_at_tpr95": "TNR@TPR95"}


def projected(session: "Session", features: "FeatureSet", compared: "Comparison") -> dict[str, Any]:
    """What the projection gains, beside the raw features."""
    kind = str(compared.projected.projection[0]["kind"])
    session.table("gains", compared.gains, features, {"projection": kind})
    session.table("queries_projected", compared.projected.queries, features, {"projection": kind})
    title = f"Projected by {kind} · {features.title} · with the interval of the difference under the same draws"
    session.show(partial(tables.print_table, _intervals(compared.gains), title=title))
    for record in compared.projected.projection:
        session.remark(f"note: {kind}, {record['dimension']} columns, was learned from {_taught(record)}.")
        session.remark(f"note: {_descent(record)}")
    for note in compared.projected.notes:
        if note not in compared.raw.notes:
            session.remark(f"note: projected: {note}")
    return {"projected": compared.projected.to_json(), "gains": compared.to_json()}


def each(session: "Session", features: "FeatureSet", found: "LeaveOneOut") -> dict[str, Any]:
    """The open set with each generator in turn unregistered."""
    session.table("leave_one_out", found.table, features)
    session.table("leave_one_out_scores", found.scores, features)
    for pool in ("unregistered", "real"):
        rows = found.table[found.table["pool"] == pool]
        if len(rows):
            mean = found.mean[found.mean["pool"] == pool].assign(unknown="mean")
            _show_left_out(session, features, rows, mean, pool)
    if len(found.gains):
        session.table("leave_one_out_gains", found.gains, features)
        title = f"Gain of the projection by generator left out · {features.title}"
        session.show(partial(tables.print_table, _intervals(found.gains), title=title))
    heading = f"Means over the generators left out · {features.title}"
    session.show(partial(tables.print_table, _means(found.mean), title=heading))
    return {"leave_one_out": found.to_json()}


def shots(
    session: "Session", features: "FeatureSet", seeds: int, found: "ShotCurve", counts: "pd.Series[int]"
) -> dict[str, Any]:
    """Rank-1 and DIR by registered examples of each generator, as a table and as curves; counts: all there are."""
    import pandas as pd

    from probekit import figures
    from probekit.protocols import EVERY

    session.table("shots", found.table, features)
    session.table("shot_draws", found.draws, features)
    title = f"By registered examples · {features.title}"
    points = found.table.rename(columns={"measure": "series"})
    points["shots"] = [EVERY if name == EVERY else int(name) for name in map(str, points["shots"])]
    points["spread"] = points["spread"].fillna(0.0)
    points = points[points.groupby("series")["value"].transform("count") > 0]
    measured = points[points["fpir"].notna()]
    measured = measured.assign(
        beside=measured["series"],
        series=measured["series"].str.replace("DIR@", "measured FPIR of DIR@"),
        value=measured["fpir"],
        spread=0.0,
    )
    points = pd.concat([points.assign(beside=""), measured], ignore_index=True)
    every = _spell_all(counts)
    axis = "registered examples of each generator and domain"
    drawn = figures.shot_curves(points, title=title, value_name="rate", chance=None, shots_axis=axis, all_name=every)
    session.figure("shots", drawn, f"{title}: Rank-1, and DIR with the measured FPIR (dashed).", features)
    cells = found.table.assign(cell=[_cell(*row) for row in found.table[["measure", "value", "fpir"]].to_numpy()])
    columns, measures = (list(dict.fromkeys(cells[name])) for name in ("shots", "measure"))
    table = cells.pivot(index="measure", columns="shots", values="cell").loc[measures, columns]
    heading = f"{title} · mean over {seeds} draws · DIR at FPIR (as measured)"
    session.show(partial(tables.print_matrix, table, "measure ↓  examples →", title=heading))
    rows = found.table[found.table["measure"] == "Rank-1"]
    numbers = (f"{name}: {n:.0f} in {g:.0f}" for name, n, g in rows[["shots", "n_queries", "n_gallery"]].to_numpy())
    session.remark(f"queries scored in registered images, by examples: {', '.join(numbers)}")
    return {"shots": found.to_json()}


def _spell_all(counts: "pd.Series[int]") -> str:
    """`all (125)`, `all (40–125)`: how many that is of each generator."""
    registered = counts[counts > 0]
    low, high = registered.min(), registered.max()
    return f"all ({low})" if low == high else f"all ({low}–{high})"


def _show_left_out(
    session: "Session", features: "FeatureSet", rows: "pd.DataFrame", mean: "pd.DataFrame", pool: str
) -> None:
    import pandas as pd

    several = rows["features"].nunique() > 1
    every = pd.concat([rows, mean], ignore_index=True)
    dirs = [name for name in map(str, rows) if name.startswith("dir@")]
    table = pd.DataFrame({"left out": every["unknown"]})
    if several:
        table["features"] = every["features"]
    points = table.copy()
    for name, heading in (("n_enrolled_rows", "N"), ("n_mated", "mated"), ("n_non_mated", "non-mated")):
        table[heading] = ["" if pd.isna(value) else f"{value:.0f}" for value in every[name]]
    for name, heading in MEASURES.items():
        table[heading] = every[name]
    for name in dirs:
        fpirs = every[name.replace("dir", "fpir")]
        points[name.upper()] = [shown.at_fpir(*pair) for pair in zip(every[name], fpirs, strict=True)]
    against = "the generator left out" if pool == "unregistered" else "real images"
    title = f"Each generator unregistered in turn · {features.title} · against {against}"
    session.show(partial(tables.print_table, table, title=title))
    session.show(partial(tables.print_table, points, title="DIR at FPIR (as measured)"))


def _means(mean: "pd.DataFrame") -> "pd.DataFrame":
    """What the generators have in common: a row a pool and kind of features."""
    table = mean[["pool", "features", "n", *MEASURES]].rename(columns={"pool": "against", **MEASURES})
    for name in (str(name) for name in mean if str(name).startswith("dir@")):
        fpirs = mean[name.replace("dir", "fpir")]
        table[name.upper()] = [shown.at_fpir(*pair) for pair in zip(mean[name], fpirs, strict=True)]
    return table


def _intervals(gains: "pd.DataFrame") -> "pd.DataFrame":
    """The gains with their intervals in one column."""
    spelled = [
        "–" if math.isnan(low) else f"{low:+.3f} … {high:+.3f}"
        for low, high in gains[["gain_lo", "gain_hi"]].to_numpy()
    ]
    table = gains.drop(columns=["gain_lo", "gain_hi", "outside"]).assign(**{"95 %": spelled})
    table["beyond 0"] = ["–" if outside is None else ("no", "yes")[outside] for outside in gains["outside"]]
    return table


def _cell(measure: str, value: float, fpir: float) -> str:
    return f"{value:.3f}" if measure == "Rank-1" else shown.at_fpir(value, fpir)


def _taught(record: Record) -> str:
    return f"{record['n_rows']} registered rows of {', '.join(map(str, record['classes']))}"


def _descent(record: Record) -> str:
    """How the projection was found, and whether it has converged."""
    kind, taken = record["kind"], record.get("steps_taken")
    if taken is None:
        return f"{kind} in closed form, shrinkage {record['shrinkage']:g}."
    if record["held_out_loss"] is None:
        return f"{kind}: no groups could be held out; stopped after {taken} steps, not known to have converged."
    before, after = record["held_out_loss_first"], record["held_out_loss"]
    end = "converged" if record["converged"] else f"NOT CONVERGED within {taken} steps"
    held = f"loss on {record['n_held_out']} held-out rows {before:.3f} → {after:.3f}"
    return f"{kind} {end}: {held} at step {record['best_step']}."
