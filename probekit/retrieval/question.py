"""Both answers for one gallery: the closed set, and the open set with both non-mated pools."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Scores
from probekit.features import FeatureSet, FeatureStream
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import open_set
from probekit.projections import Projection
from probekit.retrieval.asking import Found, OpenSearches, Question, classes, gallery_of
from probekit.retrieval.closed_set import (
    ClosedSet,
    Searched,
    by_class,
    first_neighbours,
    query_table,
    summarise,
    taken_for,
)
from probekit.retrieval.notes import notes_on
from probekit.retrieval.open_set import OpenSet, measure_pool
from probekit.retrieval.ranks import Ranked, rank_curve
from probekit.retrieval.rows import Turn
from probekit.retrieval.searches import POOLS, Pool, enrolled_rows
from probekit.retrieval.settings import RetrievalSettings


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
    features: FeatureSet | FeatureStream,
    settings: RetrievalSettings,
    projection: Projection | None = None,
    *,
    by_fold: bool = False,
    folder: Path | None = None,
) -> RetrievalResult:
    """Rank-k, mAP and k-NN attribution of the queries, and the open-set rates of both non-mated pools.

    Args:
        features: of all samples; those of two manifests come `beside` each other.
        settings: what is searched for what.
        projection: learned from registered training rows and applied to all.
        by_fold: out of fold, search as a projection needs it (each fold in the others), for comparison with one.
        folder: where the gallery of a stream lies while it is searched; the system's own unless given.

    Raises:
        UsageError: no gallery row or no query is left, or `k` is below 1.
        ModelError: a feature is not finite.
        ProbeError: the projection cannot be learned.
        UnknownNameError: an unknown generator, pool or domain that does not occur in the manifest.
    """
    question = Question(settings, projection, by_fold)
    return conclude(question, features, [question(features, folder)])


def conclude(question: Question, features: FeatureSet | FeatureStream, found: Sequence[Found]) -> RetrievalResult:
    """Averages, rates and intervals, from what the queries of all shares found.

    Args:
        question: of which they are shares.
        features: of all samples; they may be labelled only.
        found: a value a share.
    """
    samples, settings = features.samples, question.settings
    asked = question.turns(samples)
    searched = gather(samples, asked, found)
    closed = summarise(searched, settings)
    searches, opened = measure_open(samples, asked, [part.open for part in found], settings)
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
        scores=searches,
        searched=searched,
        notes=notes_on(features, settings, searched, closed, opened),
        projection=found[0].projection,
    )


def gather(samples: pd.DataFrame, asked: Sequence[Turn], found: Sequence[Found]) -> Searched:
    """The queries of all shares, in the order of the samples."""
    names, code = classes(samples, asked)
    queries = np.concatenate([part.queries for part in found])
    order = np.argsort(queries, kind="stable")
    return Searched(
        samples=samples,
        turns=asked,
        names=names,
        queries=queries[order],
        truth=code[queries[order]],
        enrolled=code[gallery_of(asked)],
        ranked=Ranked.joined([part.ranked for part in found]).in_order(order),
        engine=found[0].engine,
        recall=found[0].recall,
    )


def measure_open(
    samples: pd.DataFrame, asked: Sequence[Turn], found: Sequence[OpenSearches], settings: RetrievalSettings
) -> tuple[pd.DataFrame, tuple[OpenSet, ...]]:
    """Every search of what is enrolled, and the rates of both pools as far as there are searches."""
    searches = pd.concat([part.searches for part in found]).sort_index(kind="stable").reset_index(drop=True)
    thresholds: dict[str, Scores] = {pool: np.concatenate([part.thresholds[pool] for part in found]) for pool in POOLS}
    gallery = gallery_of(asked)
    enrolled = enrolled_rows(samples, Turn(gallery, gallery, gallery))
    generator = samples["generator"].to_numpy(dtype=object)[enrolled]
    pools = [measure_pool(pool, generator, searches, thresholds, settings) for pool in POOLS]
    return searches, tuple(pool for pool in pools if pool is not None)
