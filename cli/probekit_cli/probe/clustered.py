"""The questions of `probekit probe` in parts, for the workers of a cluster."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from probekit_cli import sweeps
from probekit_cli.probe.asked import Asked

if TYPE_CHECKING:
    from probekit.attribution import AttributionResult, AttributionSettings
    from probekit.features import FeatureSet
    from probekit.pairs import PairSettings
    from probekit.sweeps import Sweep
    from probekit_cli.questions import Session

OnProgress = Callable[[int, int], None]


def matrices(
    session: "Session", asked: Asked, every: "Sequence[PairSettings]", sweep: "Sweep", show: OnProgress
) -> "Iterator[tuple[FeatureSet, PairSettings, Any]]":
    """The labelled features, the settings, and what `Asked.answer` gives: each question of each reference."""
    from probekit.pairs import most_parts

    rounds = sum(settings.seeds for settings in every) * session.count * len(asked.shot_numbers or [None])
    divided = [
        _divided(session, asked, settings, sweep.parts(rounds, most_parts(settings, session.where.manifest.table)))
        for settings in every
    ]
    for features, question, result in sweeps.answers(session, sweep, lambda _: divided, show):
        yield features, question.about, result


def attributions(
    session: "Session", asked: Asked, every: "Sequence[AttributionSettings]", sweep: "Sweep", show: OnProgress
) -> "Iterator[tuple[FeatureSet, AttributionSettings, AttributionResult]]":
    """The labelled features, the settings, and the answer: each question of each reference."""
    from probekit.attribution import attribute

    divided = [
        sweeps.Divided(settings, [partial(attribute, settings=settings, device=asked.device)], sweeps.only)
        for settings in every
    ]
    for features, question, result in sweeps.answers(session, sweep, lambda _: divided, show):
        yield features, question.about, result


def _divided(session: "Session", asked: Asked, settings: "PairSettings", of: int) -> sweeps.Divided:
    """A matrix in parts; an ensemble and the perturbations as a whole, because their parts need each other."""
    from probekit import pairs
    from probekit.protocols import describe

    device, shots = asked.device, asked.shot_numbers
    if asked.fuse:
        return sweeps.Divided(settings, [partial(pairs.score_ensemble, settings=settings, device=device)], sweeps.only)
    if asked.perturbed is not None:
        question = partial(pairs.score_robustness, settings=settings, device=device)
        return sweeps.Divided(
            settings, [question], sweeps.only, lambda label: session.perturbations(label, asked.perturbed or "")
        )
    if shots is not None:
        return sweeps.Divided(
            settings,
            pairs.divide_shots(settings, shots, of, device),
            lambda features, found: pairs.unite_shots(settings, shots, describe(features.sources), found),
        )
    return sweeps.Divided(
        settings,
        pairs.divide(settings, of, device),
        lambda features, found: pairs.unite(settings, describe(features.sources), found),
    )
