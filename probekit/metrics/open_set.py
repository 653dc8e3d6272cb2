"""Open-set metrics: is this image from a registered generator at all, and if so, from which?

A *mated* search has its class in the gallery, a *non-mated* one has not. Scores are similarities (higher:
more surely registered), never votes, and every metric treats equal scores as one: thresholds lie at unique
scores only. Definitions: ISO/IEC 19795-1 and NIST's 1:N evaluations for FPIR, FNIR and DIR; Dhamija et al.
2018 for OSCR.
"""

import math
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Float, Mask, Scores

CHANCE = 0.001  # small, because searches of one group are alike


@dataclass(frozen=True)
class Identification:
    """Error rates of searches with one threshold."""

    fpir: float
    """Share of non-mated searches that return a candidate at or above the threshold."""
    fnir: float
    """Share of mated searches whose first candidate is of another class or below the threshold."""

    @property
    def dir(self) -> float:
        """Detection and identification rate, 1 - FNIR."""
        return 1 - self.fnir


def auroc(mated: Scores, non_mated: Scores) -> float:
    """P(mated > non-mated) + ½ P(equal); NaN without one of the two."""
    return oscr(mated, np.ones(len(mated), dtype=bool), non_mated)


def oscr(mated: Scores, correct: Mask, non_mated: Scores) -> float:
    """∫ CCR dFPR: P(mated is correct and > non-mated) + ½ P(correct and equal); NaN without one of the two.

    CCR(t) is the share of mated searches that are correct with score ≥ t, FPR(t) the share of non-mated
    ones with score ≥ t; between unique scores the curve is joined by straight lines, which gives an equal
    pair one half.
    """
    if len(mated) == 0 or len(non_mated) == 0:
        return float("nan")
    ordered, right = np.sort(non_mated), mated[correct]
    below = np.searchsorted(ordered, right, side="left")
    not_above = np.searchsorted(ordered, right, side="right")
    return float((below + not_above).sum() / (2 * len(mated) * len(non_mated)))


def ccr_at_fpr(mated: Scores, correct: Mask, non_mated: Scores, fpr: float = 0.05) -> float:
    """Largest share of mated searches that are accepted and correct while FPR ≤ `fpr`."""
    if len(mated) == 0 or len(non_mated) == 0:
        return float("nan")
    return float(np.mean(correct & _reaches(mated, threshold_at_fpir(non_mated, fpr))))


def tnr_at_tpr(mated: Scores, non_mated: Scores, tpr: float = 0.95) -> float:
    """Share of non-mated searches below the highest threshold that still accepts `tpr` of the mated ones."""
    if len(mated) == 0 or len(non_mated) == 0:
        return float("nan")
    needed = math.ceil(tpr * len(mated) - 1e-9)
    threshold = np.sort(mated)[::-1][max(needed, 1) - 1]
    return float(np.mean(non_mated < threshold))


def threshold_at_fpir(non_mated: Scores, fpir: float) -> float:
    """The lowest threshold T that at most `fpir` of the non-mated searches reach (score ≥ T).

    Of n scores, m = ⌊fpir · n⌋ may reach T: it lies just above the (m+1)-th highest, so a tie there is
    rejected whole.
    """
    allowed = math.floor(fpir * len(non_mated) + 1e-9)
    if allowed >= len(non_mated):
        return -math.inf
    return float(np.nextafter(np.sort(non_mated.astype(np.float64))[::-1][allowed], np.inf))


def identification(mated: Scores, correct: Mask, non_mated: Scores, threshold: float) -> Identification:
    """FPIR and rank-1 FNIR at this threshold; NaN for a pool that is empty."""
    return Identification(
        fpir=float(np.mean(_reaches(non_mated, threshold))) if len(non_mated) else float("nan"),
        fnir=float(1 - np.mean(correct & _reaches(mated, threshold))) if len(mated) else float("nan"),
    )


def det(
    mated: Scores, correct: Mask, non_mated: Scores
) -> tuple[Float[np.ndarray, " v"], Float[np.ndarray, " v"], Float[np.ndarray, " v"]]:
    """FPIR, FNIR and threshold at every unique score, FPIR ascending: the vertices of the DET curve.

    The first vertex has the threshold ∞ (nothing is accepted: FPIR 0, FNIR 1). No vertex, without one of the two
    pools.
    """
    if len(mated) == 0 or len(non_mated) == 0:
        return np.empty(0), np.empty(0), np.empty(0)
    accepted = np.asarray(mated, dtype=np.float64)[correct]
    rejected = np.asarray(non_mated, dtype=np.float64)
    scores = np.unique(np.concatenate([np.asarray(mated, dtype=np.float64), rejected]))[::-1]
    fpir = 1 - np.searchsorted(np.sort(rejected), scores, side="left") / len(rejected)
    ccr = (len(accepted) - np.searchsorted(np.sort(accepted), scores, side="left")) / len(mated)
    return np.append(0.0, fpir), np.append(1.0, 1 - ccr), np.append(np.inf, scores)


def searches_needed(fpir: float) -> int:
    """Non-mated searches below which this FPIR cannot be resolved: 1/n must be at most `fpir`."""
    return math.ceil(1 / fpir - 1e-9)


def exceeds(accepted: int, searches: int, fpir: float) -> bool:
    """Whether more non-mated searches were accepted than chance explains: P(as many or more | FPIR) < `CHANCE`."""
    from scipy.stats import binom

    return bool(binom.sf(accepted - 1, searches, fpir) < CHANCE)


def _reaches(scores: Scores, threshold: float) -> Mask:
    """Score ≥ threshold in float64: in float32 a threshold just above a score would round back onto it."""
    return np.asarray(scores, dtype=np.float64) >= threshold
