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
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Groups, Int, Mask, Scores
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import open_set, ranking
from probekit.neighbours import Neighbours, normalise, search, similarity_blocks
from probekit.probes.conditions import fit_condition
from probekit.registry import unknown_name

KS = (1, 5, 10)
FPIRS = (0.003, 0.01, 0.05)
FEWEST_GROUPS = 10  # below this no interval is given

REAL = "real"

Pool = Literal["unregistered", "real"]
POOLS: tuple[Pool, ...] = ("unregistered", "real")
Rows = Literal["train", "val", "test", "all"]
Interval = tuple[float, float]


@dataclass(frozen=True)
class RetrievalSettings:
    """What is searched for what."""

    gallery: Rows = "train"
    """Split whose rows are registered; `all` takes every row."""
    query: Rows = "test"
    """Split whose rows are searched."""
    folds: int = 0
    """Not 0: every sample is a query against all rows of other groups, whatever `gallery` and `query` say.
    One group at a time is left out, so the number itself changes nothing."""
    unknown: tuple[str, ...] = ()
    """Generators that are queries only: never registered."""
    k: int = 10
    """Neighbours that vote; fixed in advance, not chosen on data."""
    T: float = 0.07
    """Temperature of the vote."""
    condition: str = "l2"
    """As for probes, fitted to the gallery's rows; each part of the reference is then scaled to length 1."""
    bootstrap: int = 1000
    """Resamples of groups for 95 % intervals; 0 for none."""
    seed: int = 0


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
    intervals: Mapping[str, Interval | None]
    """95 % by bootstrap over query groups, for `rank1`, `map`, `macro_map`, `knn_accuracy`,
    `knn_balanced_accuracy`; None with fewer than 10 groups."""


@dataclass(frozen=True)
class OperatingPoint:
    """Error rates at the threshold that belongs to one FPIR."""

    fpir: float
    """Asked for."""
    status: Literal["resolved", "unresolvable"]
    threshold_from: Literal["validation", "queries"]
    """`queries`: no validation rows; the threshold is where the non-mated queries have this FPIR."""
    n_threshold: int
    """Non-mated searches that set the threshold."""
    n_non_mated: int
    """Non-mated queries that it is measured on."""
    threshold: float | None = None
    measured_fpir: float | None = None
    """On the non-mated queries."""
    dir: float | None = None
    fnir: float | None = None


@dataclass(frozen=True)
class OpenSet:
    """Mated searches against one non-mated pool."""

    pool: Pool
    enrolled: tuple[str, ...]
    """Registered generators; FPIR and FNIR depend on how many there are."""
    n_enrolled_rows: int
    """Their gallery rows, N."""
    n_mated: int
    n_non_mated: int
    auroc: float
    auroc_interval: Interval | None
    oscr: float
    ccr_at_fpr05: float
    tnr_at_tpr95: float
    points: tuple[OperatingPoint, ...]


@dataclass(frozen=True)
class RetrievalResult:
    """Answers to both questions, and the tables behind them."""

    reference: str
    settings: RetrievalSettings
    closed: ClosedSet
    open: tuple[OpenSet, ...]
    per_class: pd.DataFrame
    """generator, n_queries, n_gallery, rank1, rank5, rank10, map, knn_recall."""
    confusion: pd.DataFrame
    """Scored queries, counted by generator of the query (rows) and of its first neighbour (columns)."""
    queries: pd.DataFrame
    """path, generator, nearest_path, nearest_generator, similarity, knn_generator, knn_score, ap."""
    scores: pd.DataFrame
    """Open set: path, pool (mated, unregistered, real), generator, score, answer, correct; a row a search."""
    notes: tuple[str, ...]
    """What a reader must know: no validation rows, queries that were left out …"""

    def to_json(self) -> dict[str, JSONValue]:
        """Numbers for `--json`: an undefined one is null."""
        answer: dict[str, object] = {
            "reference": self.reference,
            "settings": self.settings,
            "closed_set": self.closed,
            "open_set": self.open,
            "per_class": self.per_class.to_dict(orient="records"),
            "confusion": {
                "query": self.confusion.index.tolist(),
                "neighbour": self.confusion.columns.tolist(),
                "counts": self.confusion.to_numpy().tolist(),
            },
            "notes": self.notes,
        }
        return {name: _without_nan(plain(value)) for name, value in answer.items()}


