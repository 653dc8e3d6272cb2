"""Retrieval: which registered example is nearest to an image, and is it from a registered generator at all?

Two questions are asked of the same cosine similarities.

*Closed set.* Classes are generators, `real` among them. Every query ranks all admissible gallery rows:
never itself, never a row of its group. A query whose class has no admissible row is counted apart and
enters no average.

*Open set.* As on a kept blacklist, what is enrolled are generators only: real images are nobody's work, so
`real` and the `unknown` generators have no row in this gallery. The score of a search is the similarity of
the nearest enrolled row (never a vote), its answer that row's generator.

    mated searches          queries of an enrolled generator with an admissible row of their own class
    non-mated, two pools    `unregistered`: queries of the unknown generators    `real`: queries of real
    images

AUROC, OSCR, CCR@FPR and TNR@TPR describe the scores over all thresholds. DIR and FNIR need one threshold
for each FPIR, and it comes from validation rows: for the pool `real`, from real ones; for the pool
`unregistered`, from rows of each enrolled generator searched in a gallery without that generator, because
the unknown generators themselves must not take part. Where the split leaves no such rows (folds; validation
rows used as queries or gallery; one enrolled generator), the threshold is the one at which the non-mated
queries themselves have that FPIR, as NIST reports it; every operating point says which of the two it is. A
pool of fewer than 1/FPIR searches cannot resolve that FPIR, be it the pool that sets the threshold or the
one it is measured on: `unresolvable`, and no number.

    settings.py     what is searched for what
    bank.py         the rows as vectors that search one another
    closed_set.py   Rank-k, mAP and the vote
    searches.py     mated and non-mated searches of what is enrolled
    thresholds.py   thresholds for a wanted FPIR
    open_set.py     the rates of one non-mated pool
"""

import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Int, Mask
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.manifest import REAL
from probekit.metrics.bootstrap import FEWEST_GROUPS
from probekit.protocols import require_finite
from probekit.registry import unknown_name
from probekit.retrieval.bank import Bank
from probekit.retrieval.closed_set import (
    ClosedSet,
    by_class,
    first_neighbours,
    query_table,
    rank_queries,
    summarise,
)
from probekit.retrieval.open_set import OpenSet, measure_pool
from probekit.retrieval.searches import POOLS, search_enrolled
from probekit.retrieval.settings import RetrievalSettings, Rows
from probekit.retrieval.thresholds import OperatingPoint, validation_scores

__all__ = ["ClosedSet", "OpenSet", "OperatingPoint", "RetrievalResult", "RetrievalSettings", "retrieve"]


@dataclass(frozen=True)
class RetrievalResult:
    """Answers to both questions, and the tables behind them."""

    reference: str
    settings: RetrievalSettings
    closed: ClosedSet
    open: tuple[OpenSet, ...]
    per_class: pd.DataFrame
    """generator, n_queries, n_scored, n_gallery, rank1, rank5, rank10, map, knn_recall."""
    confusion: pd.DataFrame
    """Scored queries, counted by generator of the query (rows) and of its first neighbour (columns)."""
    queries: pd.DataFrame
    """path, generator, nearest_path, nearest_generator, similarity, knn_generator, knn_score, ap."""
    scores: pd.DataFrame
    """Open set: path, pool (mated, unregistered, real), generator, score, answer, correct; a row a search."""
    notes: tuple[str, ...]
    """What a reader must know: no validation rows, queries that were left out …"""

    def to_json(self) -> dict[str, JSONValue]:
        """Numbers for `--json`: intervals are called `<metric>_ci`, and what is undefined is null."""
        return {
            "reference": self.reference,
            "settings": plain(self.settings),
            "closed_set": self.closed.to_json(),
            "open_set": [pool.to_json() for pool in self.open],
            "per_class": [metrics.json_row(row) for row in self.per_class.to_dict("records")],
            "confusion": {
                "query": self.confusion.index.tolist(),
                "neighbour": self.confusion.columns.tolist(),
                "counts": self.confusion.to_numpy().tolist(),
            },
            "notes": list(self.notes),
        }


def retrieve(features: FeatureSet, settings: RetrievalSettings) -> RetrievalResult:
    """Rank-k, mAP and k-NN attribution of the queries, and the open-set rates of both non-mated pools.

    Raises:
        UsageError: no gallery row or no query is left, or `k` is below 1.
        ModelError: a feature is not finite.
        UnknownNameError: an unknown generator that does not occur in the manifest.
    """
    samples = features.samples
    require_finite(samples, features.blocks)
    if settings.folds:
        settings = replace(settings, gallery="all", query="all")
    _check_unknown(samples, settings.unknown)
    registered = ~samples["generator"].isin(settings.unknown).to_numpy()
    gallery = _rows_of(samples, "gallery", settings.gallery, registered)
    queries = _rows_of(samples, "query", settings.query)
    bank = Bank.of(features, gallery, settings.condition)

    ranked = rank_queries(bank, gallery, queries, settings)
    closed = summarise(bank, queries, ranked, settings)
    enrolled = gallery[bank.generator[gallery] != REAL]
    scores = search_enrolled(bank, enrolled, queries)
    thresholds = validation_scores(bank, enrolled, settings)
    pools = [measure_pool(pool, bank.generator[enrolled], scores, thresholds, settings) for pool in POOLS]
    opened = tuple(pool for pool in pools if pool is not None)
    return RetrievalResult(
        reference=features.reference,
        settings=settings,
        closed=closed,
        open=opened,
        per_class=by_class(ranked),
        confusion=first_neighbours(ranked),
        queries=query_table(bank, queries, ranked),
        scores=scores.drop(columns="group"),
        notes=_notes(features, settings, closed, opened),
    )


def _rows_of(samples: pd.DataFrame, flag: str, split: Rows, allowed: Mask | None = None) -> Int[np.ndarray, " n"]:
    chosen = np.full(len(samples), True) if split == "all" else (samples["split"] == split).to_numpy()
    rows = np.flatnonzero(chosen if allowed is None else chosen & allowed)
    if len(rows) == 0:
        counts = ", ".join(f"{n} {name}" for name, n in samples["split"].value_counts().items())
        raise UsageError(
            f"--{flag} {split} leaves no row with features (rows by split: {counts or 'none at all'}): "
            "choose another split, or extract the missing samples."
        )
    return rows


def _check_unknown(samples: pd.DataFrame, unknown: tuple[str, ...]) -> None:
    known = set(samples["generator"])
    for name in unknown:
        if name == REAL:
            raise UsageError("--unknown real: real images are a pool of their own; name generators only.")
        if name not in known:
            raise unknown_name("generator", name, known - {REAL})


def _notes(
    features: FeatureSet, settings: RetrievalSettings, closed: ClosedSet, opened: tuple[OpenSet, ...]
) -> tuple[str, ...]:
    notes = []
    if settings.folds:
        notes.append("Out of fold: every sample is searched among all rows of other groups.")
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
    return tuple(notes)
