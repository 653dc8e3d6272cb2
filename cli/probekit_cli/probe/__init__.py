"""`probekit probe`: options become questions, questions become answers.

flags.py          the options
asked.py          what they ask
pairs.py          the train/test matrix
further.py        shots, ensembles and perturbations
attribution.py    which generator
clustered.py      all of these in parts, for the workers of a cluster
shown.py          what is printed
overview.py       many answers at a glance: lines over taps, one row an answer
pictures.py       curves of scores
saved.py          the probes, kept beside the run's tables
"""

from probekit_cli import engines, options, output, questions, sweeps
from probekit_cli.memory import Limit, MemoryHere, of_probes
from probekit_cli.probe import flags
from probekit_cli.where import Where, finite, selector


def probe(
    train: flags.Train = "all",
    test: flags.Test = None,
    task: flags.Task = "binary",
    pool: flags.Pool = False,
    leave_one_out: flags.LeaveOneOut = False,
    across: flags.Across = None,
    classifier: flags.Classifier = "logistic",
    condition: flags.Condition = "zscore",
    project: flags.Project = None,
    inverse_regularisation: flags.InverseRegularisation = None,
    k: flags.Neighbours = None,
    device: flags.Device = None,
    selection: flags.Selection = "cv",
    criterion: flags.Criterion = None,
    choose_features: flags.ChooseFeatures = False,
    oracle: flags.Oracle = False,
    threshold: flags.Threshold = "0.5",
    calibration: flags.Calibration = "none",
    shots: flags.Shots = None,
    seeds: flags.Seeds = None,
    perturbed: flags.Perturbed = None,
    fuse: flags.Fuse = False,
    aggregate: flags.Aggregate = None,
    unit: flags.Unit = "group",
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
    memory: MemoryHere = None,
    curves: flags.Curves = False,
    save: flags.Save = None,
    engine: engines.Engine = "local",
    address: engines.Address = None,
    workers_per_node: engines.WorkersPerNode = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Train probes on some generators' images and score them on others'.

    Example: probekit probe --train telea --test all --model srm

    Example: probekit probe --model srm --manifest demo --engine ray --address local

    Example: probekit probe --model srm --manifest demo --probe ridge --C 0.01 --memory 8GiB
    """
    from probekit.errors import UsageError
    from probekit.models import compute
    from probekit_cli.probe import attribution, pairs
    from probekit_cli.probe.asked import Asked
    from probekit_cli.probe.overview import Overview

    if oracle and selection not in ("cv", "oracle"):
        raise UsageError(f"--oracle chooses on test samples, --selection {selection} does not: leave one of them out.")
    cluster = engines.cluster_settings(engine, address, workers_per_node)
    if cluster:
        engines.refuse_on_cluster({"--memory": memory})
    where = Where(manifest, model, taps, selector(view, precision, store, perturb, crops), allow_missing, cache, runs)
    asked = Asked(
        where=where,
        train=train,
        test=test,
        tasks=options.names("--task", task),
        probes=options.names("--probe", classifier),
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
            "project": project,
            "C": finite("--C", inverse_regularisation),
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
        device=engines.device_there(device) if cluster else compute.devices(device or "cpu")[0],
        limit=Limit.of(memory, of_probes(where.folds(folds))),
    )
    pair_settings, attribution_settings = asked.pairs(), asked.attributions()
    identity = {"pairs": pair_settings, "attribution": attribution_settings, "further": asked.further}
    with (
        questions.session("probe", identity, where) as session,
        sweeps.opened(session, cluster, asked.device) as sweep,
    ):
        matrices = len(pair_settings) * (1 if choose_features else session.count)
        many = matrices + len(attribution_settings) * session.count > flags.FEW_ANSWERS
        overview = Overview(session, brief=many)
        if pair_settings:
            with output.progress("probes trained") as show:
                pairs.answer(overview, asked, pair_settings, show, sweep)
        if attribution_settings:
            with output.progress("attributions answered") as show:
                attribution.answer(overview, asked, attribution_settings, show, sweep)
        overview.record()
    session.finish(as_json)
