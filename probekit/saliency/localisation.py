"""Localisation: how well a map points at what was manipulated, beside a centre prior and chance.

All are of the pixels that the view showed to the model and that have a value; m of these n pixels are in the mask.

    ap         average precision of the values against the mask, tie-aware as scikit-learn's
    iou        |S ∩ M| / |S ∪ M|, S the pixels whose value, scaled to 0–1 between least and greatest, is at least .5
               (the threshold of Dolos, Țânțaru et al. 2024, arXiv:2311.04584); a constant map selects nothing
    pointing   the pointing game (Zhang et al. 2018, arXiv:1608.00507) without tolerance: whether the greatest value
               lies in the mask; of several equal ones the share that does

The centre prior is a Gaussian about the middle of the image with a standard deviation of a quarter of each side. Chance
is the expected value of a map of independent uniform noise: with H the n-th harmonic number and a = m / n,

    ap   ((m − 1)/(n − 1) · (n − H) + H) / n        iou   a / (1 + a), but for terms of order 1/n        pointing   a
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Bool, Float, Mask, Shaped
from probekit.metrics.bootstrap import resample

METRICS = ("ap", "iou", "pointing")
THRESHOLD = 0.5
CENTRE_SIGMA = 0.25  # of each side
VERDICTS = {1: "better than the centre prior", -1: "worse than the centre prior", 0: "no different shown"}

Values = Float[np.ndarray, " n"]


@dataclass(frozen=True)
class Localised:
    """Of one image, each metric of the map, of the centre prior and of chance."""

    map: dict[str, float]
    centre: dict[str, float]
    random: dict[str, float]

    def row(self) -> dict[str, float]:
        """`ap`, `ap_centre`, `ap_random` and so on."""
        return {
            f"{name}{end}": values[name]
            for name in METRICS
            for end, values in (("", self.map), ("_centre", self.centre), ("_random", self.random))
        }


def localise(saliency: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"]) -> Localised | None:
    """The metrics of one map; None where the seen pixels are all inside the mask or all outside.

    Args:
        saliency: NaN at pixels without a value.
        mask: what was manipulated.
    """
    seen = ~np.isnan(saliency)
    inside = mask[seen]
    if inside.all() or not inside.any():
        return None
    prior = centre_prior(saliency.shape)[seen]
    return Localised(measure(saliency[seen], inside), measure(prior, inside), chance(len(inside), int(inside.sum())))


def measure(values: Values, inside: Mask) -> dict[str, float]:
    """The three metrics of some pixels' values."""
    return {
        "ap": average_precision(values, inside),
        "iou": iou(values, inside),
        "pointing": pointing(values, inside),
    }


def average_precision(values: Values, inside: Mask) -> float:
    """Σ_t (R_t − R_{t−1}) P_t over distinct values t, from the greatest; NaN without a pixel inside."""
    levels, number = np.unique(values, return_inverse=True)
    every = np.bincount(number, minlength=len(levels))[::-1].cumsum()
    hits = np.bincount(number, weights=inside, minlength=len(levels))[::-1]
    if not hits.sum():
        return float("nan")
    return float(np.sum(hits * hits.cumsum() / every) / hits.sum())


def iou(values: Values, inside: Mask, threshold: float = THRESHOLD) -> float:
    """Intersection over union of the mask and the pixels whose scaled value is at least the threshold."""
    least, greatest = float(values.min()), float(values.max())
    if greatest == least:
        return 0.0
    selected = (values.astype(np.float64) - least) / (greatest - least) >= threshold
    return float((selected & inside).sum() / (selected | inside).sum())


def pointing(values: Values, inside: Mask) -> float:
    """The share of the greatest values that are inside: a hit or a miss, but for ties."""
    return float(inside[values == values.max()].mean())


def chance(n: int, m: int) -> dict[str, float]:
    """What noise is expected to reach with m of n pixels inside, 0 < m < n."""
    harmonic = float(np.log(n) + np.euler_gamma + 1 / (2 * n)) if n > 10_000 else float(np.sum(1 / np.arange(1, n + 1)))
    area = m / n
    return {"ap": ((m - 1) / (n - 1) * (n - harmonic) + harmonic) / n, "iou": area / (1 + area), "pointing": area}


def centre_prior(size: tuple[int, ...]) -> Float[np.ndarray, "h w"]:
    """exp(−½ (y² + x²)), y and x the distances from the middle in standard deviations."""
    y, x = (((np.arange(side) + 0.5) / side - 0.5) / CENTRE_SIGMA for side in size)
    prior: Float[np.ndarray, "h w"] = np.exp(-0.5 * (y[:, None] ** 2 + x[None] ** 2))
    return prior


def summarise(
    images: pd.DataFrame, groups: Shaped[np.ndarray, " n"], replicates: int, seed: int
) -> dict[str, float | int | str]:
    """Means over images, and paired differences to the centre prior with 95 % intervals over groups.

    Args:
        images: one row an image, with the columns of `Localised.row`; NaN rows do not count.
        groups: of the images; fewer than ten give no interval.
        replicates: of the bootstrap.
        seed: of its draws.
    """
    known = images["ap"].notna().to_numpy()
    own = images[known]
    draws = resample(groups[known], replicates, seed)
    row: dict[str, float | int | str] = {
        "n": len(own),
        "n_groups": len(np.unique(groups[known])),
        "n_without": int(np.sum(~known)),
    }
    for name in METRICS:
        for end in ("", "_centre", "_random"):
            row[name + end] = float(own[name + end].mean()) if len(own) else float("nan")
        gain = (own[name] - own[f"{name}_centre"]).to_numpy()
        low, high = draws.mean(gain)
        row |= {f"{name}_gain": float(gain.mean()) if len(own) else float("nan")}
        row |= {f"{name}_gain_lo": low, f"{name}_gain_hi": high}
    row["verdict"] = verdict(float(row["ap_gain_lo"]), float(row["ap_gain_hi"]))
    return row


def verdict(low: float, high: float) -> str:
    """What the interval of a difference to the centre prior says, in words."""
    if np.isnan(low):
        return "too few groups to say"
    return VERDICTS[1 if low > 0 else -1 if high < 0 else 0]
