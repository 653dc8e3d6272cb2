"""k-shot registration: how the numbers grow with the registered examples of each generator."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Mask
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue
from probekit.projections import Projection
from probekit.protocols import EVERY, draw_shots
from probekit.retrieval.asking import OnProgress, Question, one_by_one
from probekit.retrieval.closed_set import summarise
from probekit.retrieval.open_set import OpenSet
from probekit.retrieval.question import gather, measure_open
from probekit.retrieval.rows import Turn
from probekit.retrieval.settings import FLAT, RetrievalSettings


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
    return unite_shots(one_by_one(divide_shots(settings, shots, seeds, projection), features, on_progress))


@dataclass(frozen=True)
class Draw:
    """The question with one draw of registered examples."""

    settings: RetrievalSettings
    projection: Projection | None
    shots: int | None
    seed: int

    def __call__(self, features: FeatureSet) -> list[dict[str, JSONValue]]:
        """A row a measure.

        Raises:
            ModelError: a feature is not finite.
            ProbeError: as `score_shots`.
        """
        samples, settings, question = features.samples, self.settings, Question(self.settings, self.projection)
        asked = [_drawn(samples, turn, self.shots, self.seed) for turn in question.turns(samples)]
        found = question.search(features, asked)
        closed = summarise(gather(samples, asked, [found]), settings)
        _, pools = measure_open(samples, asked, [found.open], settings)
        name = EVERY if self.shots is None else str(self.shots)
        n: dict[str, JSONValue] = {"shots": name, "seed": self.seed, "n_gallery": closed.n_gallery}
        first: dict[str, JSONValue] = {
            **n,
            "measure": "Rank-1",
            "value": closed.rank[1],
            "fpir": np.nan,
            "n_queries": closed.n_scored,
        }
        return [first, *(n | row | {"n_queries": pool.n_mated} for pool in pools for row in _points(pool))]

    def __str__(self) -> str:
        return f"{EVERY if self.shots is None else self.shots} registered examples, seed {self.seed}"


def divide_shots(
    settings: RetrievalSettings, shots: Sequence[int | None], seeds: int = 5, projection: Projection | None = None
) -> list[Draw]:
    """Every draw of every number of examples; as `score_shots` takes them.

    Raises:
        UsageError: no seed.
    """
    if seeds < 1:
        raise UsageError(f"--seeds {seeds}: draw at least once.")
    settings = replace(settings, bootstrap=0, index=FLAT)
    return [
        Draw(settings, projection, number, settings.seed + seed)
        for number in shots
        for seed in range(1 if number is None else seeds)
    ]


def unite_shots(found: Sequence[list[dict[str, JSONValue]]]) -> ShotCurve:
    """Means over the draws, from what the draws of `divide_shots` gave, in their order."""
    columns = ["shots", "seed", "measure", "value", "fpir", "n_gallery", "n_queries"]
    draws = pd.DataFrame([row for rows in found for row in rows], columns=columns)
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


def _points(pool: OpenSet) -> Iterator[dict[str, JSONValue]]:
    """DIR and the measured FPIR at every FPIR asked for; NaN where they cannot be resolved."""
    for point in pool.points:
        value, fpir = (np.nan if x is None else x for x in (point.dir, point.measured_fpir))
        yield {"measure": f"DIR@{point.fpir:g} ({pool.pool})", "value": value, "fpir": fpir}


def _mask(rows: "np.ndarray", n: int) -> Mask:
    found: Mask = np.isin(np.arange(n), rows)
    return found
