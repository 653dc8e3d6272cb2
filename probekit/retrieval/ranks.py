"""What every query finds among all rows: ranks of rows and of classes, precision, and the vote of its neighbours."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Groups, Int, Mask, Scores, unit_rows
from probekit.metrics import ranking
from probekit.neighbours import Neighbours, similarity_blocks
from probekit.retrieval.bank import Bank
from probekit.retrieval.rows import Turn
from probekit.retrieval.settings import RetrievalSettings

KS = (1, 5, 10)
CURVE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 50, 70, 100)
"""Ranks at which a rank curve is drawn; they hold `KS`."""
SHOWN = 6
"""Nearest rows of each query that are kept, to be looked at."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """What every query found; NaN where no row of its class is admissible."""

    scored: Mask
    """Queries that enter the averages: with an admissible row of their class."""
    hits: Float[np.ndarray, "q k"]
    """Rank-k by item, for each of `CURVE`."""
    class_hits: Float[np.ndarray, "q k"]
    """Rank-k by class; beyond k = 1 NaN where an index did not look at every row."""
    precision: Scores
    """Average precision; NaN there, as the next two."""
    at_r: Scores
    """The same within the first R."""
    r_precision: Scores
    right: Scores
    """Whether the vote names the query's class."""
    answer: Int[np.ndarray, " q"]
    """The class with most votes."""
    share: Scores
    """What it got: share of the votes, mean similarity (sum), or cosine with the centroid (prototype)."""
    near: Int[np.ndarray, "q s"]
    """The `SHOWN` nearest rows of the samples, nearest first; -1 where there are fewer."""
    similarities: Float[np.ndarray, "q s"]
    """Theirs, float32; -inf beside a row of -1."""

    @property
    def nearest(self) -> Int[np.ndarray, " q"]:
        """The first neighbour, a row of the samples; -1 where there is none."""
        first: Int[np.ndarray, " q"] = self.near[:, 0]
        return first

    @property
    def similarity(self) -> Scores:
        """That of the first neighbour; NaN where there is none."""
        found: Scores = np.where(self.nearest >= 0, self.similarities[:, 0], np.nan).astype(np.float64)
        return found

    @classmethod
    def joined(cls, parts: "Sequence[Ranked]") -> "Ranked":
        """The queries of several parts, one part after another."""
        return cls(**{f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)})

    def in_order(self, order: Int[np.ndarray, " q"]) -> "Ranked":
        """The same queries in another order."""
        return type(self)(**{f.name: getattr(self, f.name)[order] for f in fields(self)})


def rank_queries(bank: Bank, turn: Turn, code: Int[np.ndarray, " n"], settings: RetrievalSettings) -> Ranked:
    """Ranks, average precision and the vote for every query of a turn, from every admissible gallery row.

    Args:
        bank: all samples.
        turn: what is searched in what.
        code: the class number of each sample.
        settings: how classes are ranked and who votes.
    """
    enrolled, truth, n_classes = code[turn.gallery], code[turn.queries], int(code.max(initial=-1)) + 1
    gallery, queries = bank.vectors[turn.gallery], bank.vectors[turn.queries]
    groups = bank.group
    by_centroid = settings.top is None or settings.neighbours_vote is None
    centroids = _Centroids.of(gallery, enrolled, groups[turn.gallery], n_classes) if by_centroid else None
    parts = []
    for block, similarities in similarity_blocks(queries, gallery, groups[turn.queries], groups[turn.gallery]):
        relevant = (truth[block, None] == enrolled) & np.isfinite(similarities)
        nearest = ranking.class_scores(similarities, enrolled, n_classes)
        central = centroids.scores(similarities, groups[turn.queries][block]) if centroids else nearest
        top = settings.top
        by_class = central if top is None else ranking.class_scores(similarities, enrolled, n_classes, top)
        how = settings.neighbours_vote
        given = ranking.votes(similarities, enrolled, n_classes, settings.k, how, settings.T) if how else central
        answer = ranking.most_votes(given, nearest)
        at_r, r_precision = ranking.precision_at_r(similarities, relevant)
        near = Neighbours.among(similarities, SHOWN)
        some, rows = near.indices[:, 0] >= 0, np.arange(len(similarities))
        found = relevant.any(axis=1)
        parts.append(
            Ranked(
                scored=found,
                hits=ranking.rank_k(similarities, relevant, CURVE),
                class_hits=np.where(found[:, None], ranking.class_rank_k(by_class, truth[block], CURVE), np.nan),
                precision=ranking.average_precision(similarities, relevant),
                at_r=at_r,
                r_precision=r_precision,
                right=np.where(found, answer == truth[block], np.nan),
                answer=np.where(some, answer, -1),
                share=np.where(some, given[rows, answer], np.nan),
                near=np.append(turn.gallery, -1)[near.indices],
                similarities=near.similarities,
            )
        )
    return Ranked.joined(parts)


def rank_curve(ranked: Ranked, n_classes: int) -> pd.DataFrame:
    """Rank-k over all k of `CURVE`, a row a point: level (item, class), k, rate. Classes end with their number."""
    scored = ranked.scored
    if not scored.any():
        return pd.DataFrame({"level": [], "k": [], "rate": []})
    points = [
        {"level": level, "k": k, "rate": rate}
        for level, hits, most in (("item", ranked.hits, CURVE[-1]), ("class", ranked.class_hits, n_classes))
        for column, k in enumerate(CURVE)
        if k <= most and not math.isnan(rate := float(hits[scored, column].mean()))
    ]
    return pd.DataFrame(points)


@dataclass(frozen=True, eq=False)
class _Centroids:
    """Cosines with the mean of a class's unit rows, without those of the query's own group.

    With S_c the sum of the class's rows, q·(S_c − S_cg)/|S_c − S_cg|, and the product is the sum of the query's
    similarities with the admissible rows.
    """

    member: Float[np.ndarray, "n c"]
    lengths: Float[np.ndarray, " c"]
    """|S_c|."""
    without: dict[object, Float[np.ndarray, " c"]]
    """|S_c − S_cg| by group."""

    @classmethod
    def of(cls, gallery: Features, classes: Int[np.ndarray, " n"], groups: Groups, n_classes: int) -> "_Centroids":
        member = (classes[:, None] == np.arange(n_classes)).astype(np.float64)
        unit = unit_rows(gallery)
        sums = member.T @ unit  # (c, d)
        lengths = np.linalg.norm(sums, axis=1)
        without: dict[object, Float[np.ndarray, " c"]] = {}
        codes, names = pd.factorize(groups)
        order = np.argsort(codes, kind="stable")
        for group, rows in zip(names, np.split(order, np.cumsum(np.bincount(codes))[:-1]), strict=True):
            others = lengths.copy()
            own = member[rows].any(axis=0)
            others[own] = np.linalg.norm(sums[own] - member[rows][:, own].T @ unit[rows], axis=1)
            without[group] = others
        return cls(member, lengths, without)

    def scores(self, similarities: Float[np.ndarray, "b n"], groups: Groups) -> Float[np.ndarray, "b c"]:
        """-inf for a class without an admissible row, or whose rows cancel out."""
        admissible = np.isfinite(similarities)
        total = np.where(admissible, similarities, 0.0) @ self.member
        lengths = np.stack([self.without.get(group, self.lengths) for group in groups])
        some = (admissible.astype(np.float64) @ self.member > 0) & (lengths > 1e-9)
        cosines: Float[np.ndarray, "b c"] = np.divide(total, lengths, out=np.full(total.shape, -np.inf), where=some)
        return cosines
