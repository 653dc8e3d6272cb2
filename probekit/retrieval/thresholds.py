"""Thresholds for a wanted FPIR, and the error rates there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from probekit.arrays import Mask, Scores
from probekit.manifest import REAL
from probekit.metrics import open_set
from probekit.retrieval.bank import Bank, ordered
from probekit.retrieval.rows import RowNumbers, Turn
from probekit.retrieval.searches import POOLS, enrolled_rows, search_enrolled

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
    n_above_mated: int | None = None
    """Where the threshold lies above every mated search: of those that set it, so many score as high as the best
    mated one, which is why. None where some mated search reaches it."""

    @property
    def exceeded(self) -> bool:
        """Whether more non-mated queries are accepted than chance explains."""
        if self.measured_fpir is None:
            return False
        return open_set.exceeds(round(self.measured_fpir * self.n_non_mated), self.n_non_mated, self.fpir)


def validation_scores(
    bank: Bank, turn: Turn, validation: RowNumbers, bank_of: Callable[[Turn], Bank] | None = None
) -> Mapping[str, Scores]:
    """Scores of the non-mated searches that may set a threshold, by pool; empty where there are none.

    Args:
        bank: of this turn.
        turn: the gallery, whose generators are left out of it one after another.
        validation: the rows that may set thresholds, or a share of them.
        bank_of: the bank of a turn with fewer generators, where what they look like was learned from them; a
            generator without which nothing is left to tell apart is passed over.
    """
    scores: dict[str, Scores] = {pool: np.empty(0) for pool in POOLS}
    if len(validation) == 0:
        return scores
    of = bank.generator[validation]
    enrolled = enrolled_rows(bank.samples, turn)
    scores["real"] = search_enrolled(bank, enrolled, validation[of == REAL])["score"].to_numpy()
    left_out = []
    for name in ordered(bank.generator[enrolled]):
        fewer = turn.without(name, bank.samples)
        if bank_of and len(set(bank.generator[fewer.learned])) < 2:
            continue
        others = enrolled_rows(bank.samples, fewer)
        # a bank of its own has no name here, so that it is gone before the next is made
        found = search_enrolled(bank_of(fewer) if bank_of else bank, others, validation[of == name])
        left_out.append(found["score"].to_numpy())
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
        fpir=fpir,
        status="resolved",
        threshold_from=source,
        n_threshold=len(setting),
        n_non_mated=len(non_mated),
        threshold=threshold,
        measured_fpir=rates.fpir,
        dir=rates.dir,
        fnir=rates.fnir,
        n_above_mated=int((setting >= mated.max()).sum()) if mated.max() < threshold else None,
    )
