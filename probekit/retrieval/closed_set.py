"""Closed set: every query ranks all admissible gallery rows, and its own class should come early."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Float, Int, Mask, Scores
from probekit.fingerprint import JSONValue
from probekit.metrics import ranking
from probekit.metrics.bootstrap import Interval, resample
from probekit.neighbours import similarity_blocks
from probekit.retrieval.bank import Bank, ordered
from probekit.retrieval.settings import RetrievalSettings

KS = (1, 5, 10)


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
    mean_ap: float
    macro_ap: float
    """Mean over classes of the mean average precision."""
    knn_accuracy: float
    knn_balanced_accuracy: float
    intervals: Mapping[str, Interval]
    """95 % by bootstrap over query groups, for `rank1`, `map`, `macro_map`, `knn_accuracy` and
    `knn_balanced_accuracy`; NaN with fewer than 10 groups."""

    def to_json(self) -> dict[str, JSONValue]:
        """Counts, rank by k, the other numbers by the names of their intervals; an undefined one is null."""
        counts = ("n_gallery", "n_queries", "n_scored", "n_without_relevant", "n_unregistered")
        numbers = {
            **{name: getattr(self, name) for name in counts},
            "map": self.mean_ap,
            "macro_map": self.macro_ap,
            "knn_accuracy": self.knn_accuracy,
            "knn_balanced_accuracy": self.knn_balanced_accuracy,
        }
        for name, (low, high) in self.intervals.items():
            numbers |= {f"{name}_lo": low, f"{name}_hi": high}
        return {"rank": metrics.json_row(self.rank), **metrics.json_row(numbers)}


@dataclass(frozen=True)
class Ranked:
    """What every query found."""

    names: Sequence[str]
    """The classes, `real` first; they are numbered in this order."""
    truth: Int[np.ndarray, " q"]
    """The class of each query."""
    enrolled: Int[np.ndarray, " n"]
    """The class of each gallery row."""
    hits: Float[np.ndarray, "q k"]
    """For each of `KS`; NaN, as in the next two, where no row is relevant."""
    precision: Scores
    right: Scores
    """Whether the vote names the query's class."""
    answer: Int[np.ndarray, " q"]
    """The class with most votes."""
    share: Scores
    """Of the votes for it."""
    nearest: Int[np.ndarray, " q"]
    """The first neighbour, a row of the bank; -1 where there is none."""
    nearest_class: Int[np.ndarray, " q"]
    similarity: Scores

    @property
    def scored(self) -> Mask:
        """Queries that enter the averages."""
        found: Mask = ~np.isnan(self.precision)
        return found


def rank_queries(
    bank: Bank, gallery: Int[np.ndarray, " n"], queries: Int[np.ndarray, " q"], settings: RetrievalSettings
) -> Ranked:
    """Rank-k, average precision and the vote of the k nearest rows, for every query."""
    names = ordered(bank.generator[np.concatenate([gallery, queries])])
    code = pd.Index(names).get_indexer(pd.Index(bank.generator))
    hits, precision = _full_ranking(bank, code, gallery, queries)
    nearest = bank.search(queries, gallery, settings.k)
    votes = ranking.soft_vote(nearest.similarities, code[nearest.indices], len(names), settings.T)
    answer = votes.argmax(axis=1)
    return Ranked(
        names=names,
        truth=code[queries],
        enrolled=code[gallery],
        hits=hits,
        precision=precision,
        right=np.where(np.isnan(precision), np.nan, answer == code[queries]),
        answer=answer,
        share=votes.max(axis=1),
        nearest=nearest.indices[:, 0],
        nearest_class=code[nearest.indices[:, 0]],
        similarity=nearest.similarities[:, 0],
    )


