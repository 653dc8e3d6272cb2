"""The binary task: who is asked, and what is recorded of a train/test matrix."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from probekit_cli.probe import further, pictures, saved, shown
from probekit_cli.probe.asked import Asked
from probekit_cli.probe.overview import Overview

if TYPE_CHECKING:
    from probekit.features import FeatureSet
    from probekit.pairs import PairResult, PairSettings

OnProgress = Callable[[int, int], None]


def answer(overview: Overview, asked: Asked, every: "Sequence[PairSettings]", show: OnProgress) -> None:
    """Every question, of every feature reference."""
    from probekit.pairs import score_pairs

    session = overview.session
    found: list[tuple[FeatureSet, PairResult]] = []
    questions = [(features, settings) for features in session.feature_sets() for settings in every]
    rounds = len(every) * session.count
    for number, (features, settings) in enumerate(questions):
        progress = partial(_round, show, number, rounds)
        if asked.shots:
            further.shots(session, asked, features, settings, progress)
        elif asked.fuse:
            further.ensemble(overview, asked, features, settings, progress)
        elif asked.perturbed:
            further.robustness(session, asked, features, settings, progress)
        else:
            result = score_pairs(features, settings, device=asked.device, on_progress=progress)
            found.append((features, result))
            if not asked.choose_features:
                further.matrix(overview, asked, features, result)
