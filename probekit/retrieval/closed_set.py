"""Closed set: every query ranks all admissible gallery rows, and its own class should come early."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Float, Groups, Int
from probekit.fingerprint import JSONValue
from probekit.metrics import ranking
from probekit.metrics.bootstrap import Interval, resample
from probekit.retrieval.ranks import CURVE, KS, Ranked
from probekit.retrieval.rows import Turn
from probekit.retrieval.settings import FLAT, RetrievalSettings


@dataclass(frozen=True)
class ClosedSet:
    """How early a query's own class is found. NaN where no query has a relevant row."""

    n_gallery: int
    n_queries: int
    n_scored: int
    """Queries that enter the averages."""
    n_without_relevant: int
    """Queries without an admissible row of their class, those of unregistered generators among them."""
    n_unregistered: int
    """Queries of generators without any gallery row."""
    rank: Mapping[int, float]
    """Rank-k (item): share of queries with a row of their class among the k nearest."""
    class_rank: Mapping[int, float]
    """Rank-k (class): share of queries whose class is among the k nearest classes."""
    mean_ap: float
    macro_ap: float
    """Mean over classes of the mean average precision."""
    map_at_r: float
    """Mean of the average precision within the first R, of R relevant rows."""
    r_precision: float
    knn_accuracy: float
    knn_balanced_accuracy: float
    intervals: Mapping[str, Interval]
    """95 % by bootstrap over query groups, by the names of `to_json`; NaN with fewer than 10 groups."""

    def to_json(self) -> dict[str, JSONValue]:
        """Counts, both ranks by k, the other numbers by the names of their intervals; an undefined one is null."""
        counts = ("n_gallery", "n_queries", "n_scored", "n_without_relevant", "n_unregistered")
        numbers = {
            **{name: getattr(self, name) for name in counts},
            "map": self.mean_ap,
            "macro_map": self.macro_ap,
            "map_at_r": self.map_at_r,
            "r_precision": self.r_precision,
            "knn_accuracy": self.knn_accuracy,
            "knn_balanced_accuracy": self.knn_balanced_accuracy,
        }
        for name, (low, high) in self.intervals.items():
            numbers |= {f"{name}_lo": low, f"{name}_hi": high}
        ranks = {"rank": metrics.json_row(self.rank), "class_rank": metrics.json_row(self.class_rank)}
        return {**ranks, **metrics.json_row(numbers)}


@dataclass(frozen=True, eq=False)
class Searched:
    """All queries, what they found and what they were searched in."""

    samples: pd.DataFrame
    turns: Sequence[Turn]
    names: Sequence[str]
    """The classes, `real` first; they are numbered in this order."""
    queries: Int[np.ndarray, " q"]
    truth: Int[np.ndarray, " q"]
    """The class of each query."""
    enrolled: Int[np.ndarray, " n"]
    """The class of each gallery row."""
    ranked: Ranked
    engine: str = FLAT
    """What ranked them: `flat` compared every query with every row."""
    recall: float | None = None
    """recall@10 of the engine on a sample of the queries, mean over turns; None of flat."""

    def column(self, name: str) -> Groups:
        """What stands in a column of the samples, one value a sample."""
        return self.samples[name].to_numpy(dtype=object)

    @property
    def nearest_class(self) -> Int[np.ndarray, " q"]:
        """The class of each query's first neighbour; -1 where there is none."""
        found = pd.Index(self.names).get_indexer(pd.Index(self.column("generator")[self.ranked.nearest]))
        classes: Int[np.ndarray, " q"] = np.where(self.ranked.nearest >= 0, found, -1)
        return classes


