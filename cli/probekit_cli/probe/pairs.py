"""The binary task: which question is asked of which features."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from probekit_cli.probe import further, matrix, saved
from probekit_cli.probe.asked import Asked
from probekit_cli.probe.overview import Overview

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult, PairSettings

OnProgress = Callable[[int, int], None]


def answer(overview: Overview, asked: Asked, every: "Sequence[PairSettings]", show: OnProgress) -> None:
    """Every question, of every feature reference; each reference is read once, and one at a time."""
    from probekit.pairs import score_pairs

    found: list[tuple[FeatureSet, PairResult]] = []
    rounds = len(every) * overview.session.count
    for place, features in enumerate(overview.session.feature_sets()):
        for number, settings in enumerate(every):
            progress = partial(_round, show, place * len(every) + number, rounds)
            named = f"-{settings.probe}" if len(every) > 1 else ""
            if asked.shots is not None:
                further.shots(overview.session, asked, features, settings, progress, named)
            elif asked.fuse:
                further.ensemble(overview, asked, features, settings, progress, named)
            elif asked.perturbed is not None:
                further.robustness(overview.session, asked, features, settings, progress, named)
            else:
                result = score_pairs(features, settings, device=asked.device, on_progress=progress)
                if asked.choose_features:
                    found.append((features.without_rows(), result))
                else:
                    matrix.record(overview, asked, features, result, named)
    for settings in every if asked.choose_features else ():
        _choose(overview, asked, [one for one in found if one[1].settings == settings], settings.probe)


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
