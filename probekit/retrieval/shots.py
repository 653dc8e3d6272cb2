"""k-shot registration: how the numbers grow with the registered examples of each generator."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Mask
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.projections import Projection
from probekit.protocols import EVERY, draw_shots, require_finite
from probekit.retrieval.bank import Bank
from probekit.retrieval.closed_set import summarise
from probekit.retrieval.question import search_all, search_open
from probekit.retrieval.rows import Turn, turns
from probekit.retrieval.settings import FLAT, RetrievalSettings

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class ShotCurve:
    """The same question with ever more registered examples."""

    table: pd.DataFrame
    """A row a number of shots and measure: shots (text), measure (Rank-1, DIR@FPIR against a pool), value (mean over
    seeds), spread (their standard deviation; NaN with one), n_seeds for which it is defined, fpir (measured, for DIR),
    n_gallery and n_queries (means over seeds)."""
    draws: pd.DataFrame
    """A row a draw and measure: shots, seed, measure, value, fpir, n_gallery, n_queries."""

    def to_json(self) -> list[dict[str, JSONValue]]:
        """The table as JSON can hold it."""
        return [metrics.json_row(row) for row in self.table.to_dict("records")]


def score_shots(
    features: FeatureSet,
    settings: RetrievalSettings,
    shots: Sequence[int | None],
    seeds: int = 5,
    *,
    projection: Projection | None = None,
    on_progress: OnProgress | None = None,
) -> ShotCurve:
    """Rank-1, and DIR at each FPIR, by the number of registered examples of each generator.

    A draw takes the first groups in the hash order of its seed; fewer shots are part of more. `all` is one draw.
    Thresholds are found again for each draw: they depend on the size of the gallery. Every search is exact.

    Args:
        features: of all samples.
        settings: what is searched for what; the drawn rows are those of its gallery.
        shots: examples of each generator (real images: of each domain); None registers all.
        seeds: draws of each number.
        projection: learned from the drawn rows alone.
        on_progress: called with (draws done, all).

    Raises:
        UsageError: no seed.
        ProbeError: fewer gallery rows than shots; or the projection cannot be learned from so few.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: draw at least once.")
    require_finite(features.samples, features.blocks)
    settings = replace(settings, bootstrap=0, index=FLAT)
    asked = turns(features.samples, settings, learns=projection is not None or settings.fitted)
    plan = [(number, seed) for number in shots for seed in range(1 if number is None else seeds)]
    rows = []
    for done, (number, seed) in enumerate(plan):
        drawn = [_drawn(features.samples, turn, number, settings.seed + seed) for turn in asked]
        name = EVERY if number is None else str(number)
        found = _measure(features, drawn, settings, projection)
        rows += [{"shots": name, "seed": settings.seed + seed, **row} for row in found]
        if on_progress:
            on_progress(done + 1, len(plan))
    draws = pd.DataFrame(rows)
    of = draws.groupby(["shots", "measure"], sort=False)
    table = of.agg(
        value=("value", "mean"),
        spread=("value", "std"),
        n_seeds=("value", "count"),
        fpir=("fpir", "mean"),
        n_gallery=("n_gallery", "mean"),
        n_queries=("n_queries", "mean"),
    )
    return ShotCurve(table.reset_index(), draws)


def _drawn(samples: pd.DataFrame, turn: Turn, shots: int | None, seed: int) -> Turn:
    """The turn with so many gallery rows of each generator."""
    if shots is None:
        return turn
    kept = draw_shots(samples, _mask(turn.gallery, len(samples)), shots, seed)
    return replace(turn, gallery=turn.gallery[kept[turn.gallery]], learned=turn.learned[kept[turn.learned]])


def _measure(
    features: FeatureSet, asked: Sequence[Turn], settings: RetrievalSettings, projection: Projection | None
) -> list[dict[str, JSONValue]]:
    def bank_of(turn: Turn) -> Bank:
        return Bank.of(features, turn, settings, projection)

    banks = [bank_of(turn) for turn in asked]
    closed = summarise(search_all(banks, asked, settings), settings)
    _, pools = search_open(banks, asked, settings, bank_of if projection or settings.fitted else None)
    n = {"n_gallery": closed.n_gallery}
    rows: list[dict[str, JSONValue]] = [
        {"measure": "Rank-1", "value": closed.rank[1], "fpir": np.nan, **n, "n_queries": closed.n_scored}
    ]
    for pool in pools:
        for point in pool.points:
            value, fpir = (np.nan if x is None else x for x in (point.dir, point.measured_fpir))
            measure = f"DIR@{point.fpir:g} ({pool.pool})"
            rows.append({"measure": measure, "value": value, "fpir": fpir, **n, "n_queries": pool.n_mated})
    return rows


def _mask(rows: "np.ndarray", n: int) -> Mask:
    found: Mask = np.isin(np.arange(n), rows)
    return found
