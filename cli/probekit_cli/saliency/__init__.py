"""`probekit saliency`: options become a question, the question becomes maps, numbers and pictures.

flags.py     the options
asked.py     what they ask
shown.py     what is printed
pictures.py  what is drawn and written
"""

from typing import TYPE_CHECKING

from probekit_cli import options, output, questions
from probekit_cli.saliency import flags
from probekit_cli.where import Where, finite, selector

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.saliency import SaliencyResult
    from probekit_cli.saliency.pictures import Wanted


def saliency(
    train: flags.Train = None,
    test: flags.Test = "all",
    probe: flags.ProbeOption = "logistic",
    task: flags.Task = "binary",
    of: flags.Of = None,
    method: flags.MethodOption = "grad-cam",
    limit: flags.Limit = 20,
    condition: flags.Condition = "zscore",
    inverse_regularisation: flags.InverseRegularisation = None,
    model: options.Model = None,
    taps: options.Taps = None,
    manifest: options.Manifest = None,
    folds: options.Folds = None,
    view: options.View = None,
    precision: options.Precision = None,
    store: options.Store = None,
    perturb: options.Perturb = None,
    allow_missing: options.AllowMissing = False,
    weights: flags.Weights = None,
    device: flags.Device = None,
    batch_size: flags.BatchSize = 16,
    seed: options.Seed = 0,
    bootstrap: options.Bootstrap = 1000,
    sheets: flags.Sheets = None,
    overlays: flags.Overlays = 0,
    maps: flags.MapsFolder = None,
    cache: options.Cache = options.DEFAULT_CACHE,
    runs: options.Runs = options.DEFAULT_RUNS,
    as_json: options.AsJson = False,
) -> None:
    """Show where a probe looks, and how well that fits the masks of what was manipulated.

    Images are shown to the model again, --limit of each generator; only such as the probe did not learn from.

    Example: probekit saliency --train telea --model timm:vit_tiny_patch16_224#mean --weights vit_tiny.safetensors
    """
    from probekit.saliency import SaliencySettings, look, look_with
    from probekit_cli.saliency import asked
    from probekit_cli.saliency.pictures import Wanted

    head = asked.saved(probe)
    if head is not None:
        taught = {"--train": train, "--model": model, "--taps": taps, "--C": inverse_regularisation, "--folds": folds}
        asked.refuse_training(taught | {"--condition": condition != "zscore", "--task": task != "binary"})
        model, task = asked.reference(head), asked.task(head)
    where = Where(manifest, model, taps, selector(view, precision, store, perturb, "mean"), allow_missing, cache, runs)
    settings = SaliencySettings(
        probe="logistic" if head else probe,
        train=train or "all",
        test=test,
        methods=options.names("--method", method),
        task=task,
        of=of,
        limit=limit or None,
        condition=condition,
        C=finite("--C", inverse_regularisation),
        folds=where.folds(folds),
        seed=seed,
        bootstrap=bootstrap,
    )
    identity = {"settings": settings, "probe": head.to_json() if head else probe}
    wanted = Wanted(sheets, overlays, maps)
    with questions.session("saliency", identity, where) as session:
        if head is not None:
            with output.progress("images looked at") as show:
                result = look_with(
                    head,
                    where.manifest,
                    settings,
                    weights=asked.weights(weights, [head.models[0]], cache),
                    device=device,
                    batch_size=batch_size,
                    on_progress=show,
                )
            _record(session, asked.label(head), result, wanted)
        for features in session.feature_sets() if head is None else ():
            with output.progress(f"images looked at with {features.name}") as show:
                result = look(
                    features,
                    where.manifest,
                    settings,
                    cache=cache,
                    weights=asked.weights(weights, [source.model for source in features.sources], cache),
                    device=device,
                    batch_size=batch_size,
                    on_progress=show,
                )
            _record(session, features, result, wanted)
    session.finish(as_json)


def _record(session: questions.Session, features: "FeatureSet", result: "SaliencyResult", wanted: "Wanted") -> None:
    """Keep an answer with its tables, pictures and maps."""
    from probekit_cli.saliency import pictures, shown

    session.excluded |= dict(zip(result.failed["path"], result.failed["reason"], strict=True))
    session.answer(result.to_json(), features)
    session.table("saliency", result.images.assign(map=pictures.write_maps(result, features, wanted)), features)
    if len(result.localisation):
        session.table("localisation", result.localisation, features)
    pictures.draw(session, features, result, wanted)
    shown.localisation(session, features, result)