def retrieve(features: FeatureSet, settings: RetrievalSettings) -> RetrievalResult:
    """Rank-k, mAP and k-NN attribution of the queries, and the open-set rates of both non-mated pools.

    Raises:
        UsageError: no gallery row or no query is left, `k` is below 1, or a feature is not finite.
        UnknownNameError: an unknown generator that does not occur in the manifest.
    """
    samples = features.samples
    if settings.folds:
        settings = replace(settings, gallery="all", query="all")
    _check_unknown(samples, settings.unknown)
    registered = ~samples["generator"].isin(settings.unknown).to_numpy()
    gallery = _rows_of(samples, "gallery", settings.gallery, registered)
    queries = _rows_of(samples, "query", settings.query)
    bank = _Bank(samples, _condition(features, gallery, settings.condition))

    closed, per_class, confusion, found = _closed_set(bank, gallery, queries, settings)
    enrolled = gallery[bank.generator[gallery] != REAL]
    scores = _searches(bank, enrolled, queries)
    thresholds = _validation_scores(bank, enrolled, settings)
    pools = [_open_set(pool, bank.generator[enrolled], scores, thresholds, settings) for pool in POOLS]
    opened = tuple(pool for pool in pools if pool is not None)
    return RetrievalResult(
        reference=features.reference,
        settings=settings,
        closed=closed,
        open=opened,
        per_class=per_class,
        confusion=confusion,
        queries=found,
        scores=scores.drop(columns="group"),
        notes=_notes(features, settings, closed, opened),
    )


@dataclass(frozen=True)
class _Bank:
    """All samples and their conditioned vectors; searches name rows of it."""

    samples: pd.DataFrame
    vectors: Features

    @property
    def generator(self) -> Groups:
        return self.samples["generator"].to_numpy(dtype=object)

    @property
    def group(self) -> Groups:
        return self.samples["group"].to_numpy(dtype=object)

    def search(self, queries: Int[np.ndarray, " q"], gallery: Int[np.ndarray, " n"], k: int) -> Neighbours:
        """Neighbours as rows of the bank, -1 where there is none."""
        found = search(self.vectors[queries], self.vectors[gallery], k, self.group[queries], self.group[gallery])
        return Neighbours(np.append(gallery, -1)[found.indices], found.similarities)


# The closed set


