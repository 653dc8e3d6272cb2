"""`probekit retrieve`."""

from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions, tables
from probekit_cli.where import Where, selector

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.retrieval import RetrievalResult, RetrievalSettings

ROWS = ("train", "val", "test", "all")


def retrieve(
    gallery: Annotated[
        str | None, typer.Option(help="Split whose images are registered: train (default), val, test or all.")
    ] = None,
    query: Annotated[str | None, typer.Option(help="Split whose images are searched: test by default.")] = None,
    unknown: Annotated[
        str | None, typer.Option(metavar="GEN[,GEN]", help="Generators that are searched but never registered.")
    ] = None,
    k: Annotated[int, typer.Option("--k", min=1, help="Neighbours that vote.")] = 10,
    condition: options.Condition = "l2",
    model: options.Model = None,
    taps: options.Taps = None,
    manifest: options.Manifest = None,
    folds: options.Folds = None,
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    perturb: options.Perturb = None,
    crops: options.Crops = "mean",
    allow_missing: options.AllowMissing = False,
    seed: options.Seed = 0,
    bootstrap: options.Bootstrap = 1000,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Find each query's nearest registered images: who made it, or nobody that is registered?

    With --folds, or where the manifest has too few groups for a split, each image is searched among all other groups.

    Example: probekit retrieve --model srm --unknown shiftmap
    """
    from probekit.errors import UsageError
    from probekit.registry import unknown_name
    from probekit.retrieval import RetrievalSettings

    where = Where(manifest, model, taps, selector(view, precision, store, perturb, crops), allow_missing, cache, runs)
    for flag, value in (("--gallery", gallery), ("--query", query)):
        if value is not None and value not in ROWS:
            raise unknown_name(flag, value, ROWS)
    named = gallery or query
    if named and folds:
        raise UsageError("--folds searches every image among all other groups: leave --gallery and --query out.")
    settings = RetrievalSettings(
        gallery=gallery or "train",  # type: ignore[arg-type]  # one of ROWS
        query=query or "test",  # type: ignore[arg-type]
        folds=0 if named else where.folds(folds),
        unknown=tuple(name.strip() for name in (unknown or "").split(",") if name.strip()),
        k=k,
        condition=condition,
        bootstrap=bootstrap,
        seed=seed,
    )
    with questions.session("retrieve", settings, where) as session:
        for features in session.feature_sets():
            _retrieve(session, features, settings)
    session.finish(as_json)


def _retrieve(session: questions.Session, features: "FeatureSet", settings: "RetrievalSettings") -> None:
    from probekit import figures
    from probekit.retrieval import retrieve as answer

    result = answer(features, settings)
    session.answer(result.to_json(), features)
    session.table("per_class", result.per_class, features)
    session.table("queries", result.queries, features)
    caption = f"{features.name}: queries by their class (row) and that of their first neighbour (column)."
    picture = figures.confusion(
        result.confusion, title=f"First neighbours · {features.title}", answer_axis="generator of the first neighbour"
    )
    session.figure("neighbours", picture, caption, features)
    if len(result.scores):
        pools = {str(pool): rows["score"].to_numpy() for pool, rows in result.scores.groupby("pool", sort=False)}
        picture = figures.histograms(pools, title=f"Open set · {features.title}")
        session.figure("pools", picture, f"{features.name}: similarity of the nearest registered image.", features)
        session.table("open_set_scores", result.scores, features)
    session.show(lambda: _show(result, features.title))
    for note in result.notes:
        output.remark(f"note: {note}")
    if len(result.per_class) == 1 or result.per_class["n_gallery"].gt(0).sum() < 2:
        output.remark("note: one class is registered: its rank-k and mAP are 1 whatever the features are.")
    if settings.unknown and not result.open:
        output.remark("note: no open-set figures: no generator is registered besides the unknown ones.")


def _show(result: "RetrievalResult", name: str) -> None:
    import pandas as pd

    closed = result.closed
    title = (
        f"Retrieval · {name} · {closed.n_scored} of {closed.n_queries} queries in {closed.n_gallery} registered images"
    )
    numbers = {f"rank-{rank}": value for rank, value in closed.rank.items()}
    numbers |= {"mAP": closed.mean_ap, "macro mAP": closed.macro_ap, "k-NN acc": closed.knn_accuracy}
    tables.print_table(pd.DataFrame([numbers]), title=title)
    shown = {"generator": "generator", "n_scored": "queries", "n_gallery": "gallery", "rank1": "rank-1", "map": "mAP"}
    tables.print_table(result.per_class[[*shown]].rename(columns=shown))
    rows: list[dict[str, object]] = [
        {
            "against": pool.pool,
            "n": pool.n_non_mated,
            "AUROC": pool.auroc,
            "OSCR": pool.oscr,
            **{
                f"DIR@{point.fpir:g}": "unresolvable" if point.dir is None else f"{point.dir:.3f}"
                for point in pool.points
            },
        }
        for pool in result.open
    ]
    if rows:
        first = result.open[0]
        title = f"Open set · {first.n_mated} mated searches, N = {first.n_enrolled_rows} of {', '.join(first.enrolled)}"
        tables.print_table(pd.DataFrame(rows), title=f"{title} · DIR at FPIR")