def summarise(bank: Bank, queries: Int[np.ndarray, " q"], ranked: Ranked, settings: RetrievalSettings) -> ClosedSet:
    """Averages over the queries that have a relevant row, and their intervals."""
    scored = ranked.scored
    hits, precision, right, truth = (
        values[scored] for values in (ranked.hits, ranked.precision, ranked.right, ranked.truth)
    )
    draws = resample(bank.group[queries[scored]], settings.bootstrap, settings.seed)
    return ClosedSet(
        n_gallery=len(ranked.enrolled),
        n_queries=len(queries),
        n_scored=int(scored.sum()),
        n_without_relevant=int((~scored).sum()),
        n_unregistered=int((~np.isin(ranked.truth, ranked.enrolled)).sum()),
        rank={k: _mean(hits[:, column]) for column, k in enumerate(KS)},
        mean_ap=_mean(precision),
        macro_ap=ranking.mean_by_class(precision, truth),
        knn_accuracy=_mean(right),
        knn_balanced_accuracy=ranking.mean_by_class(right, truth),
        intervals={
            "rank1": draws.mean(hits[:, 0]),
            "map": draws.mean(precision),
            "macro_map": draws.class_mean(precision, truth),
            "knn_accuracy": draws.mean(right),
            "knn_balanced_accuracy": draws.class_mean(right, truth),
        },
    )


def by_class(ranked: Ranked) -> pd.DataFrame:
    """A row a class: generator, n_queries, n_scored, n_gallery, rank1, rank5, rank10, map, knn_recall."""
    rows = []
    for number, name in enumerate(ranked.names):
        own = ranked.truth == number
        counted = own & ranked.scored
        rows.append(
            {
                "generator": name,
                "n_queries": int(own.sum()),
                "n_scored": int(counted.sum()),
                "n_gallery": int((ranked.enrolled == number).sum()),
                **{f"rank{k}": _mean(ranked.hits[counted, column]) for column, k in enumerate(KS)},
                "map": _mean(ranked.precision[counted]),
                "knn_recall": _mean(ranked.right[counted]),
            }
        )
    return pd.DataFrame(rows)


def first_neighbours(ranked: Ranked) -> pd.DataFrame:
    """Counts of scored queries by their class (rows) and that of their first neighbour (columns)."""
    names, scored = list(ranked.names), ranked.scored
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (ranked.truth[scored], ranked.nearest_class[scored]), 1)
    return pd.DataFrame(counts, index=pd.Index(names, name="query"), columns=pd.Index(names, name="neighbour"))


def query_table(bank: Bank, queries: Int[np.ndarray, " q"], ranked: Ranked) -> pd.DataFrame:
    """A row a query: what it is, its first neighbour, the vote and the average precision."""
    missing, names = ranked.nearest < 0, np.array(ranked.names, dtype=object)
    return pd.DataFrame(
        {
            "path": bank.path[queries],
            "generator": bank.generator[queries],
            "nearest_path": np.where(missing, None, bank.path[ranked.nearest]),
            "nearest_generator": np.where(missing, None, bank.generator[ranked.nearest]),
            "similarity": np.where(missing, np.nan, ranked.similarity),
            "knn_generator": np.where(missing, None, names[ranked.answer]),
            "knn_score": np.where(missing, np.nan, ranked.share),
            "ap": ranked.precision,
        }
    )


def _full_ranking(
    bank: Bank, code: Int[np.ndarray, " n"], gallery: Int[np.ndarray, " n"], queries: Int[np.ndarray, " q"]
) -> tuple[Float[np.ndarray, "q k"], Float[np.ndarray, " q"]]:
    """Rank-k and average precision from every admissible gallery row, some queries at a time."""
    hits, precision = np.full((len(queries), len(KS)), np.nan), np.full(len(queries), np.nan)
    blocks = similarity_blocks(bank.vectors[queries], bank.vectors[gallery], bank.group[queries], bank.group[gallery])
    for block, similarities in blocks:
        relevant = (code[queries][block, None] == code[gallery]) & np.isfinite(similarities)
        hits[block] = ranking.rank_k(similarities, relevant, KS)
        precision[block] = ranking.average_precision(similarities, relevant)
    return hits, precision


def _mean(values: Float[np.ndarray, " n"]) -> float:
    return float(np.mean(values)) if len(values) else math.nan
