"""The binary task: which question is asked of which features."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from probekit_cli.probe import clustered, further, matrix, saved
from probekit_cli.probe.asked import Asked
from probekit_cli.probe.overview import Overview

if TYPE_CHECKING:
    from probekit.features import FeatureSet, FeatureStream
    from probekit.pairs import PairResult, PairSettings
    from probekit.sweeps import Sweep
    from probekit_cli.questions import Session

OnProgress = Callable[[int, int], None]


def answer(
    overview: Overview, asked: Asked, every: "Sequence[PairSettings]", show: OnProgress, sweep: "Sweep | None"
) -> None:
    """Every question, of every feature reference."""
    found: list[tuple[FeatureSet, PairResult]] = []
    session = overview.session
    results = clustered.matrices(session, asked, every, sweep, show) if sweep else _here(session, asked, every, show)
    for features, settings, result in results:
        named = f"-{settings.probe}" if len(every) > 1 else ""
        if asked.shots is not None:
            further.shots(session, features, settings, result, named)
        elif asked.fuse:
            further.ensemble(overview, asked, features, settings, result, named)
        elif asked.perturbed is not None:
            further.robustness(session, asked, features, settings, result, named)
        elif asked.choose_features:
            found.append((features.without_rows(), result))
        else:
            matrix.record(overview, asked, features, result, named)
    for settings in every if asked.choose_features else ():
        _choose(overview, asked, [one for one in found if one[1].settings == settings], settings.probe)


def _here(
    session: "Session", asked: Asked, every: "Sequence[PairSettings]", show: OnProgress
) -> "Iterator[tuple[FeatureSet, PairSettings, Any]]":
    """The features, the settings and the answer of each question; each reference is read once, and one at a time."""
    from probekit.features import FeatureStream

    rounds, limit = len(every) * session.count, asked.limit
    for place, opened in enumerate(session.opened(limit)):
        if isinstance(opened, FeatureStream):
            session.remark(f"note: {opened.name} was read in blocks: {limit.why(opened)}.")
        for number, settings in enumerate(every):
            progress = partial(_round, show, place * len(every) + number, rounds)
            yield opened.without_rows(), settings, _ask(session, asked, opened, settings, progress)


def _ask(
    session: "Session",
    asked: Asked,
    opened: "FeatureSet | FeatureStream",
    settings: "PairSettings",
    progress: OnProgress,
) -> Any:  # noqa: ANN401  # the answer to a question of any kind
    from probekit import pairs

    how: dict[str, Any] = {"device": asked.device, "on_progress": progress}
    if asked.shot_numbers is not None:
        return pairs.score_shots(opened, settings, asked.shot_numbers, **how)
    if asked.fuse:
        return pairs.score_ensemble(asked.limit.loaded(opened, "--fuse"), settings, **how)
    if asked.perturbed is not None:
        features = asked.limit.loaded(opened, "--perturbed")
        return pairs.score_robustness(features, session.perturbed(features, asked.perturbed), settings, **how)
    return pairs.score_pairs(opened, settings, **how)


def _choose(overview: Overview, asked: Asked, found: "Sequence[tuple[FeatureSet, PairResult]]", probe: str) -> None:
    """The answer of the features that each training set's selection loss chose; their probes are kept with them."""
    from probekit.features import Source
    from probekit.fingerprint import plain_object
    from probekit.pairs import choose_features

    session = overview.session
    chosen = choose_features([result for _, result in found])
    for features, result in found:
        own = {train: trial for train, trial in result.trials.items() if chosen.trials[train] is trial}
        saved.keep(session, asked, features, replace(result, trials=own))
    label = replace(found[0][0], sources=(Source(**chosen.source, address=""),))
    matrix.record(overview, asked, label, replace(chosen, trials={}), f"-{probe}")
    for train, name in plain_object(chosen.selection["features"]).items():
        session.remark(f"chosen for {train}: {name}")


def _round(show: OnProgress, number: int, rounds: int, done: int, total: int) -> None:
    show(number * total + done, rounds * total)
