"""Leave one generator out: each in turn is unregistered, and so unknown to whatever was learned."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.manifest import REAL
from probekit.metrics.bootstrap import resample
from probekit.projections import Projection
from probekit.retrieval.asking import OnProgress, Question, one_by_one
from probekit.retrieval.open_set import OpenSet
from probekit.retrieval.question import measure_open
from probekit.retrieval.rows import turns
from probekit.retrieval.searches import Pool
from probekit.retrieval.settings import RetrievalSettings

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
    return unite_left_out(one_by_one(divide_left_out(features, settings, projection), features, on_progress))


@dataclass(frozen=True, eq=False)
class WithoutOne:
    """Rows of the tables of `LeaveOneOut`: those of one generator."""

    rows: list[dict[str, JSONValue]]
    gains: list[dict[str, JSONValue]]
    scores: pd.DataFrame


@dataclass(frozen=True)
class LeftOut:
    """The open set without one generator, to be asked apart from the others."""

    name: str
    settings: RetrievalSettings
    projection: Projection | None

    def __call__(self, features: FeatureSet) -> "WithoutOne":
        """The open-set rates without this generator.

        Raises:
            ModelError: a feature is not finite.
            ProbeError: the projection cannot be learned.
        """
        samples = features.samples
        settings = replace(self.settings, unknown=(self.name,))
        asked = Question(settings, self.projection).turns(samples)
        kinds: dict[str, tuple[pd.DataFrame, tuple[OpenSet, ...]]] = {}
        for kind, learned in (("raw", None), ("projected", self.projection)):
            if kind == "raw" or learned is not None:
                searches = Question(settings, learned).search_open(features, asked)
                kinds[kind] = measure_open(samples, asked, [searches], settings)
        rows, scores = [], []
        for kind, (found, pools) in kinds.items():
            rows += [{"unknown": self.name, "features": kind, **pool.row()} for pool in pools]
            scores.append(found.drop(columns="group").assign(unknown=self.name, features=kind))
        gains = self._gains(kinds, settings) if "projected" in kinds else []
        return WithoutOne(rows, [{"unknown": self.name, **gain} for gain in gains], pd.concat(scores))

    def __str__(self) -> str:
        return f"{self.name} left out"

    def _gains(
        self, kinds: Mapping[str, tuple[pd.DataFrame, tuple[OpenSet, ...]]], settings: RetrievalSettings
    ) -> list[dict[str, JSONValue]]:
        """Those of the projection, against each pool."""
        (raw, before), (projected, after) = kinds["raw"], kinds["projected"]
        return [auroc_gain(*pools, raw, projected, settings) for pools in zip(before, after, strict=True)]


def divide_left_out(
    features: FeatureSet, settings: RetrievalSettings, projection: Projection | None = None
) -> list[LeftOut]:
    """A question for each generator that is registered and searched.

    Args:
        features: of all samples; they may be labelled only.
        settings: as `leave_one_out` takes them.
        projection: the same.

    Raises:
        UsageError: fewer than two generators are registered and searched.
    """
    return [LeftOut(name, settings, projection) for name in _names(features, settings)]


def unite_left_out(found: Sequence[WithoutOne]) -> LeaveOneOut:
    """The tables of all generators, and their means."""
    table = pd.DataFrame([row for part in found for row in part.rows])
    gains = pd.DataFrame([gain for part in found for gain in part.gains])
    return LeaveOneOut(table, _means(table), gains, pd.concat([part.scores for part in found], ignore_index=True))


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
