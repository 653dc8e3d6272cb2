"""Calibration: the threshold that searches for what is not registered reach in a wanted share of cases.

Non-mated searches come in two pools, which are kept apart:

    real         images of nobody's, searched among all examples
    registered   examples, each searched among those of all other generators: as if its own had never been registered

FPIR(T) = non-mated searches with a candidate ≥ T / all non-mated searches (ISO/IEC 19795-1). Each pool gives the lowest
T with FPIR(T) ≤ the wanted one; the stricter (higher) of the two is set, unless a pool is named. A pool of fewer than
1/FPIR searches cannot resolve that FPIR, and sets nothing. Examples of the same group (one source photograph) never
find each other, as in retrieval.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int, Scores
from probekit.blacklist.changes import now
from probekit.blacklist.images import ImageSet
from probekit.blacklist.needs import require_same
from probekit.blacklist.opened import SHORT, Blacklist
from probekit.blacklist.record import Calibration, Pool, require_examples
from probekit.blacklist.search import Exhaustive, batches, vectors_of
from probekit.errors import UsageError
from probekit.fingerprint import JSONValue, plain
from probekit.metrics.bootstrap import FEWEST_GROUPS
from probekit.metrics.open_set import searches_needed, threshold_at_fpir
from probekit.store.rows import RowIndex

Choice = Literal["stricter", "real", "registered"]
CHOICES: tuple[Choice, ...] = get_args(Choice)
POOLS = ("real", "registered")


@dataclass(frozen=True)
class CalibrationSettings:
    """What decides the threshold, besides the examples and the real images."""

    fpir: float = 0.01
    pool: Choice = "stricter"
    """Which pool sets it."""
    most: int = 10_000
    """Examples that are searched without their generator; of more, so many are drawn."""
    seed: int = 0
    """Of the drawing."""

    def __post_init__(self) -> None:
        if not 0 < self.fpir < 1:
            raise UsageError(f"--fpir {self.fpir:g}: give a share between 0 and 1, such as 0.01.")
        if self.pool not in CHOICES:
            raise UsageError(f"--pool {self.pool}: choose from {', '.join(CHOICES)}.")
        if self.most < 1:
            raise UsageError(f"--searches {self.most}: search 1 example or more.")


@dataclass(frozen=True, eq=False)
class Calibrated:
    """The pools, and the threshold if they were large enough to set one."""

    settings: CalibrationSettings
    pools: tuple[Pool, ...]
    scores: Mapping[str, Scores]
    """Pool → similarity of the nearest example, of every search."""
    calibration: Calibration | None
    """None: unresolvable, and nothing is to be set."""
    groups: Mapping[str, int]
    """Pool → photographs that its searches show; an image without a group counts as one."""
    notes: tuple[str, ...] = ()

    @property
    def needed(self) -> int:
        """Searches without which a pool cannot resolve this FPIR."""
        return searches_needed(self.settings.fpir)

    @property
    def searches(self) -> pd.DataFrame:
        """Pool and score: a row a search."""
        parts = [pd.DataFrame({"pool": name, "score": scores}) for name, scores in self.scores.items()]
        return pd.concat(parts, ignore_index=True)

    def to_json(self) -> dict[str, JSONValue]:
        """Plain values for `--json` and `run.json`."""
        status = {pool.name: "unresolvable" if pool.threshold is None else "resolved" for pool in self.pools}
        return {
            "fpir": self.settings.fpir,
            "status": "unresolvable" if self.calibration is None else "resolved",
            "searches_needed": self.needed,
            "pools": [
                {
                    "pool": pool.name,
                    "n": pool.searches,
                    "groups": self.groups[pool.name],
                    "status": status[pool.name],
                    "threshold": pool.threshold,
                }
                for pool in self.pools
            ],
            "calibration": plain(self.calibration),
            "notes": list(self.notes),
        }


def calibrate(blacklist: Blacklist, real: ImageSet | None, settings: CalibrationSettings | None = None) -> Calibrated:
    """The threshold for an FPIR, from validation images; nothing is written.

    Args:
        blacklist: what is searched, exactly.
        real: images of nobody's that are not used to judge the blacklist later; each content counts once.
        settings: FPIR and pool.

    Raises:
        UsageError: nothing is registered, there is no search at all, or a real image is registered.
        BlacklistError: the features are others than the blacklist's.
    """
    chosen = settings or CalibrationSettings()
    record = blacklist.record
    require_examples(record)
    scores: dict[str, Scores] = {}
    groups: dict[str, int] = {}
    notes = []
    if real is not None:
        require_same(record.blocks, real.blocks, record.name)
        once = _once(blacklist, real)
        scores["real"], groups["real"] = _search_real(blacklist, once), _count_groups(once.samples["group"])
    if len(record.generators) > 1:
        scores["registered"], groups["registered"] = _search_registered(blacklist, chosen)
    else:
        notes.append("one generator is registered, so none can be searched without itself: real images alone count.")
    if real is None:
        notes.append("no real images were given: the pool of registered generators alone counts.")
    if not scores or (chosen.pool != "stricter" and chosen.pool not in scores):
        raise UsageError(
            f"blacklist {record.name} has no searches to set a threshold by: give real images with --real, or register "
            "a second generator."
        )
    pools = tuple(_pool(name, scores[name], chosen.fpir) for name in POOLS if name in scores)
    notes += [
        f"pool {name}: its searches show {count} photographs; with fewer than {FEWEST_GROUPS} another choice of them "
        "may give quite another threshold."
        for name, count in groups.items()
        if count < FEWEST_GROUPS
    ]
    return Calibrated(chosen, pools, scores, _chosen(blacklist, real, chosen, pools), groups, tuple(notes))


def _pool(name: str, scores: Scores, fpir: float) -> Pool:
    resolved = len(scores) >= searches_needed(fpir)
    return Pool(name, len(scores), threshold_at_fpir(scores, fpir) if resolved else None)


def _chosen(
    blacklist: Blacklist, real: ImageSet | None, settings: CalibrationSettings, pools: tuple[Pool, ...]
) -> Calibration | None:
    setting = [pool for pool in pools if settings.pool in ("stricter", pool.name)]
    resolved = [(pool.threshold, pool.name) for pool in setting if pool.threshold is not None]
    if len(resolved) < len(setting):
        return None
    threshold, name = max(resolved)
    record = blacklist.record
    return Calibration(
        fpir=settings.fpir,
        threshold=threshold,
        pool=name,
        pools=pools,
        real="" if real is None else _described(real),
        examples=len(blacklist),
        generators=tuple(record.generators),
        added=record.added,
        removed=record.removed,
        set_at=now(),
    )


def _described(real: ImageSet) -> str:
    sha256 = f", sha256 {real.manifest_sha256[:SHORT]}" if real.manifest_sha256 else ""
    group = real.samples["group"]
    photographs = f" of {_count_groups(group)} photographs" if (group != "").any() else ""
    return f"{real.source} ({len(real)} images{photographs}{sha256})"


def _count_groups(groups: "pd.Series[str]") -> int:
    """Groups, and each image that has none."""
    return int((groups == "").sum()) + groups[groups != ""].nunique()


def _once(blacklist: Blacklist, real: ImageSet) -> ImageSet:
    """Each content once; none of them registered."""
    nothing = np.zeros(len(real), np.int16)
    alive = np.flatnonzero(blacklist.alive)
    found = RowIndex(blacklist.keys[alive], np.zeros(len(alive), np.int16)).find(real.keys, nothing)
    if (found >= 0).any():
        row = int(np.argmax(found >= 0))
        owner = blacklist.generators[alive[found[row]]]
        raise UsageError(
            f"{real.samples['path'].iloc[row]} is given as a real image and is registered as an example of {owner} "
            f"({np.count_nonzero(found >= 0)} such images): one of the two is wrong."
        )
    first = RowIndex(real.keys, nothing).find(real.keys, nothing) == np.arange(len(real))
    return real.take(np.flatnonzero(first))


def _search_real(blacklist: Blacklist, real: ImageSet) -> Scores:
    photographs, names = _photographs(blacklist)
    groups = (f"{real.manifest}:" + real.samples["group"].astype(str)).where(real.samples["group"] != "")
    own = names.get_indexer(pd.Index(groups))
    return _best(Exhaustive(blacklist), real.vectors, photographs, own)


def _search_registered(blacklist: Blacklist, settings: CalibrationSettings) -> tuple[Scores, int]:
    """Each example among those of other generators, of very many a seeded share; and how many photographs they show."""
    rows = np.flatnonzero(blacklist.alive)
    if len(rows) > settings.most:
        rows = np.sort(np.random.default_rng(settings.seed).choice(rows, settings.most, replace=False))
    (photographs, _), of = _photographs(blacklist), blacklist.generators
    scores = np.empty(len(rows))
    exhaustive = Exhaustive(blacklist, of)
    for own in batches(len(rows)):
        now_searched = rows[own]
        scores[own] = _best(
            exhaustive, vectors_of(blacklist, now_searched), photographs, photographs[now_searched], of[now_searched]
        )
    found = np.isfinite(scores)
    shown = photographs[rows[found]]
    return scores[found], int((shown < 0).sum()) + len(np.unique(shown[shown >= 0]))


def _best(
    exhaustive: Exhaustive,
    queries: "np.ndarray[tuple[int, int], np.dtype[np.float32]]",
    photographs: Int[np.ndarray, " n"],
    own: Int[np.ndarray, " q"],
    generators: Groups | None = None,
) -> Scores:
    """Similarity of the nearest example that shows another photograph; -inf where there is none.

    As many neighbours are fetched as one photograph has examples, and one more.
    """
    counts = np.bincount(photographs[exhaustive.blacklist.alive & (photographs >= 0)], minlength=own.max(initial=0) + 1)
    k = 1 + int(counts[own[own >= 0]].max(initial=0))
    scores = np.full(len(queries), -np.inf)
    for rows in batches(len(queries)):
        found = exhaustive.search(queries[rows], k, None if generators is None else generators[rows])
        of: Int[np.ndarray, "q k"] = found.indices
        same = (photographs[np.maximum(of, 0)] == own[rows, None]) & (own[rows, None] >= 0)
        scores[rows] = np.where((of >= 0) & ~same, found.similarities, -np.inf).max(axis=1)
    return scores


def _photographs(blacklist: Blacklist) -> tuple[Int[np.ndarray, " n"], pd.Index]:
    """The source of every row as its manifest groups them, numbered; -1 where nobody said. And the name of each."""
    table = blacklist.describe(np.arange(len(blacklist.alive)))
    names = (table["manifest"] + ":" + table["group"]).where(table["group"] != "")
    codes, known = pd.factorize(names)
    return codes, pd.Index(known)
