"""New samples on an existing map, whose own stay where they are."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from probekit.arrays import Features
from probekit.errors import UsageError
from probekit.features import FeatureSet
from probekit.fingerprint import JSONValue, plain
from probekit.maps import methods
from probekit.maps.methods import FEWEST, Plane, Progress
from probekit.maps.preparing import prepare
from probekit.maps.quality import chance_among, purity_among
from probekit.maps.result import known, points_of
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
    """Mean share of a new sample's nearest old ones of other groups that are of its generator, among the conditioned
    features."""
    purity_map: float
    """The same on the plane."""
    purity_chance: float
    """The same of old samples of other groups at random."""
    purity_neighbours: int
    method: str
    components: Features = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    """What the layout was made of, old samples first."""

    @property
    def caption(self) -> str:
        """The quality figures in one line, to stand on the picture."""
        placed = f"{self.n_placed:,} images placed among {self.n_old:,} (muted)"
        if np.isnan(self.purity_map):
            return f"{placed} · all are of one group, which leaves no neighbours to judge by"
        return (
            f"{placed} · of their {self.purity_neighbours} nearest {self.purity_map:.2f} of their generator, "
            f"features {self.purity_features:.2f}, chance {self.purity_chance:.2f}"
        )

    def to_json(self) -> dict[str, JSONValue]:
        """Everything but the points; undefined is null."""
        names = [name for name in self.__dataclass_fields__ if name not in ("points", "components")]
        return {"n": len(self.points), **{name: known(plain(getattr(self, name))) for name in names}}


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
        k = min(settings.neighbours, len(old.samples))
        features = purity_among(prepared.conditioned, old.samples, conditioned, new.samples, k)
        plane = purity_among(coordinates, old.samples, places, new.samples, k)
    points = pd.concat([points_of(coordinates, old.samples), points_of(places, new.samples)], ignore_index=True)
    points.insert(2, "placed", np.arange(len(points)) >= len(old.samples))
    return PlacedMap(
        reference=old.reference,
        settings=settings,
        points=points,
        n_old=len(old.samples),
        n_placed=len(new.samples),
        purity_features=features,
        purity_map=plane,
        purity_chance=chance_among(old.samples, new.samples),
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
