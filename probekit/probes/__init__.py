"""Probes: classifiers on frozen features, one file each, found by scanning this folder.

A probe has at most one parameter that is chosen, such as C or k, by a sweep: every value of a grid is tried on rows
held out of the training rows, all as one computation where the probe can do so.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from probekit.arrays import Features, Float, Int, Labels, Mask
from probekit.probes.classifier import Classifier
from probekit.registry import Registry

GIVEN = "finetuned"
"""The name of a probe that was trained together with its features: it is judged here, and fitted by nobody."""

GRID = tuple(np.logspace(-6, 5, 45).tolist())  # of C, DINOv2's evaluation (Oquab et al. 2023)


@dataclass(frozen=True, eq=False)
class Division:
    """One way to hold rows out, as row numbers."""

    test: Int[np.ndarray, " t"]
    """Rows that are scored."""
    left_out: Int[np.ndarray, " m"]
    """Rows that are not learned from: those that are scored and what belongs to them."""

    def learned(self, n: int) -> Mask:
        """Which of the n rows are learned from."""
        rows = np.ones(n, dtype=bool)
        rows[self.left_out] = False
        return rows


@dataclass(frozen=True, eq=False)
class Sweep:
    """What probes of every parameter of a grid say of rows that they did not learn from."""

    decisions: tuple[Float[np.ndarray, "g t"] | Float[np.ndarray, "g t k"], ...]
    """One array a division: for every value of the grid, the decisions on its test rows, in their order."""
    fits: int
    unconverged: int
    """Fits that stopped before their gradient came below the tolerance."""
    fit: Callable[[float], Classifier] | None = None
    """As `Probe.of(value).fit` on all rows, with what the sweep has computed of them; None: that is no quicker."""


class Probe(ABC):
    """Settings of a probe; `fit` returns a new, frozen classifier. Subclasses are frozen dataclasses."""

    parameter: ClassVar[str | None] = None
    """The field that a sweep chooses; None where there is nothing to choose."""
    grid: ClassVar[tuple[float, ...]] = ()
    """Its values to choose from, the most regularised first: that is taken where several do equally well."""
    criterion: ClassVar[str] = "log_loss"
    """What the choice is made by unless asked otherwise: a name in `probes.criteria`."""
    probabilistic: ClassVar[bool] = False
    """Whether decisions are log-odds (logits) of probabilities; if not, only their order and sign mean something."""
    by_group: ClassVar[bool] = False
    """Whether held-out rows are single groups (it is as cheap as folds), not folds of groups."""
    libraries: ClassVar[tuple[str, ...]] = ()
    """Heavy modules that a fit imports, `torch` above all: they are loaded before several fits run side by side."""

    @abstractmethod
    def fit(self, features: Features, labels: Labels, *, device: str = "cpu") -> Classifier:
        """Train on one row a sample.

        Args:
            features: conditioned features.
            labels: class numbers; any integers.
            device: where to compute, `cpu` or `cuda:0`; a probe that has no use for a GPU stays on the CPU.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """

    @classmethod
    def sweep(
        cls,
        features: Features,
        labels: Labels,
        divisions: Sequence[Division],
        grid: Sequence[float],
        *,
        device: str = "cpu",
    ) -> Sweep:
        """Decisions on the held-out rows of every division, for every value of the grid.

        Args:
            features: conditioned features.
            labels: class numbers.
            divisions: each learns from rows of every class.
            grid: values of the parameter; for a probe without one, a single value that is not used.
            device: where to compute.

        Raises:
            ProbeError: one class only, or a feature that is not finite.
        """
        decisions, unconverged = [], 0
        for division in divisions:
            rows = division.learned(len(labels))
            fitted = [cls.of(value).fit(features[rows], labels[rows], device=device) for value in grid]
            decisions.append(np.stack([one.decision_function(features[division.test]) for one in fitted]))
            unconverged += sum(not one.converged for one in fitted)
        return Sweep(tuple(decisions), len(divisions) * len(grid), unconverged)

    @classmethod
    def of(cls, value: float) -> "Probe":
        """The probe with this value of its parameter."""
        return cls(**{cls.parameter: value}) if cls.parameter else cls()


_probes = Registry[type[Probe]]("probe", package=__name__, entry_points="probekit.probes")

add = _probes.add
get = _probes.get
names = _probes.names
