"""What probes make of samples that they did not learn from, as columns to colour a map by."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from probekit_cli.map_.asked import ATTRIBUTION, OUTCOME, Asked

if TYPE_CHECKING:
    import numpy as np

    from probekit.features import FeatureSet
    from probekit_cli.questions import Session


@dataclass(frozen=True)
class Judged:
    """The features with the outcomes among their columns, and what they come to."""

    features: "FeatureSet"
    captions: tuple[str, ...] = ()
    json: dict[str, Any] = field(default_factory=dict)


def judge(session: "Session", asked: Asked, features: "FeatureSet") -> Judged:
    """Whatever probes are asked for, trained and asked."""
    judged = Judged(features)
    if asked.attributes:
        judged = _attribution(session, asked, judged)
    if asked.colour == OUTCOME:
        judged = _binary(session, asked, judged)
    return judged


def _attribution(session: "Session", asked: Asked, judged: Judged) -> Judged:
    """Right or wrong of one probe over real and every generator, and its accuracy by class."""
    from probekit.attribution import AttributionSettings, attribute
    from probekit.maps import Accuracy, attribution_outcomes

    features, seed = judged.features, asked.settings.seed
    folds = session.where.folds(asked.folds)
    result = attribute(features, AttributionSettings(folds=folds, seed=seed, bootstrap=0))
    (trial,) = result.trials.values()
    per_class = result.per_class[["class", "n_test", "recall"]].to_numpy()
    accuracy = Accuracy(
        balanced=float(result.overall["balanced_acc"]),
        n=int(result.overall["n_test"]),
        evaluation=str(result.selection["evaluation"]),
        classes={name: (int(n), float(recall)) for name, n, recall in per_class},
    )
    for note in result.notes:
        session.remark(f"note: attribution probe: {note}")
    session.table("per_class", result.per_class, features)
    generators = features.samples["generator"].to_numpy(dtype=object)
    found = attribution_outcomes(generators, result.classes, trial.decisions)
    return _with(judged, ATTRIBUTION, found, accuracy.caption, {"accuracy": accuracy.to_json()})


def _binary(session: "Session", asked: Asked, judged: Judged) -> Judged:
    """Right, missed or false alarm of one probe over all generators together."""
    from probekit.maps import binary_outcomes
    from probekit.pairs import PairSettings, score_pairs
    from probekit.protocols import generators

    features, seed = judged.features, asked.settings.seed
    every = "+".join(generators(features.samples))
    settings = PairSettings(train=every, folds=session.where.folds(asked.folds), seed=seed, bootstrap=0)
    result = score_pairs(features, settings)
    (trial,) = result.trials.values()
    found = binary_outcomes(features.samples["label"].to_numpy(), trial.decisions)
    for note in result.notes:
        session.remark(f"note: outcome probe: {note}")
    counts = {str(name): int((found == name).sum()) for name in sorted(set(found))}
    evaluation = str(result.selection["evaluation"])
    spelled = ", ".join(f"{name} {n:,}" for name, n in counts.items())
    return _with(
        judged,
        OUTCOME,
        found,
        f"real/fake probe, {evaluation}: {spelled}",
        {"outcome": {"evaluation": evaluation, "counts": counts}},
    )


def _with(judged: Judged, name: str, found: "np.ndarray", caption: str, json: dict[str, Any]) -> Judged:
    """One outcome more; a manifest's own column of that name is called `manifest_NAME`."""
    samples = judged.features.samples.rename(columns={name: f"manifest_{name}"}).assign(**{name: found})
    features = replace(judged.features, samples=samples)
    return Judged(features, (*judged.captions, caption), judged.json | json)
