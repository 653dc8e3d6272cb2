"""`probekit probe`."""

from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions

if TYPE_CHECKING:
    import pandas as pd

    from probekit.attribution import AttributionSettings
    from probekit.features import FeatureSet
    from probekit.pairs import PairSettings

TASKS = ("binary", "attribution")


def probe(
    train: Annotated[
        str, typer.Option(help="Generator, comma list, `a+b` for one probe on both, or `all`: one probe each.")
    ] = "all",
    test: Annotated[str | None, typer.Option(help="Generator, comma list, or `all` (default).")] = None,
    task: Annotated[
        str, typer.Option(help="binary: real or fake, for each pair. attribution: which generator.")
    ] = "binary",
    pool: Annotated[
        bool, typer.Option("--pool", help="Train one probe on all generators of --train together.")
    ] = False,
    classifier: Annotated[str, typer.Option("--probe", help="The classifier: logistic.")] = "logistic",
    inverse_regularisation: Annotated[
        float | None, typer.Option("--C", help="Inverse regularisation strength. Default: chosen on training groups.")
    ] = None,
    threshold: Annotated[
        str, typer.Option(help="Above what probability an image is called fake: 0.5, or val-eer with a val split.")
    ] = "0.5",
    condition: options.Condition = "zscore",
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
    """Train a linear probe on one generator's images and score it on others'.

    Example: probekit probe --train telea --test all --model srm
    """
    from probekit.attribution import AttributionSettings
    from probekit.errors import UsageError
    from probekit.pairs import PairSettings
    from probekit.registry import unknown_name

    where = questions.Where(
        manifest, model, taps, questions.selector(view, precision, store, perturb, crops), allow_missing, cache, runs
    )
    questions.finite("--C", inverse_regularisation)
    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    if task == "attribution" and (test is not None or pool or threshold != "0.5"):
        raise UsageError(
            "--task attribution tests on the generators of --train: leave --test, --pool, --threshold out."
        )
    settings: PairSettings | AttributionSettings
    if task == "binary":
        settings = PairSettings(
            train=_pooled(train, where) if pool else train,
            test=test or "all",
            probe=classifier,
            condition=condition,
            C=inverse_regularisation,
            folds=where.folds(folds),
            seed=seed,
            bootstrap=bootstrap,
            threshold=threshold,
        )
    else:
        settings = AttributionSettings(
            generators=train,
            probe=classifier,
            condition=condition,
            C=inverse_regularisation,
            folds=where.folds(folds),
            seed=seed,
            bootstrap=bootstrap,
        )
    with questions.session("probe", settings, where) as session:
        for features in session.feature_sets():
            if isinstance(settings, PairSettings):
                _pairs(session, features, settings)
            else:
                _attribution(session, features, settings)
    session.finish(as_json)


def _pooled(train: str, where: questions.Where) -> str:
    """`a,b` as `a+b`; `all` as all generators of the manifest."""
    from probekit.protocols import generators

    names = generators(where.manifest.table) if train == "all" else [name.strip() for name in train.split(",")]
    return "+".join(names)


def _pairs(session: questions.Session, features: "FeatureSet", settings: "PairSettings") -> None:
    from probekit import figures
    from probekit.pairs import score_pairs

    result = score_pairs(features, settings)
    session.answer(result.to_json(), features)
    session.table("pairs", result.pairs, features)
    session.table("scores", result.scores, features)
    auc, counts = result.matrix("auc"), result.matrix("n_test")
    title = f"AUC · {features.title}, {result.selection['evaluation']}"
    caption = f"{title}: trained on the row's generator, tested on the column's."
    session.figure("auc", figures.matrix(auc, title=title, counts=counts), caption, features)
    session.show(lambda: _show_pairs(auc, result.pairs, title))
    _notes(session, result.notes)


def _show_pairs(auc: "pd.DataFrame", pairs: "pd.DataFrame", title: str) -> None:
    output.print_table(auc, title=title, styles=output.score_style, corner="train ↓  test →")
    smallest = int(pairs[["n_real", "n_fake"]].to_numpy().min())
    output.remark(f"n per cell: {pairs['n_test'].min()} to {pairs['n_test'].max()}, at least {smallest} of each class")
    if smallest < 10:
        output.remark("note: fewer than 10 images of a class: such a cell says little; intervals are in the tables.")
    if (pairs["auc"] < 0.4).any():
        output.remark("note: an AUC below .5 is an inverted score: these fakes look more real than the real images.")


def _attribution(session: questions.Session, features: "FeatureSet", settings: "AttributionSettings") -> None:
    from probekit import figures
    from probekit.attribution import attribute

    result = attribute(features, settings)
    session.answer(result.to_json(), features)
    session.table("per_class", result.per_class, features)
    session.table("predictions", result.predictions, features)
    how = f"{features.title}, {result.selection['evaluation']}"
    title = f"Attribution · {how} · accuracy {result.overall['acc']:.3f}"
    caption = f"Attribution by {how}: images of each class (row) by what they were called (column)."
    session.figure("confusion", figures.confusion(result.confusion, title=title), caption, features)
    session.show(lambda: output.print_table(result.confusion, title=title, corner="true ↓  predicted →"))
    session.show(lambda: output.print_table(result.per_class))
    _notes(session, result.notes)


def _notes(session: questions.Session, notes: "tuple[str, ...]") -> None:
    for note in notes:
        output.remark(f"note: {note}")
