"""Both answers for one gallery: the closed set, and the open set with both non-mated pools."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Scores
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import open_set
from probekit.metrics.bootstrap import FEWEST_GROUPS
from probekit.projections import Projection
from probekit.protocols import require_finite
from probekit.retrieval.bank import Bank, ordered
from probekit.retrieval.closed_set import (
    ClosedSet,
    Searched,
    by_class,
    first_neighbours,
    query_table,
    summarise,
    taken_for,
)
from probekit.retrieval.near_ranks import rank_near
from probekit.retrieval.open_set import OpenSet, measure_pool
from probekit.retrieval.ranks import Ranked, rank_curve, rank_queries
from probekit.retrieval.rows import SEARCHED, Turn, turns
from probekit.retrieval.searches import POOLS, Pool, enrolled_rows, search_enrolled
from probekit.retrieval.settings import FLAT, RetrievalSettings
from probekit.retrieval.thresholds import validation_scores

BankOf = Callable[[Turn], Bank]


@dataclass(frozen=True)
class RetrievalResult:
    """Answers to both questions, and the tables behind them."""

    reference: str
    settings: RetrievalSettings
    closed: ClosedSet
    open: tuple[OpenSet, ...]
    per_class: pd.DataFrame
    """generator, n_queries, n_scored, n_gallery, rank1, rank5, rank10, class_rank1, map, map_at_r, r_precision,
    knn_recall."""
    confusion: pd.DataFrame
    """Scored queries, counted by generator of the query (rows) and of its first neighbour (columns)."""
    neighbours: pd.DataFrame
    """The same, to look at: only registered columns, and rows of unregistered generators, marked as such."""
    queries: pd.DataFrame
    """Every query: path, generator, domain, label, group, registered (whether its generator is), nearest_path,
    nearest_generator, similarity, knn_generator, knn_score, rank1 (whether the first neighbour is of its generator),
    class_rank1 and ap, which are NaN without an admissible row of its generator."""
    rank_curve: pd.DataFrame
    """level (item, class), k, rate: the cumulative match characteristic."""
    scores: pd.DataFrame
    """Open set: path, group, pool (mated, unregistered, real), generator, score, answer, correct; a row a search."""
    searched: Searched
    """Every query and what it found, for whoever compares or draws."""
    notes: tuple[str, ...]
    """What a reader must know: no validation rows, queries that were left out …"""
    projection: tuple[Mapping[str, JSONValue], ...] = ()
    """The record of the projection of each turn."""

    def det(self, pool: Pool) -> tuple[Scores, Scores]:
        """FPIR and FNIR of the mated searches against one pool, at every score that occurs."""
        mated, other = (self.scores[self.scores["pool"] == name] for name in ("mated", pool))
        fpir, fnir, _ = open_set.det(
            mated["score"].to_numpy(), mated["correct"].to_numpy(dtype=bool), other["score"].to_numpy()
        )
        return fpir, fnir

    def to_json(self) -> dict[str, JSONValue]:
        """Numbers for `--json`: intervals are called `<metric>_ci`, and what is undefined is null."""
        return {
            "reference": self.reference,
            "settings": plain(self.settings),
            "engine": self.searched.engine,
            "recall": self.searched.recall,
            "projection": [plain(record) for record in self.projection] or None,
            "closed_set": self.closed.to_json(),
            "open_set": [pool.to_json() for pool in self.open],
            "per_class": [metrics.json_row(row) for row in self.per_class.to_dict("records")],
            "confusion": {
                "query": self.confusion.index.tolist(),
                "neighbour": self.confusion.columns.tolist(),
                "counts": self.confusion.to_numpy().tolist(),
            },
            "rank_curve": [metrics.json_row(row) for row in self.rank_curve.to_dict("records")],
            "notes": list(self.notes),
        }


def retrieve(
    features: FeatureSet, settings: RetrievalSettings, projection: Projection | None = None, *, by_fold: bool = False
) -> RetrievalResult:
    """Rank-k, mAP and k-NN attribution of the queries, and the open-set rates of both non-mated pools.

    Args:
        features: of all samples; those of two manifests come `beside` each other.
        settings: what is searched for what.
        projection: learned from registered training rows and applied to all.
        by_fold: out of fold, search as a projection needs it (each fold in the others), for comparison with one.

    Raises:
        UsageError: no gallery row or no query is left, or `k` is below 1.
        ModelError: a feature is not finite.
        ProbeError: the projection cannot be learned.
        UnknownNameError: an unknown generator, pool or domain that does not occur in the manifest.
    """
    require_finite(features.samples, features.blocks)
    learns = projection is not None or settings.fitted
    asked = turns(features.samples, settings, learns=learns or by_fold)
    bank_of = partial(Bank.of, features, settings=settings, projection=projection)
    banks = [bank_of(turn) for turn in asked]
    searched = search_all(banks, asked, settings)
    scores, opened = search_open(banks, asked, settings, bank_of if learns else None)
    closed = summarise(searched, settings)
    return RetrievalResult(
        reference=features.reference,
        settings=settings,
        closed=closed,
        open=opened,
        per_class=by_class(searched),
        confusion=first_neighbours(searched),
        neighbours=taken_for(searched),
        queries=query_table(searched),
        rank_curve=rank_curve(searched.ranked, len(set(searched.enrolled))),
        scores=scores,
        searched=searched,
        notes=(*_engine_notes(searched), *_notes(features, settings, closed, opened, asked)),
        projection=tuple(bank.projected.record for bank in banks if bank.projected),
    )


def search_all(banks: Sequence[Bank], asked: Sequence[Turn], settings: RetrievalSettings) -> Searched:
    """What the queries of all turns found, in the order of the samples."""
    generator = banks[0].generator
    gallery = np.unique(np.concatenate([turn.gallery for turn in asked]))
    queries = np.concatenate([turn.queries for turn in asked])
    names = ordered(generator[np.concatenate([gallery, queries])])
    code = pd.Index(names).get_indexer(pd.Index(generator))
    order = np.argsort(queries, kind="stable")
    engine = settings.engine(len(gallery), banks[0].vectors.shape[1])
    pairs = list(zip(banks, asked, strict=True))
    if engine == FLAT:
        parts, recall = [rank_queries(bank, turn, code, settings) for bank, turn in pairs], None
    else:
        found = [rank_near(bank, turn, code, settings, engine) for bank, turn in pairs]
        parts, recall = [ranked for ranked, _ in found], float(np.mean([share for _, share in found]))
    ranked, queries = Ranked.joined(parts, order), queries[order]
    return Searched(banks, asked, names, queries, code[queries], code[gallery], ranked, engine, recall)


def search_open(
    banks: Sequence[Bank], asked: Sequence[Turn], settings: RetrievalSettings, bank_of: BankOf | None = None
) -> tuple[pd.DataFrame, tuple[OpenSet, ...]]:
    """Every search of what is enrolled, and the rates of both pools as far as there are searches."""
    found = [
        search_enrolled(bank, enrolled_rows(bank, turn), turn.queries) for bank, turn in zip(banks, asked, strict=True)
    ]
    scores = pd.concat(found, ignore_index=True)
    gallery = np.unique(np.concatenate([turn.gallery for turn in asked]))
    enrolled = enrolled_rows(banks[0], Turn(gallery, gallery, gallery))
    thresholds = validation_scores(banks[0], asked[0], settings, bank_of)
    pools = [measure_pool(pool, banks[0].generator[enrolled], scores, thresholds, settings) for pool in POOLS]
    return scores, tuple(pool for pool in pools if pool is not None)


def _engine_notes(searched: Searched) -> tuple[str, ...]:
    if searched.recall is None:
        return ()
    return (
        f"Ranked by {searched.engine}, which finds {searched.recall:.3f} of the 10 nearest rows of sampled queries. "
        "mAP, MAP@R, R-precision and class Rank-k need every row and are left out: --index flat compares with all.",
    )


def _notes(
    features: FeatureSet,
    settings: RetrievalSettings,
    closed: ClosedSet,
    opened: Sequence[OpenSet],
    asked: Sequence[Turn],
) -> tuple[str, ...]:
    notes = []
    if settings.folds and len(asked) == 1:
        notes.append("Out of fold: every sample is searched among all rows of other groups.")
    elif settings.folds:
        notes.append(f"Out of fold: the samples of each of {len(asked)} folds of groups are searched among the others.")
    if SEARCHED in features.samples:
        notes += _shared_groups(features.samples)
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
        notes += [
            f"Pool {pool.pool}: the validation threshold for FPIR {point.fpir:g} does not carry over: it lets "
            f"{point.measured_fpir:.3f} of these {pool.n_non_mated} searches through."
            for point in pool.points
            if point.exceeded
        ][-1:]
    return tuple(notes)


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


def _shared_groups(samples: pd.DataFrame) -> list[str]:
    own = samples.groupby(SEARCHED)["group"].unique()
    shared = set(own.get(True, ())) & set(own.get(False, ()))
    if not shared:
        return []
    return [f"{len(shared)} groups are in both manifests: their queries do not find rows of their own group."]
