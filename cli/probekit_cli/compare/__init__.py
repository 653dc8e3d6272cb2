"""`probekit compare`: how alike features are, which generators they tell apart, where the generators lie.

flags.py     the options that no other command has
shown.py     what is printed
pictures.py  what is drawn
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probekit_cli import options, output, questions
from probekit_cli.compare import flags
from probekit_cli.where import Where, selector

if TYPE_CHECKING:
    from probekit.comparison import CkaSettings, DistanceSettings, SeparabilityResult, SeparabilitySettings
    from probekit.features import FeatureSet

CKA, SEPARABILITY, DISTANCE = MEASURES = ("cka", "separability", "distance")


@dataclass(frozen=True)
class Asked:
    """What is measured, and how; None where it is not."""

    cka: "CkaSettings | None"
    separability: "SeparabilitySettings | None"
    distance: "DistanceSettings | None"
    named: bool
    """Whether measures were named, so that one that cannot be had is an error."""


def compare(
    measure: flags.Measure = None,
    generators: flags.Generators = None,
    condition: flags.Condition = None,
    probe: flags.Probe = "ridge",
    parts: flags.Parts = 10,
    sample: flags.Sample = None,
    kernel_sample: flags.KernelSample = 2000,
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
    """Compare models and taps, and the generators in them: CKA, separability of every two generators, distances.

    Example: probekit compare --model npr,srm --measure cka,distance
    """
    from probekit.comparison import CkaSettings, DistanceSettings, SeparabilitySettings
    from probekit.registry import one_of
    from probekit.trials import TrialSettings

    where = Where(manifest, model, taps, selector(view, precision, store, perturb, crops), allow_missing, cache, runs)
    measures = [
        one_of("--measure", name, MEASURES) for name in options.names("--measure", measure or ",".join(MEASURES))
    ]
    chosen = options.names("--generators", generators) if generators else None
    common: dict[str, Any] = {"generators": chosen, "parts": parts, "seed": seed}
    trial = TrialSettings(
        probe=probe, condition=condition or "zscore", folds=where.folds(folds), seed=seed, bootstrap=bootstrap
    )
    settings = Asked(
        cka=CkaSettings(condition=condition or "raw", sample=sample, **common) if CKA in measures else None,
        separability=SeparabilitySettings(trial, chosen) if SEPARABILITY in measures else None,
        distance=DistanceSettings(condition=condition or "zscore", kernel_sample=kernel_sample, **common)
        if DISTANCE in measures
        else None,
        named=measure is not None,
    )
    asked = {name: getattr(settings, name) for name in MEASURES}
    with questions.session("compare", asked, where) as session:
        _alike(session, settings)
        if settings.separability or settings.distance:
            _generators(session, settings)
    session.finish(as_json)


def _alike(session: questions.Session, asked: Asked) -> None:
    """CKA between the features, where there are several."""
    from probekit.comparison import compare_features
    from probekit_cli.compare import pictures, shown

    if asked.cka is None:
        return
    if session.count < 2 and not asked.named:
        session.remark("note: no CKA: it compares features with each other, and these are of one kind.")
        return
    with output.progress("CKA") as progress:
        result = compare_features(session.loads(), asked.cka, on_progress=progress)
    session.together["cka"] = result.to_json()
    session.run.table("cka", result.pairs)
    pictures.cka(session, result)
    shown.cka(session, result)


def _generators(session: questions.Session, asked: Asked) -> None:
    """Separability and distances of the generators in each kind of features; curves over the taps of a model."""
    from probekit_cli.compare import pictures, shown

    found: list[tuple[FeatureSet, SeparabilityResult]] = []
    for features in session.feature_sets():
        answer: dict[str, Any] = {"n": len(features.samples)}
        if asked.separability:
            answer["separability"] = (separable := _separability(session, features, asked.separability)).to_json()
            found.append((features.without_rows(), separable))
        if asked.distance:
            answer["distance"] = _distance(session, features, asked.distance)
        session.answer(answer, features)
    pictures.separability(session, found)
    shown.separability_over_taps(session, found)


def _separability(
    session: questions.Session, features: "FeatureSet", settings: "SeparabilitySettings"
) -> "SeparabilityResult":
    from probekit.comparison import separate
    from probekit_cli.compare import shown

    with output.progress(f"separability in {features.name}") as progress:
        result = separate(features, settings, on_progress=progress)
    session.table("separability", result.pairs, features)
    shown.separability(session, features, result)
    return result


def _distance(session: questions.Session, features: "FeatureSet", settings: "DistanceSettings") -> dict[str, Any]:
    from probekit.comparison import measure_distances
    from probekit_cli.compare import pictures, shown

    with output.progress(f"distances in {features.name}") as progress:
        result = measure_distances(features, settings, on_progress=progress)
    session.table("distances", result.pairs, features)
    pictures.distances(session, features, result)
    shown.distances(session, features, result)
    return result.to_json()
