"""New samples on an existing map, whose own stay where they are."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from probekit.arrays import Features, Groups
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.maps import methods
from probekit.maps.methods import FEWEST, Plane, Progress
from probekit.maps.preparing import prepare
from probekit.maps.quality import purity_among
from probekit.maps.result import points_of
from probekit.maps.settings import MapSettings


@dataclass(frozen=True)
class PlacedMap:
    """A map with new samples on it, and what their places are worth."""

    reference: str
    settings: MapSettings
    """Of the map."""
    points: pd.DataFrame
    """x, y, placed (False for the map's own samples, which come first) and the columns of both manifests."""
    n_old: int
    n_placed: int
    purity_features: float
    """Mean share of a new sample's nearest old ones that are of its generator, among the conditioned features."""
    purity_map: float
    """The same on the plane."""
    purity_chance: float
    """The same were the generators of the old samples shuffled."""
    purity_neighbours: int
    method: str
    components: Features = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    """What the layout was made of, old samples first."""

    @property
    def caption(self) -> str:
        """The quality figures in one line, to stand on the picture."""
        return (
            f"{self.n_placed:,} images placed among {self.n_old:,} (muted) · of their {self.purity_neighbours} nearest "
            f"{self.purity_map:.2f} of their generator, features {self.purity_features:.2f}, "
            f"chance {self.purity_chance:.2f}"
        )

    def to_json(self) -> dict[str, JSONValue]:
        """Everything but the points."""
        names = [name for name in self.__dataclass_fields__ if name not in ("points", "components")]
        return {"n": len(self.points), **{name: plain(getattr(self, name)) for name in names}}


def place(
    old: FeatureSet, coordinates: Plane, new: FeatureSet, settings: MapSettings, progress: Progress | None = None
) -> PlacedMap:
    """The map with the new samples on it; condition and principal axes are those of the old ones.

    Args:
        old: features of the map's samples.
        coordinates: their places.
        new: features of the samples to place, from the same model, tap, view and precision.
        settings: of the map.
        progress: called as it goes on.

    Raises:
        UsageError: the features are of another kind, there are too few, or an extra is not installed.
        ModelError: a feature is not finite.
    """
    from threadpoolctl import threadpool_limits

    _require_one_kind(old, new)
    if len(old.samples) < FEWEST or not len(new.samples):
        raise UsageError(f"there are {len(new.samples)} samples to place on a map of {len(old.samples)}: extract more.")
    method = methods.create(settings)
    with threadpool_limits(limits=1):  # sums over threads come in any order
        prepared = prepare(old, settings)
        conditioned, components = prepared.apply(new)
        places = method.place(prepared.components, coordinates, components, settings.seed, progress)
        generators = [each.samples["generator"].to_numpy(dtype=object) for each in (old, new)]
        k = min(settings.neighbours, len(old.samples))
        features = purity_among(prepared.conditioned, generators[0], conditioned, generators[1], k)
        plane = purity_among(coordinates, generators[0], places, generators[1], k)
    points = pd.concat([points_of(coordinates, old.samples), points_of(places, new.samples)], ignore_index=True)
    points.insert(2, "placed", np.arange(len(points)) >= len(old.samples))
    return PlacedMap(
        reference=old.reference,
        settings=settings,
        points=points,
        n_old=len(old.samples),
        n_placed=len(new.samples),
        purity_features=float(features.mean()),
        purity_map=float(plane.mean()),
        purity_chance=_chance(*generators),
        purity_neighbours=k,
        method=method.title,
        components=np.concatenate([prepared.components, components]),
    )


def _require_one_kind(old: FeatureSet, new: FeatureSet) -> None:
    """Nothing, if both come from the same stores.

    Raises:
        UsageError: they do not.
    """
    kinds = [[(source.model, source.tap, source.address) for source in each.sources] for each in (old, new)]
    if kinds[0] != kinds[1]:
        raise UsageError(
            f"the map was made of {old.title}, and the new samples have features of {new.title}, from another store or "
            "tap: extract them with the same model, weights, view and precision."
        )


def _chance(old: Groups, new: Groups) -> float:
    """Σ over generators of the share of the new samples times the share of the old ones."""
    names, counts = np.unique(new.astype(str), return_counts=True)
    shares = np.array([np.mean(old.astype(str) == name) for name in names])
    return float((counts / counts.sum()) @ shares)
