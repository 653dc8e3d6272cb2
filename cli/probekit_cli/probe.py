"""`probekit probe`."""

from typing import TYPE_CHECKING, Annotated

import typer

from probekit_cli import options, output, questions

if TYPE_CHECKING:
    from probekit.attribution import AttributionResult, AttributionSettings
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult, PairSettings
    from probekit.records import Recorder

TASKS = ("binary", "attribution")


def probe(
    train: Annotated[str, typer.Option(help="Generator, comma list, `a+b` for one probe on both, or `all`.")] = "all",
    test: Annotated[str, typer.Option(help="Generator, comma list, or `all`.")] = "all",
    task: Annotated[str, typer.Option(help="binary: real or fake, for each pair. attribution: which generator.")] = "binary",
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
    common = {
        "train": train,
        "test": test,
        "probe": classifier,
        "condition": condition,
        "C": inverse_regularisation,
        "folds": questions.folds(folds, manifest),
        "seed": seed,
        "bootstrap": bootstrap,
    }
    settings = PairSettings(**common) if task == "binary" else AttributionSettings(**common)
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
                answer = _pairs(features, settings, session.run, quiet=as_json)
            else:
                answer = _attribution(features, settings, session.run, quiet=as_json)
            session.answers.append(answer)
    questions.finish(session, as_json)
