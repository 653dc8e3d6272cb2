"""How far a map can be believed: what the plane keeps of the neighbourhoods in the features."""

from dataclasses import dataclass

import numpy as np

from probekit.arrays import Features, Float, Groups, Int
from probekit.maps.settings import MapSettings


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
    conditioned: Features, coordinates: Float[np.ndarray, "n 2"], generator: Groups, settings: MapSettings
) -> Quality:
    """Trustworthiness and purity, of all samples or of a seeded subset of them."""
    sample = _subset(len(coordinates), settings)
    x, plane, own = conditioned[sample], coordinates[sample], generator[sample]
    near = min(settings.neighbours, len(sample) - 1)
    trusted = min(5, (len(sample) - 1) // 2)
    return Quality(
        trustworthiness=_trustworthiness(x, plane, trusted),
        trustworthiness_neighbours=trusted,
        purity_features=_purity(x, own, near),
        purity_map=_purity(plane, own, near),
        purity_chance=_chance(own),
        purity_neighbours=near,
        n_quality=len(sample),
    )


def purity_among(
    old: Features, old_generator: Groups, new: Features, new_generator: Groups, k: int
) -> Float[np.ndarray, " m"]:
    """Share of the k old samples nearest to each new one that are of its generator."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=k).fit(old).kneighbors(new, return_distance=False)
    shares: Float[np.ndarray, " m"] = np.mean(old_generator[nearest] == new_generator[:, None], axis=1)
    return shares


def _subset(n: int, settings: MapSettings) -> Int[np.ndarray, " m"]:
    """All samples in order, or a seeded subset of them in order."""
    if n <= settings.quality_sample:
        return np.arange(n)
    return np.sort(np.random.default_rng(settings.seed).choice(n, settings.quality_sample, replace=False))


def _trustworthiness(x: Features, coordinates: Float[np.ndarray, "n 2"], k: int) -> float:
    """1 − 2 / (n k (2n − 3k − 1)) Σ over false neighbours on the plane of (their rank in the features − k)."""
    from sklearn.manifold import trustworthiness

    return float(trustworthiness(x, coordinates, n_neighbors=k))


def _purity(x: Features, generator: Groups, k: int) -> float:
    """Mean share of the k nearest other samples that are of the sample's own generator."""
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=k).fit(x).kneighbors(return_distance=False)
    return float(np.mean(generator[nearest] == generator[:, None]))


def _chance(generator: Groups) -> float:
    """Expected purity under shuffled generators: Σ nᶜ (nᶜ - 1) / (n (n - 1))."""
    n, counts = len(generator), np.unique(generator.astype(str), return_counts=True)[1]
    return float(np.sum(counts * (counts - 1)) / (n * (n - 1)))
