"""What a reader of an answer must know: what was left out, what was not measured, what does not carry over."""

import math
from collections.abc import Sequence

import pandas as pd

from probekit.features import FeatureSet, FeatureStream
from probekit.metrics.bootstrap import FEWEST_GROUPS
from probekit.retrieval.closed_set import ClosedSet, Searched
from probekit.retrieval.open_set import OpenSet
from probekit.retrieval.rows import SEARCHED
from probekit.retrieval.settings import RetrievalSettings

RECALL = 0.95
"""recall@10 below which neighbours are missed too often to be passed over in silence."""


def notes_on(
    features: FeatureSet | FeatureStream,
    settings: RetrievalSettings,
    searched: Searched,
    closed: ClosedSet,
    opened: Sequence[OpenSet],
) -> tuple[str, ...]:
    """The notes, the most general first."""
    notes = [*_on_engine(searched), *_on_folds(settings, len(searched.turns))]
    if SEARCHED in features.samples:
        notes += _on_shared_groups(features.samples)
    if len(features.excluded):
        notes.append(f"{len(features.excluded)} samples have no features and take no part.")
    if closed.n_without_relevant:
        notes.append(
            f"{closed.n_without_relevant} of {closed.n_queries} queries have no admissible gallery row of "
            f"their class ({closed.n_unregistered} are of unregistered generators): they enter no average."
        )
    if math.isnan(closed.intervals["rank1"][0]) and settings.bootstrap:
        notes.append(f"Fewer than {FEWEST_GROUPS} groups of queries: no intervals.")
    for pool in opened:
        notes += _on_pool(pool)
    return tuple(notes)


def _on_engine(searched: Searched) -> list[str]:
    if searched.recall is None:
        return []
    notes = [
        f"Ranked by {searched.engine}, which finds {searched.recall:.3f} of the 10 nearest rows of sampled queries. "
        "mAP, MAP@R, R-precision and class Rank-k need every row and are left out: --index flat compares with all."
    ]
    if searched.recall < RECALL:
        notes.append(
            f"{searched.engine} misses more than {1 - RECALL:.0%} of the nearest rows here, so Rank-k and the vote "
            "may come out lower than they are: --index flat misses none."
        )
    return notes


def _on_folds(settings: RetrievalSettings, turns: int) -> list[str]:
    if not settings.folds:
        return []
    if turns == 1:
        return ["Out of fold: every sample is searched among all rows of other groups."]
    return [f"Out of fold: the samples of each of {turns} folds of groups are searched among the others."]


def _on_shared_groups(samples: pd.DataFrame) -> list[str]:
    own = samples.groupby(SEARCHED)["group"].unique()
    shared = set(own.get(True, ())) & set(own.get(False, ()))
    if not shared:
        return []
    return [f"{len(shared)} groups are in both manifests: their queries do not find rows of their own group."]


def _on_pool(pool: OpenSet) -> list[str]:
    notes = []
    if pool.points[0].threshold_from == "queries":
        notes.append(
            f"Pool {pool.pool}: no validation rows to set thresholds, so DIR is given where the "
            f"{pool.n_non_mated} non-mated queries themselves have that FPIR."
        )
    notes += _out_of_reach(pool)
    if pool.auroc < 0.5:
        notes.append(
            f"Pool {pool.pool}: AUROC {pool.auroc:.3f}, below .5: registered generators are less like their "
            "examples than this pool is. These similarities do not tell who is registered."
        )
    exceeded = [
        f"Pool {pool.pool}: the validation threshold for FPIR {point.fpir:g} does not carry over: it lets "
        f"{point.measured_fpir:.3f} of these {pool.n_non_mated} searches through."
        for point in pool.points
        if point.exceeded
    ]
    return notes + exceeded[-1:]


def _out_of_reach(pool: OpenSet) -> list[str]:
    """Why no mated search is accepted at some FPIRs."""
    found = [point for point in pool.points if point.n_above_mated is not None]
    if not found:
        return []
    last = found[-1]
    searches = "validation searches" if last.threshold_from == "validation" else "non-mated queries"
    return [
        f"Pool {pool.pool}: no threshold accepts any mated search at FPIR "
        f"{', '.join(f'{point.fpir:g}' for point in found)}, so DIR is 0 there: {last.n_above_mated} of "
        f"{last.n_threshold} {searches} score as high as the best mated one (cosine {pool.best_mated:.3f})."
    ]
