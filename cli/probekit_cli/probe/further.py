"""Questions beyond the matrix: how many training images, which ensemble, which perturbation."""

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from probekit_cli import output, tables
from probekit_cli.probe import matrix, saved, shown
from probekit_cli.probe.asked import Asked
from probekit_cli.probe.overview import Overview

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.pairs import PairSettings, Robustness, ShotCurve
    from probekit.pairs.ensembles import Ensemble
    from probekit_cli.questions import Session

MOST_CURVES = 5  # lines that can be told apart in one panel


def shots(session: "Session", features: "FeatureSet", settings: "PairSettings", found: "ShotCurve", named: str) -> None:
    """AUC by training images of each generator, as a table and as curves."""
    from probekit import figures

    for number, result in found.results.items():
        session.answer({"shots": number, **result.to_json()}, features)
    session.table("shots", found.table, features, {"task": "binary", "probe": settings.probe})
    oracle = any(result.oracle for result in found.results.values())
    title = f"AUC by shots · {shown.subject(features, next(iter(found.results.values())))}"
    axis = "training images of each generator"
    points = _points(found)
    legend = "tested on" if "panel" in points else "trained on, mean over tests"
    drawn = figures.shot_curves(points, title=title, shots_axis=axis, oracle=oracle, legend_title=legend)
    session.figure(f"shots{named}", drawn, f"{shown.stamped(title, oracle)}.", features)
    table = found.table.pivot_table(index=["train", "test"], columns="shots", values="auc", sort=False)
    table.index = [" → ".join(pair) for pair in table.index]
    heading = shown.stamped(title, oracle)
    session.show(lambda: tables.print_matrix(table, "train → test", title=heading, styles=tables.score_style))
    shown.notes(session, _notes(found))


def _notes(found: "ShotCurve") -> tuple[str, ...]:
    """The notes of all numbers of shots, each once, with the numbers that it is about."""
    about: dict[str, list[str]] = {}
    for number, result in found.results.items():
        for note in result.notes:
            about.setdefault(note, []).append(number)
    every = len(found.results)
    return tuple(
        note if len(numbers) == every else f"shots {', '.join(numbers)}: {note}" for note, numbers in about.items()
    )


def _points(found: "ShotCurve") -> "pd.DataFrame":
    """Points of the curves: a panel a training set where tests are few, else one line each, the mean over tests."""
    from probekit.protocols import EVERY

    table = found.table.rename(columns={"auc": "value", "train": "panel", "test": "series"})
    table["spread"] = table.get("auc_sd", 0.0)
    if table["series"].nunique() > MOST_CURVES:
        table = table.groupby(["panel", "shots"], sort=False, as_index=False)[["value", "spread"]].mean()
        table = table.rename(columns={"panel": "series"})
    table["shots"] = [number if number == EVERY else int(number) for number in table["shots"]]
    return table[[column for column in ("panel", "series", "shots", "value", "spread") if column in table]]


def ensemble(
    overview: Overview,
    asked: Asked,
    features: "FeatureSet",
    settings: "PairSettings",
    found: "Ensemble",
    named: str,
) -> None:
    """Each kind of features alone, side by side, fused late, and what was gained."""
    from probekit import figures
    from probekit.pairs import pair_matrix

    session = overview.session
    for number, single in enumerate(found.singles):
        own = replace(features, sources=(features.sources[number],), blocks=(features.blocks[number],))
        matrix.record(overview, asked, own, single, named)
    matrix.record(overview, asked, features, found.together, f"-side-by-side{named}")
    matrix.record(overview, asked, features, found.fused, f"-late-fusion{named}")
    session.answers[-1]["gains"] = found.to_json()
    session.table("gains", found.gains, features, {"task": "binary", "probe": settings.probe})
    oracle, evaluation = found.together.oracle, found.together.selection["evaluation"]
    subject = f"{features.title}, {settings.probe}, {evaluation}"
    for kind, rows in found.gains.groupby("ensemble", sort=False):
        title = f"AUC gained by {kind} over the best single kind · {subject}"
        gain = pair_matrix(rows, "gain")
        framed = pair_matrix(rows.assign(certain=rows["outside"].eq(True)), "certain")
        drawn = figures.difference_matrix(gain, title=title, value_name="AUC gained", certain=framed, oracle=oracle)
        about = "best on held-out samples of the training side; framed: the 95 % interval excludes 0"
        caption = f"{shown.stamped(title, oracle)} ({about})."
        session.figure(f"gain-{str(kind).replace(' ', '-')}{named}", drawn, caption, features)
        heading, table = shown.stamped(title, oracle), _gains(rows)
        session.show(partial(tables.print_matrix, table, "train → test", title=heading))
    if known := int(found.gains["gain_lo"].notna().sum()):
        certain = int(found.gains["outside"].eq(True).sum())
        session.remark(f"{output.count(known, 'gain')} with a 95 % interval: {certain} of them exclude 0")
    else:
        session.remark("note: no gain has an interval: too few groups, or none was asked for.")


def _gains(table: "pd.DataFrame") -> "pd.DataFrame":
    """What is printed of the gains of one ensemble, a pair a row."""
    columns = {"best_single": "best single", "auc_single": "its auc", "auc": "auc", "gain": "gain"}
    columns |= {"gain_lo": "gain_lo", "gain_hi": "gain_hi"} if table["gain_lo"].notna().any() else {}
    return table.set_axis(table["train"] + " → " + table["test"])[list(columns)].rename(columns=columns)


def robustness(
    session: "Session",
    asked: Asked,
    features: "FeatureSet",
    settings: "PairSettings",
    found: "Robustness",
    named: str,
) -> None:
    """The same probes on perturbed images, one table a training set."""
    from probekit import figures

    session.answer({**found.clean.to_json(), "robustness": found.to_json()}, features)
    labels = {"task": "binary", "probe": settings.probe}
    session.table("robustness", found.table, features, labels)
    session.table("pairs", found.clean.pairs, features, labels)
    for train, rows in found.table.groupby("train", sort=False):
        wide = rows.pivot(index="test", columns="perturb", values="auc")
        wide = wide.loc[rows["test"].unique(), rows["perturb"].unique()]
        title = f"AUC under perturbation, trained on clean {train} · {shown.subject(features, found.clean)}"
        drawn = figures.robustness(wide, title=title, oracle=found.clean.oracle)
        session.figure(f"robustness-{train}{named}", drawn, f"{shown.stamped(title, found.clean.oracle)}.", features)
        shown.robustness(session, wide, shown.stamped(title, found.clean.oracle))
    saved.keep(session, asked, features, found.clean)
    shown.notes(session, found.notes)
