"""Methods: how a score is spread over the patches of an image; one file each, found by scanning this folder."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from probekit.arrays import Float, Int
from probekit.registry import Registry
from probekit.saliency.linear import ProbeScore
from probekit.saliency.network import Network, Shown


@dataclass(frozen=True, eq=False)
class Maps:
    """Of every probe, the map of each crop and the score of each image."""

    grids: Float[np.ndarray, "t c g g"]
    """NaN where a patch is padding. The higher, the more it speaks for the class that is explained."""
    cell: int
    """Pixels of the crop along a side of a patch."""
    scores: Float[np.ndarray, "t i"]
    """Of the class that is explained, computed from the features of this very run."""
    biases: Float[np.ndarray, "t i"]
    """The part of the score that no patch has."""
    chosen: Int[np.ndarray, "t i"]
    """The class that is explained."""
    predicted: Int[np.ndarray, "t i"]
    facts: dict[str, str] = field(default_factory=dict)
    """What a reader must know of how they were made."""


class Method(ABC):
    """How a score is spread over the patches."""

    title: ClassVar[str]
    about: ClassVar[str]
    """What its maps mean, in one sentence."""
    additive: ClassVar[bool] = False
    """Whether a map and the bias sum to the score."""
    of_the_probe: ClassVar[bool] = True
    """Whether maps depend on the probe at all."""

    @abstractmethod
    def explain(self, network: Network, shown: Shown, probes: Sequence[Sequence[ProbeScore]]) -> Maps:
        """The maps of some images.

        Args:
            network: what the features come from.
            shown: the crops of the images.
            probes: of every training set, the probe that scores each image.

        Raises:
            UsageError: the method cannot be used on this tap.
        """


@dataclass(frozen=True, eq=False)
class Scored:
    """Scores, biases and classes as `Maps` has them."""

    scores: Float[np.ndarray, "t i"]
    biases: Float[np.ndarray, "t i"]
    chosen: Int[np.ndarray, "t i"]
    predicted: Int[np.ndarray, "t i"]

    @classmethod
    def of(cls, probes: Sequence[Sequence[ProbeScore]], features: Float[np.ndarray, "i d"]) -> "Scored":
        """What every probe says of every image with these features."""
        chosen = np.array([[probe.chosen(x) for probe, x in zip(own, features, strict=True)] for own in probes])
        predicted = np.array([[probe.predicted(x) for probe, x in zip(own, features, strict=True)] for own in probes])
        picked = [
            [probe.classes[number] for probe, number in zip(own, numbers, strict=True)]
            for own, numbers in zip(probes, chosen, strict=True)
        ]
        scores = [[one.values(x[None])[0] for one, x in zip(own, features, strict=True)] for own in picked]
        return cls(np.array(scores), np.array([[one.bias for one in own] for own in picked]), chosen, predicted)


_methods = Registry[type[Method]]("saliency method", package=__name__, entry_points="probekit.saliency")

add = _methods.add
get = _methods.get
names = _methods.names
