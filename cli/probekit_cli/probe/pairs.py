"""The binary task: who is asked, what is recorded, what is shown."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from probekit_cli import output, questions
from probekit_cli.probe import pictures, saved
from probekit_cli.probe.asked import Asked

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.pairs import PairResult, PairSettings, Robustness, ShotCurve
    from probekit.pairs.ensembles import Ensemble

FEW = 10  # images of a class below which a cell says little

OnProgress = Callable[[int, int], None]


def answer(session: questions.Session, asked: Asked, every: "Sequence[PairSettings]", show: OnProgress) -> None:
    """Every question, of every feature reference."""
    from probekit.pairs import choose_features, score_pairs

    found: list[tuple[FeatureSet, PairResult]] = []
    rounds = len(every) * session.count
    for number, (features, settings) in enumerate(
        (features, settings) for features in (session.feature_sets() if every else ()) for settings in every
    ):
        progress = partial(_round, show, number, rounds)
        named = f"-{settings.probe}" if len(every) > 1 else ""
        if asked.shots:
            _shots(session, asked, features, settings, progress, named)
        elif asked.fuse:
            _ensemble(session, asked, features, settings, progress, named)
        elif asked.perturbed:
            _robustness(session, asked, features, settings, progress, named)
        else:
            result = score_pairs(features, settings, device=asked.device, on_progress=progress)
            found.append((features, result))
            if not asked.choose_features:
                _record(session, asked, features, result, named)
    if asked.choose_features and every:
        for settings in every:
            own = [(features, result) for features, result in found if result.settings == settings]
            chosen = choose_features([result for _, result in own])
            _record(session, asked, own[0][0], chosen, f"-chosen-{settings.probe}")
    _layers(session, found)


def _round(show: OnProgress, number: int, rounds: int, done: int, total: int) -> None:
    show(number * total + done, rounds * total)


def _record(
    session: questions.Session, asked: Asked, features: "FeatureSet", result: "PairResult", named: str = ""
) -> None:
    """Everything that one matrix leaves in the run, and what is shown of it."""
    from probekit import figures
    from probekit.pairs import pair_matrix

    labels = {"task": "binary", "probe": result.settings.probe}
    labels |= {"ensemble": result.source["ensemble"]} if "ensemble" in result.source else {}
    session.answer(result.to_json(), features)
    for name in ("pairs", "macro", "transfer", "scores"):
        if len(table := getattr(result, name)):
            session.table(name if name != "transfer" else "threshold_transfer", table, features, labels)
    auc, counts = result.matrix("auc"), result.matrix("n_test")
    title = f"AUC · {_subject(features, result)}"
    caption = f"{title}: trained on the row's generators, tested on the column's."
    drawn = figures.matrix(auc, title=title, counts=counts, oracle=result.oracle)
    session.figure(f"auc{named}", drawn, caption, features)
    if len(result.transfer):
        cost = f"Balanced accuracy lost by a threshold from elsewhere · {_subject(features, result)}"
        drawn = figures.difference_matrix(
            -pair_matrix(result.transfer, "loss_to_best"), title=cost, value_name="balanced accuracy, less the best"
        )
        session.figure(f"threshold-transfer{named}", drawn, f"{cost}: EER threshold of the row's generators.", features)
    if asked.curves:
        pictures.curves(session, features, result, named)
    saved.keep(session, asked, features, result)
    session.show(lambda: show_pairs(auc, result, title))
    notes(result.notes)


def show_pairs(auc: "pd.DataFrame", result: "PairResult", title: str) -> None:
    """The matrix, and what a reader should be warned of."""
    output.print_table(auc, title=title, styles=output.score_style, corner="train ↓  test →")
    pairs = result.pairs
    smallest = int(pairs[["n_real", "n_fake"]].to_numpy().min())
    what = "videos" if "n_frames" in pairs else "images"
    text = f"n per cell: {pairs['n_test'].min()} to {pairs['n_test'].max()} {what}, at least {smallest} of each class"
    if result.settings.seeds > 1:
        text += f"; means over {result.settings.seeds} seeds, spread of the AUC up to {pairs['auc_sd'].max():.3f}"
    output.remark(text)
    if smallest < FEW:
        output.remark(
            f"note: fewer than {FEW} {what} of a class: such a cell says little; intervals are in the tables."
        )
    if (pairs["auc"] < 0.4).any():
        output.remark("note: an AUC below .5 is an inverted score: these fakes look more real than the real images.")


def notes(lines: "Sequence[str]") -> None:
    """Remarks that belong to the numbers."""
    for line in lines:
        output.remark(f"note: {line}")


def _shots(
    session: questions.Session,
    asked: Asked,
    features: "FeatureSet",
    settings: "PairSettings",
    progress: OnProgress,
    named: str,
) -> None:
    from probekit import figures
    from probekit.pairs import parse_shots, score_shots

    found = score_shots(features, settings, parse_shots(asked.shots or ""), device=asked.device, on_progress=progress)
    for shots, result in found.results.items():
        session.answer({"shots": shots, **result.to_json()}, features)
    session.table("shots", found.table, features, {"task": "binary", "probe": settings.probe})
    title = f"AUC by shots · {features.title}, mean over {settings.seeds} seeds ± standard deviation"
    drawn = figures.shot_curves(_shot_points(found), title=title, shots_axis="training images of each generator")
    session.figure(f"shots{named}", drawn, f"{title}.", features)
    table = found.table.pivot_table(index=["train", "test"], columns="shots", values="auc", sort=False)
    table.index = [" → ".join(pair) for pair in table.index]
    session.show(lambda: output.print_table(table, title=title, styles=output.score_style, corner="train → test"))
    notes(dict.fromkeys(note for result in found.results.values() for note in result.notes))  # type: ignore[arg-type]  # a dict is ordered


def _shot_points(found: "ShotCurve") -> "pd.DataFrame":
    """Points of the curves: every pair where they are few, else the mean over pairs of each training set."""
    from probekit.pairs.shots import EVERY

    table = found.table.assign(series=found.table["train"] + " → " + found.table["test"], value=found.table["auc"])
    table["spread"] = table.get("auc_sd", 0.0)
    if table["series"].nunique() > 9:
        table["series"] = table["train"] + " → mean over tests"
        table = table.groupby(["series", "shots"], sort=False, as_index=False)[["value", "spread"]].mean()
    table["shots"] = [shots if shots == EVERY else int(shots) for shots in table["shots"]]
    return table[["series", "shots", "value", "spread"]]


def _ensemble(
    session: questions.Session,
    asked: Asked,
    features: "FeatureSet",
    settings: "PairSettings",
    progress: OnProgress,
    named: str,
) -> None:
    from probekit import figures
    from probekit.pairs import pair_matrix, score_ensemble

    found: Ensemble = score_ensemble(features, settings, device=asked.device, on_progress=progress)
    for number, single in enumerate(found.singles):
        own = replace(features, sources=(features.sources[number],), blocks=(features.blocks[number],))
        _record(session, asked, own, single, named)
    _record(session, asked, features, found.together, f"-side-by-side{named}")
    _record(session, asked, features, found.fused, f"-late-fusion{named}")
    session.answers[-1]["gains"] = found.to_json()
    session.table("gains", found.gains, features, {"task": "binary", "probe": settings.probe})
    for kind, rows in found.gains.groupby("ensemble", sort=False):
        title = f"AUC gained by {kind} over the best single kind · {features.title}"
        drawn = figures.difference_matrix(pair_matrix(rows, "gain"), title=title, value_name="AUC gained")
        slug = str(kind).replace(" ", "-")
        session.figure(f"gain-{slug}{named}", drawn, f"{title} (best on held-out training samples).", features)
    shown = found.gains[["train", "test", "ensemble", "best_single", "auc_single", "auc", "gain", "gain_lo", "gain_hi"]]
    certain = int(found.gains["outside"].sum())
    session.show(lambda: output.print_table(shown, title=f"Ensembles · {features.title}"))
    session.show(
        lambda: output.remark(
            f"{certain} of {len(shown)} differences have a 95 % interval that excludes 0 (n in pairs)"
        )
    )


def _robustness(
    session: questions.Session,
    asked: Asked,
    features: "FeatureSet",
    settings: "PairSettings",
    progress: OnProgress,
    named: str,
) -> None:
    from probekit import figures
    from probekit.pairs import score_robustness

    variants = session.perturbed(features, asked.perturbed or "")
    found: Robustness = score_robustness(features, variants, settings, device=asked.device, on_progress=progress)
    session.answer({**found.clean.to_json(), "robustness": found.to_json()}, features)
    labels = {"task": "binary", "probe": settings.probe}
    session.table("robustness", found.table, features, labels)
    session.table("pairs", found.clean.pairs, features, labels)
    for train, rows in found.table.groupby("train", sort=False):
        wide = rows.pivot(index="test", columns="perturb", values="auc")
        wide = wide.loc[rows["test"].unique(), rows["perturb"].unique()]
        title = f"AUC under perturbation, trained on clean {train} · {features.title}"
        drawn = figures.robustness(wide, title=title)
        session.figure(f"robustness-{train}{named}", drawn, f"{title}.", features)
        session.show(
            partial(output.print_table, wide, title=title, styles=output.score_style, corner="test ↓  perturbation →")
        )
    saved.keep(session, asked, features, found.clean)
    notes(found.notes)


def _layers(session: questions.Session, found: "Sequence[tuple[FeatureSet, PairResult]]") -> None:
    """The macro mean over test generators by tap, where several taps of one model were asked."""
    import pandas as pd

    from probekit import figures

    tables = [
        result.macro.assign(
            tap=result.source["tap"],
            key=f"{result.source['model']} · {result.source['view']}",
            probe=result.settings.probe,
        )
        for _, result in found
    ]
    if not tables:
        return
    for (key, probe), rows in pd.concat(tables, ignore_index=True).groupby(["key", "probe"], sort=False):
        if rows["tap"].nunique() < 3:
            continue
        own = rows[rows["over"] == "all"]
        points = own.rename(columns={"train": "series", "auc": "value"})[["series", "tap", "value"]]
        title = f"AUC by tap, mean over test generators · {key}, {probe}"
        oracle = any(result.oracle for _, result in found)
        name = "-".join(("layers", str(key).replace(" · ", "-"), str(probe)))
        session.run.figure(name, figures.layer_curves(points, title=title, oracle=oracle), f"{title}.")


def _subject(features: "FeatureSet", result: "PairResult") -> str:
    words = [features.title if result.source["tap"] != "chosen" else "features chosen by selection loss"]
    words += [result.source["ensemble"]] if "ensemble" in result.source else []
    words += [result.settings.probe] if result.settings.probe != "logistic" else []
    return ", ".join([*words, str(result.selection["evaluation"])])
