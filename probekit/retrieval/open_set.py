"""Open set: is an image from an enrolled generator at all?"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from probekit import metrics
from probekit.arrays import Groups, Scores
from probekit.fingerprint import JSONValue, plain
from probekit.metrics import open_set
from probekit.metrics.bootstrap import Interval, resample
from probekit.retrieval.bank import ordered
from probekit.retrieval.searches import Pool
from probekit.retrieval.settings import RetrievalSettings
from probekit.retrieval.thresholds import FPIRS, OperatingPoint, operating_point


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
    auroc_interval: Interval
    """95 % by bootstrap over query groups; NaN with fewer than 10 groups of mated or of non-mated searches."""
    oscr: float
    ccr_at_fpr05: float
    tnr_at_tpr95: float
    points: tuple[OperatingPoint, ...]
    """One for each FPIR."""
    best_mated: float
    """The highest score of a mated search."""

    def row(self) -> dict[str, JSONValue]:
        """The numbers for one row of a table: DIR as `dir@0.01`, the FPIR measured there as `fpir@0.01`; NaN: none."""
        counts = ("pool", "n_enrolled_rows", "n_mated", "n_non_mated", "auroc")
        numbers = {name: getattr(self, name) for name in counts}
        numbers |= {"auroc_lo": self.auroc_interval[0], "auroc_hi": self.auroc_interval[1]}
        numbers |= {name: getattr(self, name) for name in ("oscr", "ccr_at_fpr05", "tnr_at_tpr95")}
        for point in self.points:
            for name, value in (("dir", point.dir), ("fpir", point.measured_fpir)):
                numbers[f"{name}@{point.fpir:g}"] = math.nan if value is None else value
        return numbers

    def to_json(self) -> dict[str, JSONValue]:
        """Every number by name, the interval as auroc_ci; an undefined one is null."""
        low, high = self.auroc_interval
        named = asdict(self) | {"auroc_lo": low, "auroc_hi": high}
        del named["auroc_interval"]
        row = {name: plain(value) for name, value in named.items()}
        return metrics.json_row(row | {"points": [metrics.json_row(asdict(point)) for point in self.points]})


def measure_pool(
    pool: Pool,
    enrolled: Groups,
    scores: pd.DataFrame,
    thresholds: Mapping[str, Scores],
    settings: RetrievalSettings,
) -> OpenSet | None:
    """Mated searches against one pool; None where one of the two is empty."""
    searched = scores[scores["pool"].isin(["mated", pool])]
    mated = (searched["pool"] == "mated").to_numpy()
    if mated.all() or not mated.any():
        return None
    score = searched["score"].to_numpy()
    a, right, b = score[mated], searched["correct"].to_numpy(dtype=bool)[mated], score[~mated]
    draws = resample(searched["group"].to_numpy(dtype=object), settings.bootstrap, settings.seed)
    return OpenSet(
        pool=pool,
        enrolled=tuple(ordered(enrolled)),
        n_enrolled_rows=len(enrolled),
        n_mated=len(a),
        n_non_mated=len(b),
        auroc=open_set.auroc(a, b),
        auroc_interval=draws.auc(mated.astype(np.int64), score),
        oscr=open_set.oscr(a, right, b),
        ccr_at_fpr05=open_set.ccr_at_fpr(a, right, b, 0.05),
        tnr_at_tpr95=open_set.tnr_at_tpr(a, b, 0.95),
        points=tuple(operating_point(fpir, a, right, b, thresholds[pool]) for fpir in FPIRS),
        best_mated=float(a.max()),
    )
