"""`probekit retrieve`."""

from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions

if TYPE_CHECKING:
    from probekit.retrieval import RetrievalResult

ROWS = ("train", "val", "test", "all")


def retrieve(
    gallery: Annotated[str, typer.Option(help="Split whose images are registered: train, val, test or all.")] = "train",
    query: Annotated[str, typer.Option(help="Split whose images are searched.")] = "test",
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
    from probekit import figures
    from probekit.registry import unknown_name
    from probekit.retrieval import RetrievalSettings
    from probekit.retrieval import retrieve as answer

    for flag, value in (("--gallery", gallery), ("--query", query)):
        if value not in ROWS:
            raise unknown_name(flag, value, ROWS)
    settings = RetrievalSettings(
        gallery=gallery,  # type: ignore[arg-type]  # one of ROWS
        query=query,  # type: ignore[arg-type]
        folds=questions.folds(folds, manifest),
        unknown=tuple(name.strip() for name in (unknown or "").split(",") if name.strip()),
        k=k,
        condition=condition,
        bootstrap=bootstrap,
        seed=seed,
    )
    with questions.session(
        "retrieve",
        settings,
        manifest=manifest,
        model=model,
        taps=taps,
        view=view,
        precision=precision,
        store=store,
        allow_missing=allow_missing,
        cache=cache,
        runs=runs,
    ) as session:
        for features in session.feature_sets():
            result = answer(features, settings)
            session.answer(result.to_json(), features)
            session.table("per_class", result.per_class, features)
            session.table("queries", result.queries, features)
            title = f"First neighbours · {features.reference}"
            caption = (
                f"Queries of each class (row) by the class of their first neighbour (column), {features.reference}."
            )
            session.figure(
                "neighbours",
                figures.confusion(result.confusion, title=title, answer_axis="generator of the first neighbour"),
                caption,
                features,
            )
            if len(result.scores):
                caption = f"Similarity of the nearest registered image, by pool, {features.reference}."
                picture = figures.histograms(
                    {str(pool): rows["score"].to_numpy() for pool, rows in result.scores.groupby("pool", sort=False)},
                    title=f"Open set · {features.reference}",
                )
                session.figure("pools", picture, caption, features)
                session.table("open_set_scores", result.scores, features)
            if not as_json:
                _show(result)
            for note in result.notes:
                output.remark(f"note: {note}")
    questions.finish(session, as_json)


def _show(result: "RetrievalResult") -> None:
    import pandas as pd

    closed = result.closed
    title = (
        f"Retrieval · {result.reference} · {closed.n_scored} of {closed.n_queries} queries in "
        f"{closed.n_gallery} registered images"
    )
    numbers = {f"rank-{rank}": value for rank, value in closed.rank.items()}
    numbers |= {"mAP": closed.mean_ap, "macro mAP": closed.macro_ap, "k-NN acc": closed.knn_accuracy}
    output.print_table(pd.DataFrame([numbers]), title=title)
    output.print_table(result.per_class)
    rows: list[dict[str, object]] = [
        {
            "pool": pool.pool,
            "non-mated": pool.n_non_mated,
            "mated": pool.n_mated,
            "AUROC": pool.auroc,
            "OSCR": pool.oscr,
            **{
                f"DIR@FPIR {point.fpir:g}": "unresolvable" if point.dir is None else f"{point.dir:.3f}"
                for point in pool.points
            },
        }
        for pool in result.open
    ]
    if rows:
        enrolled = ", ".join(result.open[0].enrolled)
        output.print_table(
            pd.DataFrame(rows), title=f"Open set · N = {result.open[0].n_enrolled_rows} images of {enrolled}"
        )
