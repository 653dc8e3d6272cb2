"""What one train/test matrix leaves in a run."""

from typing import TYPE_CHECKING

from probekit_cli.probe import pictures, saved, shown
from probekit_cli.probe.overview import Overview

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult

TABLES = {"pairs": "pairs", "macro": "macro", "transfer": "threshold_transfer", "scores": "scores"}
"""Table of the result → name of its file."""


def record(overview: Overview, asked: saved.Kept, features: "FeatureSet", result: "PairResult", named: str) -> None:
    """Its numbers, its pictures and its probes, and what is printed of it.

    Args:
        overview: of all answers.
        asked: the options.
        features: what the probes saw.
        result: the matrix.
        named: what tells its pictures from those of another matrix of the same features.
    """
    session = overview.session
    labels = {"task": "binary", "probe": result.settings.probe}
    labels |= {"ensemble": result.source["ensemble"]} if "ensemble" in result.source else {}
    labels |= {"project": result.settings.project} if result.settings.project else {}
    session.answer(result.to_json(), features)
    for table, name in TABLES.items():
        if len(rows := getattr(result, table)):
            session.table(name, rows, features, labels)
    saved.keep(session, asked, features, result)
    if asked.curves:
        pictures.curves(session, features, result, named)
    overview.add_pairs(features, result)
    if overview.brief:
        return
    title = f"AUC · {shown.subject(features, result)}"
    _draw(overview, features, result, title, named)
    shown.matrix(session, result.matrix("auc"), result, title)


def _draw(overview: Overview, features: "FeatureSet", result: "PairResult", title: str, named: str) -> None:
    from probekit import figures
    from probekit.pairs import pair_matrix

    drawn = figures.matrix(result.matrix("auc"), title=title, counts=result.matrix("n_test"), oracle=result.oracle)
    caption = f"{shown.stamped(title, result.oracle)}: trained on the row's generators, tested on the column's."
    overview.session.figure(f"auc{named}", drawn, caption, features)
    if not len(result.transfer):
        return
    about = f"Change of balanced accuracy by a threshold from elsewhere · {shown.subject(features, result)}"
    change = -pair_matrix(result.transfer, "loss_to_best")
    value_name = "change against the best threshold"
    drawn = figures.difference_matrix(change, title=about, value_name=value_name, oracle=result.oracle)
    caption = f"{shown.stamped(about, result.oracle)}: EER threshold of the row's generators."
    overview.session.figure(f"threshold-transfer{named}", drawn, caption, features)
