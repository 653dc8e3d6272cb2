"""What `probekit retrieve` draws: first neighbours, rank curves, pools, DET curves and contact sheets."""

from dataclasses import replace
from typing import TYPE_CHECKING

from probekit_cli import thumbnails

if TYPE_CHECKING:
    import numpy as np

    from probekit.features import FeatureSet
    from probekit.figures import Thumbnail
    from probekit.retrieval import Comparison, RetrievalResult, SheetRow
    from probekit.samples import Samples
    from probekit_cli.questions import Session

FPIR = 0.05  # whose thresholds are drawn into the histograms: the one that the fewest searches resolve
SIDE = 260  # pixels of a thumbnail: 1.3 inches at 200 dots


def draw(session: "Session", features: "FeatureSet", result: "RetrievalResult", compared: "Comparison | None") -> None:
    """All pictures of one answer that need no image; with a projection, its curves beside the raw ones."""
    from probekit import figures

    name = features.title
    caption = f"{features.name}: queries by their generator (row) and that of their first neighbour (column)."
    drawn = figures.confusion(
        result.neighbours,
        title=f"First neighbours · {name}",
        true_axis="generator of the query",
        answer_axis="generator of the first neighbour",
    )
    session.figure("neighbours", drawn, caption, features)
    answers = {"": result} if compared is None else {"raw": compared.raw, _kind(compared): compared.projected}
    _rank_curves(session, features, answers)
    _det_curves(session, features, answers)
    if len(result.scores):
        pools = {str(pool): rows["score"].to_numpy() for pool, rows in result.scores.groupby("pool", sort=False)}
        thresholds = {
            f"FPIR {point.fpir:g} · {pool.pool}": (pool.pool, point.threshold)
            for pool in result.open
            for point in pool.points
            if point.fpir == FPIR and point.threshold is not None
        }
        drawn = figures.histograms(pools, title=f"Open set · {name}", thresholds=thresholds, most=1.0)
        session.figure("pools", drawn, f"{features.name}: similarity of the nearest registered image.", features)


def contact_sheet(session: "Session", features: "FeatureSet", result: "RetrievalResult") -> None:
    """Queries whose first neighbour is right and wrong, with their nearest registered images."""
    from probekit import figures
    from probekit.retrieval import contact_rows
    from probekit.samples import Samples

    sheet = contact_rows(result, seed=result.settings.seed)
    samples = Samples.of_rows(replace(session.where.manifest, table=features.samples))
    rows = [_sheet_row(row, samples) for row in sheet.rows]
    title = f"Queries and their nearest registered images · {features.title}"
    remark = "of each generator a first neighbour that is right and one that is wrong, no fair sample"
    session.figure("sheet", figures.contact_sheet(rows, title=title), f"{features.name}: {remark}.", features)


def _rank_curves(session: "Session", features: "FeatureSet", answers: "dict[str, RetrievalResult]") -> None:
    import pandas as pd

    from probekit import figures

    tables = []
    for name, answer in answers.items():
        by = f"class, {answer.settings.class_rank}"
        level = answer.rank_curve["level"].map({"item": "image", "class": by})
        tables.append(answer.rank_curve.assign(series=f"{name} · " * bool(name) + level, kind=level))
    table = pd.concat(tables, ignore_index=True)
    drawn = figures.rank_curves(table, title=f"Rank curves · {features.title}")
    session.figure("ranks", drawn, f"{features.name}: queries with their class in the first k, by k.", features)


def _det_curves(session: "Session", features: "FeatureSet", answers: "dict[str, RetrievalResult]") -> None:
    from probekit import figures

    curves, notes, looks = {}, {}, {}
    for place, (name, answer) in enumerate(answers.items(), start=1):
        for pool in answer.open:
            label = f"{name} · {pool.pool}" if name else f"against {pool.pool}"
            curves[label] = answer.det(pool.pool)
            dashed = place < len(answers)  # the raw features beside projected ones
            looks[label] = {"color": figures.POOL_COLOURS[pool.pool], "linestyle": "--" if dashed else "-"}
            notes[label] = f"AUROC {pool.auroc:.3f}, n {pool.n_non_mated}"
    if curves:
        pool = next(iter(answers.values())).open[0]
        title = f"DET · {features.title} · {pool.n_mated} mated searches, N = {pool.n_enrolled_rows}"
        drawn = figures.det_curves(curves, title=title, notes=notes, axis_names=figures.IDENTIFICATION, looks=looks)
        session.figure("det", drawn, f"{features.name}: FNIR at rank 1 by FPIR, both pools apart.", features)


def _kind(compared: "Comparison") -> str:
    return str(compared.projected.projection[0]["kind"])


def _sheet_row(row: "SheetRow", samples: "Samples") -> "list[Thumbnail]":
    from probekit.figures import Thumbnail

    note = "query" if row.registered else "query, not registered"
    found = [Thumbnail(_pixels(samples, row.query), row.generator, note, file=_file(samples, row.query))]
    neighbours = zip(row.neighbours, row.generators, row.similarities, strict=True)
    return found + [
        Thumbnail(
            _pixels(samples, number), name, f"cosine {similarity:.4f}", name == row.generator, _file(samples, number)
        )
        for number, name, similarity in neighbours
    ]


def _pixels(samples: "Samples", row: int) -> "np.ndarray | None":
    return thumbnails.pixels(samples[row], SIDE)


def _file(samples: "Samples", row: int) -> str:
    """The file, with its folder, which may tell generators apart."""
    return "/".join(samples.name(row).split("/")[-2:])