def summarise(searched: Searched, settings: RetrievalSettings) -> ClosedSet:
    """Averages over the queries that have a relevant row, and their intervals."""
    ranked, scored = searched.ranked, searched.ranked.scored
    truth, right, precision = searched.truth[scored], ranked.right[scored], ranked.precision[scored]
    hits, class_hits = ranked.hits[scored], ranked.class_hits[scored]
    at_r, r_precision = ranked.at_r[scored], ranked.r_precision[scored]
    draws = resample(searched.column("group")[searched.queries[scored]], settings.bootstrap, settings.seed)
    return ClosedSet(
        n_gallery=len(searched.enrolled),
        n_queries=len(searched.queries),
        n_scored=int(scored.sum()),
        n_without_relevant=int((~scored).sum()),
        n_unregistered=int((~np.isin(searched.truth, searched.enrolled)).sum()),
        rank={k: _mean(hits[:, CURVE.index(k)]) for k in KS},
        class_rank={k: _mean(class_hits[:, CURVE.index(k)]) for k in KS},
        mean_ap=_mean(precision),
        macro_ap=ranking.mean_by_class(precision, truth),
        map_at_r=_mean(at_r),
        r_precision=_mean(r_precision),
        knn_accuracy=_mean(right),
        knn_balanced_accuracy=ranking.mean_by_class(right, truth),
        intervals={
            "rank1": draws.mean(hits[:, 0]),
            "class_rank1": draws.mean(class_hits[:, 0]),
            "map": draws.mean(precision),
            "macro_map": draws.class_mean(precision, truth),
            "map_at_r": draws.mean(at_r),
            "r_precision": draws.mean(r_precision),
            "knn_accuracy": draws.mean(right),
            "knn_balanced_accuracy": draws.class_mean(right, truth),
        },
    )


def by_class(searched: Searched) -> pd.DataFrame:
    """A row a class: generator, its counts, rank1, rank5, rank10, class_rank1, map, map_at_r, r_precision, recall."""
    ranked = searched.ranked
    rows = []
    for number, name in enumerate(searched.names):
        own = searched.truth == number
        counted = own & ranked.scored
        rows.append(
            {
                "generator": name,
                "n_queries": int(own.sum()),
                "n_scored": int(counted.sum()),
                "n_gallery": int((searched.enrolled == number).sum()),
                **{f"rank{k}": _mean(ranked.hits[counted, CURVE.index(k)]) for k in KS},
                "class_rank1": _mean(ranked.class_hits[counted, 0]),
                "map": _mean(ranked.precision[counted]),
                "map_at_r": _mean(ranked.at_r[counted]),
                "r_precision": _mean(ranked.r_precision[counted]),
                "knn_recall": _mean(ranked.right[counted]),
            }
        )
    return pd.DataFrame(rows)


def first_neighbours(searched: Searched) -> pd.DataFrame:
    """Counts of scored queries by their class (rows) and that of their first neighbour (columns)."""
    names, scored = list(searched.names), searched.ranked.scored
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (searched.truth[scored], searched.nearest_class[scored]), 1)
    return pd.DataFrame(counts, index=pd.Index(names, name="query"), columns=pd.Index(names, name="neighbour"))


def taken_for(searched: Searched) -> pd.DataFrame:
    """First neighbours of the scored queries and, in rows `NAME (not registered)`, of those that nobody registered.

    Counts by generator of the query (rows, those that were searched) and of its first neighbour (columns, registered).
    """
    ranked, names = searched.ranked, searched.names
    enrolled = np.unique(searched.enrolled)
    known = np.isin(searched.truth, enrolled)
    counted = np.where(known, ranked.scored, ranked.nearest >= 0)
    truth, answer = searched.truth[counted], searched.nearest_class[counted]
    counts = {names[j]: [int(((truth == i) & (answer == j)).sum()) for i in np.unique(truth)] for j in enrolled}
    rows = [names[i] if i in enrolled else f"{names[i]} (not registered)" for i in np.unique(truth)]
    return pd.DataFrame(counts, index=pd.Index(rows, name="query")).rename_axis(columns="neighbour")


def query_table(searched: Searched) -> pd.DataFrame:
    """A row a query: what it is, its first neighbour, the vote, Rank-1 by item and by class, and average precision."""
    ranked, queries = searched.ranked, searched.queries
    own = searched.samples.iloc[queries]
    missing, names = ranked.nearest < 0, np.array([*searched.names, None], dtype=object)
    return pd.DataFrame(
        {
            **{name: own[name].to_numpy() for name in ("path", "generator", "domain", "label", "group")},
            "registered": np.isin(searched.truth, searched.enrolled),
            "nearest_path": np.where(missing, None, searched.column("path")[ranked.nearest]),
            "nearest_generator": np.where(missing, None, searched.column("generator")[ranked.nearest]),
            "similarity": ranked.similarity,
            "knn_generator": names[ranked.answer],
            "knn_score": ranked.share,
            "rank1": ranked.hits[:, CURVE.index(1)],
            "class_rank1": ranked.class_hits[:, CURVE.index(1)],
            "ap": ranked.precision,
        }
    )


def _mean(values: Float[np.ndarray, " n"]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
