"""Metrics of rankings: how early a query's own class appears among gallery rows.

Every function takes one row a query: `similarities` with -inf at rows that are not admissible, and
`relevant`, true at admissible rows of the query's class. A query without a relevant row has no value: NaN,
never 0.

Nothing here depends on the order of gallery rows: among equal similarities, a metric is its mean over all
orders (Rank-k, MAP@R, R-precision) or is evaluated at the end of the tie (average precision, as scikit-learn
does).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np

from probekit.arrays import Bool, Float, Int, Shaped

Vote = Literal["soft", "sum", "majority"]

TIE = 1e-9  # votes this close, as a share of the largest, are equal: sums of equal numbers differ by less


def rank_k(
    similarities: Float[np.ndarray, "q n"], relevant: Bool[np.ndarray, "q n"], ks: Sequence[int]
) -> Float[np.ndarray, "q k"]:
    """1 where one of the k nearest rows is relevant, else 0; a chance between them under ties. A column a k.

    With b rows nearer than the best relevant one, t rows tied with it and r of those relevant, the k
    nearest hold j = k - b of the tie, and miss all relevant ones with probability C(t-r, j) / C(t, j) = Π
    (t-r-i) / (t-i), i < j.
    """
    relevant = relevant & np.isfinite(similarities)
    best = np.where(relevant, similarities, -np.inf).max(axis=1, initial=-np.inf)
    tied = similarities == best[:, None]
    nearer = (similarities > best[:, None]).sum(axis=1)
    n_tied, n_relevant = tied.sum(axis=1), (tied & relevant).sum(axis=1)

    hits = np.where(n_relevant[:, None] > 0, nearer[:, None] < np.array(ks), np.nan)
    for query in np.flatnonzero((n_tied > n_relevant) & (n_relevant > 0)):
        t, r = int(n_tied[query]), int(n_relevant[query])
        for column, k in enumerate(ks):
            i = np.arange(np.clip(k - nearer[query], 0, t))
            hits[query, column] = 1 - np.prod(np.maximum(t - r - i, 0) / (t - i))
    return hits


def average_precision(
    similarities: Float[np.ndarray, "q n"], relevant: Bool[np.ndarray, "q n"]
) -> Float[np.ndarray, " q"]:
    """AP(q) = 1/R Σ P over the R relevant rows; P: share of relevant rows among those at least as near."""
    values = np.full(len(similarities), np.nan)
    for query, (row, mask) in enumerate(zip(similarities, relevant, strict=True)):
        found = np.sort(row[mask & np.isfinite(row)])
        if len(found) == 0:
            continue
        everything = np.sort(row)
        relevant_as_near = len(found) - np.searchsorted(found, found, side="left")
        as_near = len(everything) - np.searchsorted(everything, found, side="left")
        values[query] = np.mean(relevant_as_near / as_near)
    return values


def precision_at_r(
    similarities: Float[np.ndarray, "q n"], relevant: Bool[np.ndarray, "q n"]
) -> tuple[Float[np.ndarray, " q"], Float[np.ndarray, " q"]]:
    """AP@R(q) = 1/R Σ_{i ≤ R} P(i) rel(i) and R-precision(q) = 1/R Σ_{i ≤ R} rel(i), R relevant rows in all.

    Under ties, means over all orders (McSherry and Najork 2008): the i-th of a tie of t rows, r of them relevant,
    behind b rows with h relevant ones, has

        E rel = r/t        E P rel = r/t · (h + 1 + (i − 1)(r − 1)/(t − 1)) / (b + i)

    Musgrave et al. 2020, A Metric Learning Reality Check, define MAP@R as the mean of the first over queries.
    """
    at_r, share = np.full((2, len(similarities)), np.nan)
    for query, (row, mask) in enumerate(zip(similarities, relevant, strict=True)):
        own = mask & np.isfinite(row)
        R = int(own.sum())
        if R == 0:
            continue
        last = np.partition(row, len(row) - R)[len(row) - R]  # the R-th highest
        near = np.flatnonzero(row >= last)
        _, place = np.unique(-row[near], return_inverse=True)  # ties share a number, the nearest have 0
        rows, hits = np.bincount(place), np.bincount(place, weights=own[near])
        behind, found = np.cumsum(rows) - rows, np.cumsum(hits) - hits
        tie = np.repeat(np.arange(len(rows)), rows)[:R]
        i = np.arange(R) - behind[tie] + 1
        t, r = rows[tie], hits[tie]
        others = np.divide((i - 1) * (r - 1), t - 1, out=np.zeros(R), where=t > 1)
        at_r[query] = np.mean(r / t * (found[tie] + 1 + others) / (behind[tie] + i))
        share[query] = np.mean(r / t)
    return at_r, share


def mean_by_class(values: Float[np.ndarray, " q"], classes: Shaped[np.ndarray, " q"]) -> float:
    """Mean over classes of the mean over their queries (macro); queries without a value are left out."""
    defined = ~np.isnan(values)
    names, codes = np.unique(classes[defined], return_inverse=True)
    if len(names) == 0:
        return float("nan")
    return float(np.mean(np.bincount(codes, weights=values[defined]) / np.bincount(codes)))


def nearest_of_classes(
    similarities: Float[np.ndarray, "q n"], classes: Int[np.ndarray, "q n"], n_classes: int
) -> Float[np.ndarray, "q c"]:
    """The highest similarity of each class among the rows that each query found; -inf for none; float64."""
    scores = np.full((len(similarities), n_classes), -np.inf)
    np.maximum.at(scores, (np.arange(len(similarities))[:, None], classes), similarities)
    return scores


def class_scores(
    similarities: Float[np.ndarray, "q n"], classes: Int[np.ndarray, " n"], n_classes: int, top: int = 1
) -> Float[np.ndarray, "q c"]:
    """The mean of the `top` highest similarities of each class (of all, where there are fewer); float64.

    With `top` = 1 the maximum. A class without an admissible row has -inf.
    """
    scores = np.full((len(similarities), n_classes), -np.inf)
    for number in np.unique(classes):
        own = similarities[:, classes == number].astype(np.float64)
        if own.shape[1] > top:
            own = np.partition(own, own.shape[1] - top, axis=1)[:, own.shape[1] - top :]
        found = np.isfinite(own)
        total = np.where(found, own, 0.0).sum(axis=1)
        count = found.sum(axis=1)
        np.divide(total, count, out=scores[:, number], where=count > 0)
    return scores


def class_rank_k(
    scores: Float[np.ndarray, "q c"], truth: Int[np.ndarray, " q"], ks: Sequence[int]
) -> Float[np.ndarray, "q k"]:
    """1 where the query's class is among the k classes with the highest scores, else 0. A column a k.

    Of t classes that tie with it behind b others, k - b places are left for them: it has one with probability
    (k - b) / t. NaN where the query's own class has no score.
    """
    own = scores[np.arange(len(scores)), truth]
    before, tied = (scores > own[:, None]).sum(axis=1), (scores == own[:, None]).sum(axis=1)
    hits = np.clip((np.asarray(ks) - before[:, None]) / tied[:, None], 0.0, 1.0)
    return np.where(np.isfinite(own)[:, None], hits, np.nan)


def votes(
    similarities: Float[np.ndarray, "q n"],
    classes: Int[np.ndarray, " n"] | Int[np.ndarray, "q n"],
    n_classes: int,
    k: int,
    how: Vote = "soft",
    T: float = 0.07,
) -> Float[np.ndarray, "q c"]:
    """What the k nearest rows give to each class, as shares (soft, majority) or mean similarities (sum); float64.

    soft: softmax(similarity / T), DINO's k-NN classifier (Caron et al. 2021). majority: one vote a row. sum: its
    similarity, so that the sum is divided by k. Rows that tie for the last places share them: of t rows for p
    places, each counts p/t, so that the order of the gallery does not matter.

    Args:
        similarities: of all gallery rows, or of those that were found; -inf where a row is not admissible.
        classes: the class number of each gallery row, or of each row that each query found.
        n_classes: width of the answer.
        k: neighbours that vote; all admissible rows where there are fewer.
        how: what each of them gives.
        T: temperature of the soft vote; the smaller, the more the nearest rows count.

    Returns:
        -inf for a class that none of the k rows is of.
    """
    part = _share_of_places(similarities, k)
    voting = part > 0
    given = np.where(voting, similarities, 0.0)
    if how == "soft":
        nearest = similarities.max(axis=1, keepdims=True, initial=-np.inf)
        weights = part * np.exp((given - np.where(np.isfinite(nearest), nearest, 0.0)) / T)
        total = weights.sum(axis=1, keepdims=True)
    else:
        weights = part * given if how == "sum" else part
        total = part.sum(axis=1, keepdims=True)
    some = _by_class(voting.astype(np.float64), classes, n_classes) > 0
    shares = _by_class(weights, classes, n_classes) / np.where(total > 0, total, 1.0)
    return np.where(some, shares, -np.inf)


def most_votes(given: Float[np.ndarray, "q c"], nearest: Float[np.ndarray, "q c"]) -> Int[np.ndarray, " q"]:
    """The class with most votes; of equals the one whose nearest row is nearer, then the one that comes first.

    Args:
        given: votes; -inf for none.
        nearest: the highest similarity of each class.
    """
    most = given.max(axis=1, keepdims=True)
    equal = given >= most - TIE * np.abs(most, where=np.isfinite(most), out=np.zeros_like(most))
    answer: Int[np.ndarray, " q"] = np.where(equal, nearest, -np.inf).argmax(axis=1)
    return answer


def _by_class(
    values: Float[np.ndarray, "q n"], classes: Int[np.ndarray, " n"] | Int[np.ndarray, "q n"], n_classes: int
) -> Float[np.ndarray, "q c"]:
    """Sums over the rows of each class."""
    if classes.ndim == 1:
        member = (classes[:, None] == np.arange(n_classes)).astype(np.float64)  # (n, c)
        totals: Float[np.ndarray, "q c"] = values @ member
        return totals
    sums = np.zeros((len(values), n_classes))
    np.add.at(sums, (np.arange(len(values))[:, None], classes), values)
    return sums


def _share_of_places(similarities: Float[np.ndarray, "q n"], k: int) -> Float[np.ndarray, "q n"]:
    """Of each row, how much of it is among the k nearest: 1, 0, or its share of the places it ties for."""
    admissible = np.isfinite(similarities)
    if k >= similarities.shape[1]:
        every: Float[np.ndarray, "q n"] = admissible.astype(np.float64)
        return every
    last = np.partition(similarities, -k, axis=1)[:, -k][:, None]  # -inf where fewer than k are admissible
    nearer, tied = similarities > last, (similarities == last) & admissible
    places = k - nearer.sum(axis=1, keepdims=True)
    share: Float[np.ndarray, "q n"] = nearer + tied * (places / np.maximum(tied.sum(axis=1, keepdims=True), 1))
    return share
