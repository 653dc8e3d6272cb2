"""Projections: linear maps of conditioned features, learned from training generators, under which classes lie apart.

    whiten.py   principal axes of equal variance; looks at no class
    lda.py      axes along which classes differ most, measured by the spread within them
    supcon.py   supervised contrastive loss (Khosla et al. 2020)
    triplet.py  triplet loss with the hardest examples of a batch (Schroff et al. 2015, Hermans et al. 2017)
    descent.py  what the last two share: batches, Adam, early stopping on held-out groups

A projection is one file, found by scanning this folder. Whether one helps to recognise generators that it was not
trained on is disputed: `retrieve` answers with and without it, and to a probe on projected rows belongs the same probe
on rows as they are.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit.arrays import Features, Float, Groups
from probekit.errors import ProbeError, UsageError
from probekit.fingerprint import JSONValue
from probekit.registry import Registry

__all__ = ["Fitted", "Projection", "add", "create", "get", "names", "parse"]


@dataclass(frozen=True, eq=False)
class Fitted:
    """A linear map x ↦ (x − shift) W."""

    shift: Float[np.ndarray, " d"]
    weights: Float[np.ndarray, "d m"]
    record: Mapping[str, JSONValue]
    """What was learned from how many rows of which classes, and whether it converged."""

    def apply(self, features: Features) -> Features:
        """Projected rows (n, m), float64."""
        projected: Features = (features - self.shift) @ self.weights
        return projected


@dataclass(frozen=True)
class Projection(ABC):
    """Settings of a projection; `fit` returns a new, frozen map."""

    unit_length: ClassVar[bool] = False
    """Whether rows are compared at length 1, so that a probe gets projected rows of that length, too."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Heavy modules that a fit imports: they are loaded before several fits run side by side."""

    dimension: int = 128
    """Columns of the result at most; Khosla et al. 2020 and Schroff et al. 2015 both take 128."""

    def __post_init__(self) -> None:
        if self.dimension < 1:
            raise UsageError(f"dimension is {self.dimension}: a projection has at least 1 column.")

    @abstractmethod
    def fit(self, features: Features, classes: Groups, groups: Groups) -> Fitted:
        """The map learned from these rows.

        Args:
            features: conditioned features.
            classes: the generator of each row.
            groups: rows of one group are never separated when rows are held out.

        Raises:
            ProbeError: too few rows or classes, or features that do not vary.
        """


_projections = Registry[type[Projection]]("projection", package=__name__, entry_points="probekit.projections")

add = _projections.add
get = _projections.get
names = _projections.names


def create(name: str, *, dimension: int | None = None, seed: int = 0) -> Projection:
    """The projection of that name; those without a random draw take no seed.

    Raises:
        UnknownNameError: there is none.
        UsageError: a dimension below 1.
    """
    kind = get(name)
    fields = {"dimension": dimension, "seed": seed}
    return kind(**{key: value for key, value in fields.items() if value is not None and key in _fields(kind)})


def parse(text: str, *, dimension: int | None = None, seed: int = 0) -> Projection:
    """`supcon` → that projection, `whiten:64` → one of 64 columns.

    Args:
        text: as it is typed.
        dimension: columns that were asked for elsewhere.
        seed: of those with a random draw.

    Raises:
        UnknownNameError: there is no such projection.
        UsageError: what follows the colon is no number of columns, or two numbers are given.
    """
    name, colon, columns = text.partition(":")
    get(name)  # of several faults, the name is said first
    if not colon:
        return create(name, dimension=dimension, seed=seed)
    if not columns.isdecimal() or int(columns) < 1:
        raise UsageError(f"--project {text}: after the colon stands a number of columns from 1, as in {name}:64.")
    if dimension is not None:
        raise UsageError(f"--project {text} and --dimension {dimension}: give the number of columns once.")
    return create(name, dimension=int(columns), seed=seed)


def _fields(kind: type[Projection]) -> set[str]:
    return set(kind.__dataclass_fields__)


def require_classes(kind: str, classes: Groups, fewest: int = 2) -> None:
    """Nothing, when so many classes are there.

    Raises:
        ProbeError: there are fewer.
    """
    found = sorted(set(classes))
    if len(found) < fewest:
        raise ProbeError(
            f"{kind} needs training rows of at least {fewest} classes to tell apart, there are "
            f"{', '.join(map(str, found)) or 'none'}: add generators, or leave --project out."
        )
