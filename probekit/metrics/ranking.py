"""Metrics of rankings: how early a query's own class appears among gallery rows.

Every function takes one row a query: `similarities` with -inf at rows that are not admissible, and
`relevant`, true at admissible rows of the query's class. A query without a relevant row has no value: NaN,
never 0.

Nothing here depends on the order of gallery rows: among equal similarities, a metric is its mean over all
orders (Rank-k) or is evaluated at the end of the tie (average precision, as scikit-learn does).
"""

from collections.abc import Sequence

import numpy as np

from probekit.arrays import Bool, Float, Int, Shaped


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

    hits = np.full((len(similarities), len(ks)), np.nan)
    for query in np.flatnonzero(relevant.any(axis=1)):
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


def mean_by_class(values: Float[np.ndarray, " q"], classes: Shaped[np.ndarray, " q"]) -> float:
    """Mean over classes of the mean over their queries (macro); queries without a value are left out."""
    defined = ~np.isnan(values)
    names, codes = np.unique(classes[defined], return_inverse=True)
    if len(names) == 0:
        return float("nan")
    return float(np.mean(np.bincount(codes, weights=values[defined]) / np.bincount(codes)))


def soft_vote(
    similarities: Float[np.ndarray, "q k"], classes: Int[np.ndarray, "q k"], n_classes: int, T: float = 0.07
) -> Float[np.ndarray, "q c"]:
    """Share of each class in the k nearest rows, weighted by softmax(similarity / T): DINO's k-NN classifier.

    Args:
        similarities: of the k nearest rows; -inf where there are fewer.
        classes: their class numbers; anything beside -inf.
        n_classes: width of the answer.
        T: temperature; the smaller, the more the nearest rows count.

    Returns:
        Rows that sum to 1; a query without neighbours has a row of zeros.
    """
    found = np.isfinite(similarities)
    nearest = np.where(found, similarities, -np.inf).max(axis=1, keepdims=True, initial=-np.inf)
    logits = np.where(found, similarities - np.where(np.isfinite(nearest), nearest, 0.0), -np.inf) / T
    weights = np.exp(logits, dtype=np.float64)
    votes = np.zeros((len(similarities), n_classes))
    rows = np.broadcast_to(np.arange(len(similarities))[:, None], classes.shape)
    np.add.at(votes, (rows[found], classes[found]), weights[found])
    total = votes.sum(axis=1, keepdims=True)
    return votes / np.where(total > 0, total, 1.0)
