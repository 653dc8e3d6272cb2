"""Thresholds for a wanted FPIR, and the error rates there."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from probekit.arrays import Int, Mask, Scores
from probekit.manifest import REAL
from probekit.metrics import open_set
from probekit.retrieval.bank import Bank, ordered
from probekit.retrieval.searches import POOLS, search_enrolled
from probekit.retrieval.settings import RetrievalSettings

FPIRS = (0.003, 0.01, 0.05)


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


def validation_scores(bank: Bank, enrolled: Int[np.ndarray, " n"], settings: RetrievalSettings) -> Mapping[str, Scores]:
    """Scores of the non-mated searches that may set a threshold, by pool; empty where there are none."""
    scores: dict[str, Scores] = {pool: np.empty(0) for pool in POOLS}
    if {settings.gallery, settings.query} & {"val", "all"}:
        return scores
    validation = np.flatnonzero((bank.samples["split"] == "val").to_numpy())
    of = bank.generator[validation]
    scores["real"] = search_enrolled(bank, enrolled, validation[of == REAL])["score"].to_numpy()
    left_out = [
        search_enrolled(bank, enrolled[bank.generator[enrolled] != name], validation[of == name])["score"].to_numpy()
        for name in ordered(bank.generator[enrolled])
    ]
    if left_out:
        scores["unregistered"] = np.concatenate(left_out)
    return scores


def operating_point(fpir: float, mated: Scores, correct: Mask, non_mated: Scores, validation: Scores) -> OperatingPoint:
    """DIR and FNIR at the threshold of this FPIR, from validation rows where there are any."""
    source: Literal["validation", "queries"] = "validation" if len(validation) else "queries"
    setting = validation if len(validation) else non_mated
    if min(len(setting), len(non_mated)) < open_set.searches_needed(fpir):
        return OperatingPoint(fpir, "unresolvable", source, len(setting), len(non_mated))
    threshold = open_set.threshold_at_fpir(setting, fpir)
    rates = open_set.identification(mated, correct, non_mated, threshold)
    return OperatingPoint(
        fpir, "resolved", source, len(setting), len(non_mated), threshold, rates.fpir, rates.dir, rates.fnir
    )