def _closed_set(
    bank: _Bank, gallery: Int[np.ndarray, " n"], queries: Int[np.ndarray, " q"], settings: RetrievalSettings
) -> tuple[ClosedSet, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    names = _ordered(bank.generator[np.concatenate([gallery, queries])])
    code = pd.Index(names).get_indexer(pd.Index(bank.generator))
    hits, precision = _full_ranking(bank, code, gallery, queries)
    nearest = bank.search(queries, gallery, settings.k)
    votes = ranking.soft_vote(nearest.similarities, code[nearest.indices], len(names), settings.T)

    truth, answer = code[queries], votes.argmax(axis=1)
    scored = ~np.isnan(precision)
    right = np.where(scored, answer == truth, np.nan)
    first = nearest.indices[:, 0]

    def measures(rows: Int[np.ndarray, " m"]) -> dict[str, float]:
        return {
            **{f"rank{k}": _mean(hits[rows, column]) for column, k in enumerate(KS)},
            "map": _mean(precision[rows]),
            "macro_map": ranking.mean_by_class(precision[rows], truth[rows]),
            "knn_accuracy": _mean(right[rows]),
            "knn_balanced_accuracy": ranking.mean_by_class(right[rows], truth[rows]),
        }

    values = measures(np.flatnonzero(scored))
    closed = ClosedSet(
        n_gallery=len(gallery),
        n_queries=len(queries),
        n_scored=int(scored.sum()),
        n_without_relevant=int((~scored).sum()),
        n_unregistered=int((~np.isin(truth, code[gallery])).sum()),
        rank={k: values[f"rank{k}"] for k in KS},
        mean_ap=values["map"],
        macro_ap=values["macro_map"],
        knn_accuracy=values["knn_accuracy"],
        knn_balanced_accuracy=values["knn_balanced_accuracy"],
        intervals=_intervals(measures, np.flatnonzero(scored), bank.group[queries], settings),
    )
    per_class = pd.DataFrame(
        {
            "generator": name,
            "n_queries": int((truth == c).sum()),
            "n_scored": int((scored & (truth == c)).sum()),
            "n_gallery": int((code[gallery] == c).sum()),
            **{f"rank{k}": _mean(hits[scored & (truth == c), column]) for column, k in enumerate(KS)},
            "map": _mean(precision[scored & (truth == c)]),
            "knn_recall": _mean(right[scored & (truth == c)]),
        }
        for c, name in enumerate(names)
    )
    counts = np.zeros((len(names), len(names)), dtype=np.int64)
    np.add.at(counts, (truth[scored], code[first[scored]]), 1)
    confusion = pd.DataFrame(counts, index=pd.Index(names, name="query"), columns=pd.Index(names, name="neighbour"))
    missing = first < 0
    path = bank.samples["path"].to_numpy(dtype=object)
    found = pd.DataFrame(
        {
            "path": path[queries],
            "generator": bank.generator[queries],
            "nearest_path": np.where(missing, None, path[first]),
            "nearest_generator": np.where(missing, None, bank.generator[first]),
            "similarity": np.where(missing, np.nan, nearest.similarities[:, 0]),
            "knn_generator": np.where(missing, None, np.array(names, dtype=object)[answer]),
            "knn_score": np.where(missing, np.nan, votes.max(axis=1)),
            "ap": precision,
        }
    )
    return closed, per_class, confusion, found


def _full_ranking(
    bank: _Bank, code: Int[np.ndarray, " n"], gallery: Int[np.ndarray, " n"], queries: Int[np.ndarray, " q"]
) -> tuple[Float[np.ndarray, "q k"], Float[np.ndarray, " q"]]:
    """Rank-k and average precision from every admissible gallery row, some queries at a time."""
    hits, precision = np.full((len(queries), len(KS)), np.nan), np.full(len(queries), np.nan)
    blocks = similarity_blocks(bank.vectors[queries], bank.vectors[gallery], bank.group[queries], bank.group[gallery])
    for block, similarities in blocks:
        relevant = (code[queries][block, None] == code[gallery]) & np.isfinite(similarities)
        hits[block] = ranking.rank_k(similarities, relevant, KS)
        precision[block] = ranking.average_precision(similarities, relevant)
    return hits, precision


# The open set


def _searches(bank: _Bank, enrolled: Int[np.ndarray, " n"], queries: Int[np.ndarray, " q"]) -> pd.DataFrame:
    """One row a search of enrolled generators: path, group, pool, generator, score, answer, correct.

    A query without any admissible row is left out; so is one of an enrolled generator whose rows are all of
    the query's own group, because it is neither mated nor from an unregistered generator.
    """
    nearest = bank.search(queries, enrolled, 1)
    rows, score = nearest.indices[:, 0], nearest.similarities[:, 0].astype(np.float64)
    generator, answer = bank.generator[queries], bank.generator[rows]
    groups_of = {
        name: set(bank.group[enrolled[bank.generator[enrolled] == name]]) for name in set(bank.generator[enrolled])
    }
    pool = [
        "real" if name == REAL
        else "unregistered" if name not in groups_of
        else "mated" if groups_of[name] - {group}
        else ""
        for name, group in zip(generator, bank.group[queries], strict=True)
    ]  # fmt: skip
    table = pd.DataFrame(
        {
            "path": bank.samples["path"].to_numpy(dtype=object)[queries],
            "group": bank.group[queries],
            "pool": pool,
            "generator": generator,
            "score": score,
            "answer": answer,
            "correct": answer == generator,
        }
    )
    return table[(rows >= 0) & (table["pool"] != "")].reset_index(drop=True)


def _validation_scores(
    bank: _Bank, enrolled: Int[np.ndarray, " n"], settings: RetrievalSettings
) -> Mapping[str, Scores]:
    """Scores of the non-mated searches that may set a threshold, by pool; empty where there are none."""
    scores: dict[str, Scores] = {pool: np.empty(0) for pool in POOLS}
    if {settings.gallery, settings.query} & {"val", "all"}:
        return scores
    validation = np.flatnonzero((bank.samples["split"] == "val").to_numpy())
    of = bank.generator[validation]
    scores["real"] = _searches(bank, enrolled, validation[of == REAL])["score"].to_numpy()
    left_out = [
        _searches(bank, enrolled[bank.generator[enrolled] != name], validation[of == name])["score"].to_numpy()
        for name in _ordered(bank.generator[enrolled])
    ]
    if left_out:
        scores["unregistered"] = np.concatenate(left_out)
    return scores


def _open_set(
    pool: Pool,
    enrolled: Groups,
    scores: pd.DataFrame,
    thresholds: Mapping[str, Scores],
    settings: RetrievalSettings,
) -> OpenSet | None:
    """Mated searches against one pool; None where one of the two is empty."""
    mated = (scores["pool"] == "mated").to_numpy()
    non_mated = (scores["pool"] == pool).to_numpy()
    if not mated.any() or not non_mated.any():
        return None
    score, correct = scores["score"].to_numpy(), scores["correct"].to_numpy(dtype=bool)

    def measures(rows: Int[np.ndarray, " m"]) -> dict[str, float]:
        return {"auroc": open_set.auroc(score[rows[mated[rows]]], score[rows[non_mated[rows]]])}

    searched = np.flatnonzero(mated | non_mated)
    a, right, b = score[mated], correct[mated], score[non_mated]
    return OpenSet(
        pool=pool,
        enrolled=tuple(_ordered(enrolled)),
        n_enrolled_rows=len(enrolled),
        n_mated=len(a),
        n_non_mated=len(b),
        auroc=open_set.auroc(a, b),
        auroc_interval=_intervals(measures, searched, scores["group"].to_numpy(dtype=object), settings)["auroc"],
        oscr=open_set.oscr(a, right, b),
        ccr_at_fpr05=open_set.ccr_at_fpr(a, right, b, 0.05),
        tnr_at_tpr95=open_set.tnr_at_tpr(a, b, 0.95),
        points=tuple(_operating_point(fpir, a, right, b, thresholds[pool]) for fpir in FPIRS),
    )


def _operating_point(
    fpir: float, mated: Scores, correct: Mask, non_mated: Scores, validation: Scores
) -> OperatingPoint:
    source: Literal["validation", "queries"] = "validation" if len(validation) else "queries"
    setting = validation if len(validation) else non_mated
    if min(len(setting), len(non_mated)) < open_set.searches_needed(fpir):
        return OperatingPoint(fpir, "unresolvable", source, len(setting), len(non_mated))
    threshold = open_set.threshold_at_fpir(setting, fpir)
    rates = open_set.identification(mated, correct, non_mated, threshold)
    return OperatingPoint(
        fpir, "resolved", source, len(setting), len(non_mated), threshold, rates.fpir, rates.dir, rates.fnir
    )


# What both need


def _condition(features: FeatureSet, gallery: Int[np.ndarray, " n"], name: str) -> Features:
    """Conditioned vectors with every part of the reference at length 1, so that none drowns another."""
    matrix, widths = features.matrix, features.widths
    conditioned = fit_condition(name, matrix[gallery], widths).apply(matrix)
    return np.hstack([normalise(part) for part in np.split(conditioned, np.cumsum(widths)[:-1], axis=1)])


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


def _ordered(generators: Groups) -> list[str]:
    """Unique names, `real` first."""
    return sorted(set(generators), key=lambda name: (name != REAL, name))


def _intervals(
    measures: Callable[[Int[np.ndarray, " m"]], dict[str, float]],
    rows: Int[np.ndarray, " m"],
    groups: Groups,
    settings: RetrievalSettings,
) -> dict[str, Interval | None]:
    """95 % percentile intervals of the measures over resampled groups; None with fewer than 10 groups."""
    names = measures(rows)
    codes, unique = pd.factorize(groups[rows])
    if settings.bootstrap == 0 or len(unique) < FEWEST_GROUPS:
        return dict.fromkeys(names)
    rng = np.random.default_rng(settings.seed)
    resamples: dict[str, list[float]] = {name: [] for name in names}
    for _ in range(settings.bootstrap):
        times = np.bincount(rng.integers(0, len(unique), len(unique)), minlength=len(unique))
        for name, value in measures(np.repeat(rows, times[codes])).items():
            resamples[name].append(value)
    return {name: _percentiles(values) for name, values in resamples.items()}


def _percentiles(values: list[float]) -> Interval | None:
    defined = [value for value in values if not math.isnan(value)]
    if not defined:
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(low), float(high)


def _mean(values: Float[np.ndarray, " n"]) -> float:
    return float(np.mean(values)) if len(values) else math.nan


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
    if closed.intervals["rank1"] is None and settings.bootstrap:
        notes.append(f"Fewer than {FEWEST_GROUPS} groups of queries: no intervals.")
    for pool in opened:
        if pool.points[0].threshold_from == "queries":
            notes.append(
                f"Pool {pool.pool}: no validation rows to set thresholds, so DIR is given where the "
                f"{pool.n_non_mated} non-mated queries themselves have that FPIR."
            )
    return tuple(notes)


def _without_nan(value: JSONValue) -> JSONValue:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {name: _without_nan(item) for name, item in value.items()}
        case list():
            return [_without_nan(item) for item in value]
        case _:
            return value
