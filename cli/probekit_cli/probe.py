"""`probekit probe`."""

from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions

if TYPE_CHECKING:
    from probekit.attribution import AttributionSettings
    from probekit.features import FeatureSet
    from probekit.pairs import PairSettings

TASKS = ("binary", "attribution")


def probe(
    train: Annotated[str, typer.Option(help="Generator, comma list, `a+b` for one probe on both, or `all`.")] = "all",
    test: Annotated[str, typer.Option(help="Generator, comma list, or `all`.")] = "all",
    task: Annotated[
        str, typer.Option(help="binary: real or fake, for each pair. attribution: which generator.")
    ] = "binary",
    classifier: Annotated[str, typer.Option("--probe", help="The classifier: logistic.")] = "logistic",
    inverse_regularisation: Annotated[
        float | None, typer.Option("--C", help="Inverse regularisation strength. Default: chosen on training groups.")
    ] = None,
    condition: options.Condition = "zscore",
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
    """Train a linear probe on one generator's images and score it on others'.

    Example: probekit probe --train telea --test all --model srm
    """
    from probekit.attribution import AttributionSettings
    from probekit.pairs import PairSettings
    from probekit.registry import unknown_name

    if task not in TASKS:
        raise unknown_name("task", task, TASKS)
    chosen_folds = questions.folds(folds, manifest)
    settings: PairSettings | AttributionSettings
    if task == "binary":
        settings = PairSettings(
            train, test, classifier, condition, inverse_regularisation, chosen_folds, seed, bootstrap
        )
    else:
        settings = AttributionSettings(
            train, classifier, condition, inverse_regularisation, chosen_folds, seed, bootstrap
        )
    with questions.session(
        "probe",
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
            if isinstance(settings, PairSettings):
                _pairs(session, features, settings, quiet=as_json)
            else:
                _attribution(session, features, settings, quiet=as_json)
    questions.finish(session, as_json)


def _pairs(session: questions.Session, features: "FeatureSet", settings: "PairSettings", quiet: bool) -> None:
    from probekit import figures
    from probekit.pairs import score_pairs

    result = score_pairs(features, settings)
    session.answer(result.to_json(), features)
    session.table("pairs", result.pairs, features)
    session.table("scores", result.scores, features)
    auc = result.matrix("auc")
    how = f"{features.reference}, {result.selection['evaluation']}"
    caption = f"AUC of {how}: trained on the row's generator, tested on the column's."
    session.figure("auc", figures.matrix(auc, title=f"AUC · {how}", counts=result.matrix("n_test")), caption, features)
    if not quiet:
        output.print_table(auc, title=f"AUC · {how}", styles=output.score_style, corner="train ↓  test →")
    _notes(result.notes)


def _attribution(
    session: questions.Session, features: "FeatureSet", settings: "AttributionSettings", quiet: bool
) -> None:
    from probekit import figures
    from probekit.attribution import attribute

    result = attribute(features, settings)
    session.answer(result.to_json(), features)
    session.table("per_class", result.per_class, features)
    session.table("predictions", result.predictions, features)
    how = f"{features.reference}, {result.selection['evaluation']}"
    title = f"Attribution · {how} · accuracy {result.overall['acc']:.3f}"
    caption = f"Attribution by {how}: share of each class's images (row) that were called each class (column)."
    session.figure("confusion", figures.confusion(result.confusion, title=title), caption, features)
    if not quiet:
        output.print_table(result.confusion, title=title, corner="true ↓  predicted →")
        output.print_table(result.per_class)
    _notes(result.notes)


def _notes(notes: "tuple[str, ...]") -> None:
    for note in notes:
        output.remark(f"note: {note}")
