"""How far a map can be believed: what the plane keeps of the neighbourhoods in the features."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Int
from probekit.maps.settings import MapSettings

NEIGHBOURS_AT_ONCE = 1 << 24


@dataclass(frozen=True)
class Quality:
    """The figures of one map, as `MapResult` has them."""

    trustworthiness: float
    trustworthiness_neighbours: int
    purity_features: float
    purity_map: float
    purity_chance: float
    purity_neighbours: int
    n_quality: int


def measure(
    conditioned: Features, coordinates: Float[np.ndarray, "n 2"], samples: pd.DataFrame, settings: MapSettings
) -> Quality:
    """Trustworthiness and purity, of all samples or of a seeded subset of them."""
    sample = _subset(len(coordinates), settings)
    x, plane, own = conditioned[sample], coordinates[sample], samples.iloc[sample]
    near = min(settings.neighbours, len(sample) - 1)
    trusted = min(5, (len(sample) - 1) // 2)
    return Quality(
        trustworthiness=_trustworthiness(x, plane, trusted),
        trustworthiness_neighbours=trusted,
        purity_features=purity_among(x, own, x, own, near),
        purity_map=purity_among(plane, own, plane, own, near),
        purity_chance=chance_among(own, own),
        purity_neighbours=near,
        n_quality=len(sample),
    )


def purity_among(old: Features, old_samples: pd.DataFrame, new: Features, new_samples: pd.DataFrame, k: int) -> float:
    """Mean share of the k old samples nearest to each new one that are of its generator; old and new may be the same.

    Only samples of other groups are neighbours: the next frame of a video, or another edit of the photograph, is near
    for what it shows. Where a sample has fewer than k, all count; NaN where none has any.
    """
    from sklearn.neighbors import NearestNeighbors

    group, new_group = _codes(old_samples["group"], new_samples["group"])
    generator, new_generator = _codes(old_samples["generator"], new_samples["generator"])
    deep = min(k + int(_count(group, new_group).max()), len(old))  # k are left without the own group
    index, shares = NearestNeighbors(n_neighbors=deep).fit(old), []
    step = max(1, NEIGHBOURS_AT_ONCE // deep)
    for rows in (slice(start, start + step) for start in range(0, len(new), step)):
        nearest = index.kneighbors(new[rows], return_distance=False)
        other = group[nearest] != new_group[rows, None]
        other &= np.cumsum(other, axis=1) <= k
        own = other & (generator[nearest] == new_generator[rows, None])
        shares.append(_ratio(own.sum(axis=1), other.sum(axis=1)))
    return _mean(np.concatenate(shares))


def chance_among(old_samples: pd.DataFrame, new_samples: pd.DataFrame) -> float:
    """The same of neighbours drawn at random: mean share of the old samples of other groups that are of the generator.

    With n_g samples of group g, n_c of generator c and n_gc of both: mean of (n_c − n_gc) / (n − n_g). Where every
    sample is a group of its own, and old and new are the same, that is Σ n_c (n_c − 1) / (n (n − 1)).
    """
    group, new_group = _codes(old_samples["group"], new_samples["group"])
    generator, new_generator = _codes(old_samples["generator"], new_samples["generator"])
    most = 1 + max(generator.max(), new_generator.max())
    both, new_both = group * most + generator, new_group * most + new_generator

    own = _count(generator, new_generator) - _count(both, new_both)
    return _mean(_ratio(own, len(group) - _count(group, new_group)))


def _codes(old: pd.Series, new: pd.Series) -> tuple[Int[np.ndarray, " n"], Int[np.ndarray, " m"]]:
    """Numbers from 0 that stand for the names of both."""
    codes = pd.factorize(pd.concat([old, new]).astype(str))[0]
    return codes[: len(old)], codes[len(old) :]


def _count(of: Int[np.ndarray, " n"], asked: Int[np.ndarray, " m"]) -> Int[np.ndarray, " m"]:
    """How often each number that is asked for is there."""
    found: Int[np.ndarray, " m"] = np.bincount(of, minlength=asked.max() + 1)[asked]
    return found


def _ratio(part: Int[np.ndarray, " m"], of: Int[np.ndarray, " m"]) -> Float[np.ndarray, " m"]:
    """NaN where there is nothing."""
    found: Float[np.ndarray, " m"] = np.divide(part, of, out=np.full(len(of), np.nan), where=of > 0)
    return found


def _mean(values: Float[np.ndarray, " m"]) -> float:
    """Of those that are defined; NaN where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _subset(n: int, settings: MapSettings) -> Int[np.ndarray, " m"]:
    """All samples in order, or a seeded subset of them in order."""
    if n <= settings.quality_sample:
        return np.arange(n)
    return np.sort(np.random.default_rng(settings.seed).choice(n, settings.quality_sample, replace=False))


def _trustworthiness(x: Features, coordinates: Float[np.ndarray, "n 2"], k: int) -> float:
    """1 − 2 / (n k (2n − 3k − 1)) Σ over false neighbours on the plane of (their rank in the features − k)."""
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(x, coordinates, n_neighbors=k))
