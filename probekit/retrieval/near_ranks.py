"""What every query finds among the rows that an index names: the same numbers, but for those that need every row.

Average precision, MAP@R and R-precision depend on the place of every relevant row, and class Rank-k beyond 1 on the
nearest row of every class, which an index does not know: NaN. Rank-k, the vote and the nearest row rest on the nearest
rows, of which the index finds the share that is its recall.
"""

import math

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int, Mask
from probekit.metrics import ranking
from probekit.neighbours import Indexed, Neighbours
from probekit.retrieval.bank import Bank
from probekit.retrieval.ranks import CURVE, SHOWN, Ranked
from probekit.retrieval.rows import RowNumbers, Turn
from probekit.retrieval.settings import RetrievalSettings

AT_ONCE = 1 << 22  # numbers of queries
FIRST = np.array(CURVE) == 1


def rank_near(
    bank: Bank,
    turn: Turn,
    sampled: RowNumbers,
    code: Int[np.ndarray, " n"],
    settings: RetrievalSettings,
    engine: str,
) -> tuple[Ranked, float]:
    """Ranks and the vote for every query of a turn, from the nearest rows that are found; and the engine's recall@10.

    Args:
        bank: all samples.
        turn: what is searched in what.
        sampled: queries that recall is measured on; NaN without any.
        code: the class number of each sample.
        settings: how many vote, and how.
        engine: of the index.

    Raises:
        UsageError: too few rows for that engine.
    """
    with bank.indexed(turn.gallery, engine, settings.seed) as indexed:
        recall = indexed.recall(bank.rows(sampled), bank.group[sampled]) if len(sampled) else math.nan
        return _ranked(bank, turn, code, settings, indexed), recall


def _ranked(
    bank: Bank, turn: Turn, code: Int[np.ndarray, " n"], settings: RetrievalSettings, indexed: Indexed
) -> Ranked:
    scored, how = _with_mates(bank, turn, code), settings.neighbours_vote
    n_classes, depth = int(code.max(initial=-1)) + 1, max(CURVE[-1], settings.k)
    parts = []
    step = max(1, AT_ONCE // bank.width)
    for start in range(0, len(turn.queries), step):
        queries, mates = turn.queries[start : start + step], scored[start : start + step]
        found = indexed.search(bank.rows(queries), depth, bank.group[queries])
        near = Neighbours(np.append(turn.gallery, -1)[found.indices], found.similarities)
        classes, similarities, truth = code[near.indices], near.similarities.astype(np.float64), code[queries]
        nearest = ranking.nearest_of_classes(similarities, classes, n_classes)
        given = ranking.votes(similarities, classes, n_classes, settings.k, how or "soft", settings.T)
        answer = ranking.most_votes(given, nearest)
        some, unknown = near.indices[:, 0] >= 0, np.full(len(queries), np.nan)
        parts.append(
            Ranked(
                scored=mates,
                hits=_missed_as_zero(ranking.rank_k(similarities, classes == truth[:, None], CURVE), mates),
                class_hits=np.where(FIRST, _missed_as_zero(ranking.class_rank_k(nearest, truth, CURVE), mates), np.nan),
                precision=unknown,
                at_r=unknown,
                r_precision=unknown,
                right=np.where(mates, answer == truth, np.nan),
                answer=np.where(some, answer, -1),
                share=np.where(some, given[np.arange(len(queries)), answer], np.nan),
                near=near.indices[:, :SHOWN],
                similarities=near.similarities[:, :SHOWN],
            )
        )
    return Ranked.joined(parts)


def _with_mates(bank: Bank, turn: Turn, code: Int[np.ndarray, " n"]) -> Mask:
    """Queries with an admissible row of their class: one that is not of their group."""
    group, _ = pd.factorize(bank.group)
    pair = code.astype(np.int64) * (group.max(initial=0) + 1) + group
    of_class = np.bincount(code[turn.gallery], minlength=int(code.max(initial=-1)) + 1)[code[turn.queries]]
    pairs, counts = np.unique(pair[turn.gallery], return_counts=True)
    place = np.minimum(np.searchsorted(pairs, pair[turn.queries]), len(pairs) - 1)
    own = np.where(pairs[place] == pair[turn.queries], counts[place], 0)
    mates: Mask = of_class > own
    return mates


def _missed_as_zero(hits: Float[np.ndarray, "q k"], mates: Mask) -> Float[np.ndarray, "q k"]:
    """A row that exists and was not found is a miss; without any, there is nothing to find."""
    return np.where(mates[:, None], np.nan_to_num(hits), np.nan)
