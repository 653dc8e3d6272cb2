"""What a map comes out as."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float
from probekit.fingerprint import JSONValue, plain
from probekit.maps.settings import MapSettings

OWN = ("x", "y", "placed", "neighbors")
"""Columns of a map; a manifest's column of such a name stands in it as `manifest_NAME`."""


@dataclass(frozen=True)
class MapResult:
    """A map and what it is worth."""

    reference: str
    settings: MapSettings
    points: pd.DataFrame
    """x, y and the columns of the manifest; one row a sample, in manifest order."""
    perplexity: float | tuple[float, ...] | None
    """Of t-SNE."""
    explained: float
    """Share of the variance that PCA kept."""
    kl_divergence: float | None
    """Of t-SNE, at the end."""
    trustworthiness: float
    """1: no sample has a false neighbour on the plane (Venna and Kaski 2001, as in scikit-learn)."""
    trustworthiness_neighbours: int
    purity_features: float
    """Mean share of a sample's nearest neighbours of other groups that are of its own generator, among the conditioned
    features; NaN where all samples are of one group."""
    purity_map: float
    """The same on the plane."""
    purity_chance: float
    """The same of neighbours of other groups at random."""
    purity_neighbours: int
    n_quality: int
    """Samples on which trustworthiness and purity were measured."""
    method: str = "t-SNE"
    """As its authors spell it."""
    parameters: Mapping[str, JSONValue] = field(default_factory=dict)
    """What the method chose besides the perplexity."""
    words: str = ""
    """What the method chose, for the caption."""
    of: int = 0
    """Samples that the mapped ones were drawn from, under `size`."""
    components: Features = field(default_factory=lambda: np.zeros((0, 0)), repr=False, compare=False)
    """What the layout was made of."""

    @property
    def coordinates(self) -> Float[np.ndarray, "n 2"]:
        """Where each sample lies, float64."""
        return self.points[["x", "y"]].to_numpy()

    @property
    def caption(self) -> str:
        """The quality figures in one line, to stand on the picture."""
        n = len(self.points)
        measured = "" if self.n_quality == n else f" (on {self.n_quality} of {n})"
        drawn = f" · {n:,} of {self.of:,} images" if n < self.of else ""
        purity = f"{self.purity_map:.2f}, features {self.purity_features:.2f}, chance {self.purity_chance:.2f}"
        if np.isnan(self.purity_map):
            purity = "undefined: all images are of one group"
        return (
            f"trustworthiness {self.trustworthiness:.2f} · {self.purity_neighbours}-NN purity {purity}{measured} · "
            f"{self.words}{drawn}"
        )

    def to_json(self) -> dict[str, JSONValue]:
        """Everything but the points; undefined is null."""
        left_out = {"points", "components", "words"}
        names = [name for name in self.__dataclass_fields__ if name not in left_out]
        return {"n": len(self.points), **{name: known(plain(getattr(self, name))) for name in names}}


def known(value: JSONValue) -> JSONValue:
    """The value; None for NaN, which JSON has not."""
    return None if isinstance(value, float) and np.isnan(value) else value


def points_of(coordinates: Float[np.ndarray, "n 2"], samples: pd.DataFrame) -> pd.DataFrame:
    """The places, with what the manifest says of each sample."""
    renamed = samples.rename(columns={name: f"manifest_{name}" for name in OWN if name in samples})
    return pd.DataFrame({"x": coordinates[:, 0], "y": coordinates[:, 1]}).join(renamed)
