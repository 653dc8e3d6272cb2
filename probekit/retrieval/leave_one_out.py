"""Leave one generator out: each in turn is unregistered, and so unknown to whatever was learned."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.manifest import REAL
from probekit.metrics.bootstrap import resample
from probekit.projections import Projection
from probekit.protocols import require_finite
from probekit.retrieval.bank import Bank
from probekit.retrieval.open_set import OpenSet
from probekit.retrieval.question import search_open
from probekit.retrieval.rows import turns
from probekit.retrieval.searches import Pool
from probekit.retrieval.settings import RetrievalSettings

OnProgress = Callable[[int, int], None]
MEASURES = ("auroc", "oscr", "ccr_at_fpr05", "tnr_at_tpr95")


@dataclass(frozen=True)
class LeaveOneOut:
    """The open set with each generator in turn unregistered."""

    table: pd.DataFrame
    """A row a generator left out, pool and kind of features: unknown, features (raw, projected), pool,
    n_enrolled_rows, n_mated, n_non_mated, auroc, auroc_lo, auroc_hi, oscr, ccr_at_fpr05, tnr_at_tpr95, dir@FPIR
    and the FPIR measured there, fpir@FPIR (NaN: unresolvable)."""
    mean: pd.DataFrame
    """A row a pool and kind of features: the means over generators, of as many as each number is defined for
    (`n`, `n_dir@FPIR`)."""
    gains: pd.DataFrame
    """With a projection: unknown, pool, auroc_raw, auroc, gain, its paired interval gain_lo, gain_hi, outside."""
    scores: pd.DataFrame
    """Every search: unknown, features, path, pool, generator, score, answer, correct."""

    def to_json(self) -> dict[str, JSONValue]:
        """The tables as JSON can hold them."""
        tables = {"rows": self.table, "mean": self.mean, "gains": self.gains}
        return {name: [metrics.json_row(row) for row in table.to_dict("records")] for name, table in tables.items()}


def leave_one_out(
    features: FeatureSet,
    settings: RetrievalSettings,
    projection: Projection | None = None,
    *,
    on_progress: OnProgress | None = None,
) -> LeaveOneOut:
    """The open-set rates with each registered generator in turn unknown, without the projection and with it.

    Args:
        features: of all samples.
        settings: what is searched for what; its `unknown` is not looked at, each generator takes that place in turn.
        projection: learned again for each turn, without the generator that is left out.
        on_progress: called with (generators done, all).

    Raises:
        UsageError: fewer than two generators are registered and searched.
        ProbeError: the projection cannot be learned.
    """
    samples = features.samples
    require_finite(samples, features.blocks)
    names = _names(features, settings)
    rows, gains, scores = [], [], []
    for done, name in enumerate(names):
        left_out = replace(settings, unknown=(name,))
        asked = turns(samples, left_out, learns=projection is not None or settings.fitted)
        kinds: dict[str, tuple[pd.DataFrame, tuple[OpenSet, ...]]] = {}
        for kind, learned in (("raw", None), ("projected", projection)):
            if kind == "raw" or learned is not None:
                bank_of = partial(Bank.of, features, settings=settings, projection=learned)
                banks = [bank_of(turn) for turn in asked]
                kinds[kind] = search_open(banks, asked, left_out, bank_of if learned or settings.fitted else None)
        for kind, (found, pools) in kinds.items():
            scores.append(found.drop(columns="group").assign(unknown=name, features=kind))
            rows += [{"unknown": name, "features": kind, **pool.row()} for pool in pools]
        if "projected" in kinds:
            gains += [
                {"unknown": name, **auroc_gain(before, after, kinds["raw"][0], kinds["projected"][0], settings)}
                for before, after in zip(kinds["raw"][1], kinds["projected"][1], strict=True)
            ]
        if on_progress:
            on_progress(done + 1, len(names))
    table = pd.DataFrame(rows)
    return LeaveOneOut(table, _means(table), pd.DataFrame(gains), pd.concat(scores, ignore_index=True))


def auroc_gain(
    before: OpenSet, after: OpenSet, raw: pd.DataFrame, projected: pd.DataFrame, settings: RetrievalSettings
) -> dict[str, JSONValue]:
    """AUROC of one pool without and with a projection, and the interval of the difference under the same draws."""
    pool: Pool = before.pool
    own = raw["pool"].isin(["mated", pool]).to_numpy()
    draws = resample(raw["group"].to_numpy(dtype=object)[own], settings.bootstrap, settings.seed)
    mated = (raw["pool"] == "mated").to_numpy()[own].astype(np.int64)
    a, b = (scores["score"].to_numpy()[own] for scores in (projected, raw))
    low, high = draws.auc_difference(mated, a, b)
    return gain_row(f"AUROC against {pool}", before.auroc, after.auroc, low, high)


def gain_row(measure: str, raw: float, projected: float, low: float, high: float) -> dict[str, JSONValue]:
    """One row of a table of gains; `outside`: whether the interval excludes 0, None where there is no interval."""
    return {
        "measure": measure,
        "raw": raw,
        "projected": projected,
        "gain": projected - raw,
        "gain_lo": low,
        "gain_hi": high,
        "outside": None if math.isnan(low) else bool(low > 0 or high < 0),
    }


def _names(features: FeatureSet, settings: RetrievalSettings) -> list[str]:
    """Generators that are registered and searched."""
    generator = features.samples["generator"].to_numpy(dtype=object)
    asked = turns(features.samples, replace(settings, unknown=()), learns=False)
    gallery, queries = (
        set(np.concatenate([generator[rows] for rows in parts]))
        for parts in ([turn.gallery for turn in asked], [turn.queries for turn in asked])
    )
    registered = sorted(gallery - {REAL})
    names = [name for name in registered if name in queries]
    if len(registered) < 2 or not names:
        raise UsageError(
            "leaving one generator out needs two registered ones, and queries of them: the gallery has "
            f"{', '.join(registered) or 'none'}, the queries {', '.join(sorted(queries - {REAL})) or 'none'}."
        )
    return names


def _means(table: pd.DataFrame) -> pd.DataFrame:
    """Means over generators; a number that is undefined for some is the mean of the others, counted beside it."""
    measures = [name for name in map(str, table) if name in MEASURES or "@" in name]
    rows = []
    for (kind, pool), own in table.groupby(["features", "pool"], sort=False):
        row = {"features": kind, "pool": pool, "n": len(own), **own[measures].mean().to_dict()}
        rows.append(row | {f"n_{name}": int(own[name].notna().sum()) for name in measures if name.startswith("dir@")})
    return pd.DataFrame(rows)
