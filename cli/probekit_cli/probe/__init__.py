"""`probekit probe`: options become questions, questions become answers.

asked.py          what the options ask
pairs.py          the train/test matrix, with seeds, shots, ensembles and perturbations
attribution.py    which generator
pictures.py       curves of scores
saved.py          the probes, kept beside the run's tables
"""

from typing import Annotated

import typer

from probekit_cli import options, output, questions

TRAINED, PROBE, CHOICES, MORE = (
    "What is trained and tested",
    "The probe",
    "How choices are made",
    "Further questions",
)


def probe(
    train: Annotated[
        str,
        typer.Option(
            help="Generator, comma list, or `all`: a probe each. a+b: one probe on both; all-a: on all but a; "
            "a@domain: on a's fakes of one domain.",
            rich_help_panel=TRAINED,
        ),
    ] = "all",
    test: Annotated[
        str | None, typer.Option(help="The same, for testing. Default: all.", rich_help_panel=TRAINED)
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            help="binary: real or fake, for each pair. Which generator: attribution (one probe), one-vs-real or "
            "one-vs-rest (a probe each). Comma list.",
            rich_help_panel=TRAINED,
        ),
    ] = "binary",
    pool: Annotated[
        bool,
        typer.Option("--pool", help="Train one probe on all generators of --train together.", rich_help_panel=TRAINED),
    ] = False,
    leave_one_out: Annotated[
        bool,
        typer.Option("--leave-one-out", help="For every generator, train on all others.", rich_help_panel=TRAINED),
    ] = False,
    across: Annotated[
        str | None,
        typer.Option(
            metavar="domain",
            help="Train in one domain, test on the same generators in every other.",
            rich_help_panel=TRAINED,
        ),
    ] = None,
    classifier: Annotated[
        str,
        typer.Option(
            "--probe",
            help="logistic, ridge, svm, lda, knn, bank, prototype or mlp. Comma list.",
            rich_help_panel=PROBE,
        ),
    ] = "logistic",
    condition: Annotated[
        str,
        typer.Option(
            help="How features are conditioned: raw, l2, zscore, layernorm, whiten; best chooses.",
            rich_help_panel=PROBE,
        ),
    ] = "zscore",
    inverse_regularisation: Annotated[
        float | None,
        typer.Option("--C", help="Inverse regularisation strength. Default: chosen.", rich_help_panel=PROBE),
    ] = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, help="Neighbours of knn and bank. Default: chosen.", rich_help_panel=PROBE),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: the CPU.", rich_help_panel=PROBE)
    ] = None,
    selection: Annotated[
        str,
        typer.Option(
            help="What C, k … are chosen on: cv (training groups held out), val (the val split), or robust (training "
            "generators left out).",
            rich_help_panel=CHOICES,
        ),
    ] = "cv",
    criterion: Annotated[
        str | None,
        typer.Option(
            help="What they are chosen by: log_loss, auc, acc, balanced_acc, squared_error. Default: the probe's own.",
            rich_help_panel=CHOICES,
        ),
    ] = None,
    choose_features: Annotated[
        bool,
        typer.Option(
            "--choose-features",
            help="Answer once, by the tap (model, view) with the lowest selection loss.",
            rich_help_panel=CHOICES,
        ),
    ] = False,
    oracle: Annotated[
        bool,
        typer.Option(
            "--oracle", help="Choose on the test samples: an upper bound, labelled so.", rich_help_panel=CHOICES
        ),
    ] = False,
    threshold: Annotated[
        str,
        typer.Option(
            help="Above what an image is called fake: 0.5, val-eer, val-youden or val-fpr5.", rich_help_panel=CHOICES
        ),
    ] = "0.5",
    calibration: Annotated[
        str,
        typer.Option(
            "--calibrate",
            help="none, platt or temperature, on val or held-out training samples.",
            rich_help_panel=CHOICES,
        ),
    ] = "none",
    shots: Annotated[
        str | None,
        typer.Option(
            metavar="N,N,all",
            help="Learn from so many images of each generator and domain: 1,5,10,50,all.",
            rich_help_panel=MORE,
        ),
    ] = None,
    seeds: Annotated[
        int | None,
        typer.Option(min=1, help="Seeds to average, with spread. Default: 1; with --shots 5.", rich_help_panel=MORE),
    ] = None,
    perturbed: Annotated[
        str | None,
        typer.Option(
            metavar="all|CHAIN[,CHAIN]",
            help="Test the same probes on perturbed images that were extracted.",
            rich_help_panel=MORE,
        ),
    ] = None,
    fuse: Annotated[
        bool,
        typer.Option(
            "--fuse",
            help="Of features a+b: compare each alone, side by side, and the mean of calibrated scores.",
            rich_help_panel=MORE,
        ),
    ] = False,
    aggregate: Annotated[
        str | None,
        typer.Option(
            metavar="mean|max|topK", help="Score videos: mean, max or top-K mean of frames.", rich_help_panel=MORE
        ),
    ] = None,
    unit: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="What tells videos of a group apart, with --aggregate.", rich_help_panel=MORE
        ),
    ] = "group",
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
    curves: Annotated[
        bool,
        typer.Option(
            "--curves",
            help="Draw ROC, DET and reliability curves of every training set.",
            rich_help_panel=options.FILES,
        ),
    ] = False,
    save: Annotated[
        bool | None,
        typer.Option(
            help="Keep the probes for `probekit predict`. Default: unless they hold much.",
            rich_help_panel=options.FILES,
        ),
    ] = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Train probes on some generators' images and score them on others'.

    Example: probekit probe --train telea --test all --model srm
    """
    from probekit.models import compute
    from probekit_cli.probe import attribution, pairs
    from probekit_cli.probe.asked import Asked

    where = questions.Where(
        manifest, model, taps, questions.selector(view, precision, store, perturb, crops), allow_missing, cache, runs
    )
    asked = Asked(
        where=where,
        train=train,
        test=test,
        tasks=options.names(task),
        probes=options.names(classifier),
        pool=pool,
        leave_one_out=leave_one_out,
        across=across,
        choose_features=choose_features,
        shots=shots,
        seeds=seeds,
        perturbed=perturbed,
        fuse=fuse,
        common={
            "condition": condition,
            "C": questions.finite("--C", inverse_regularisation),
            "k": k,
            "selection": "oracle" if oracle else selection,
            "criterion": criterion,
            "calibration": calibration,
            "folds": where.folds(folds),
            "seed": seed,
            "bootstrap": bootstrap,
            "aggregate": aggregate,
            "unit": unit,
        },
        threshold=threshold,
        curves=curves,
        save=save,
        device=compute.devices(device or "cpu")[0],
    )
    pair_settings, attribution_settings = asked.pairs(), asked.attributions()
    identity = {"pairs": pair_settings, "attribution": attribution_settings, "further": asked.further}
    with questions.session("probe", identity, where) as session, output.progress("probes trained") as show:
        pairs.answer(session, asked, pair_settings, show)
        attribution.answer(session, asked, attribution_settings)
    session.finish(as_json)
