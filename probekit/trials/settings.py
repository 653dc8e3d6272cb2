"""How probes are trained and judged, whatever the question."""

from dataclasses import dataclass

from probekit import probes, projections
from probekit.errors import UsageError
from probekit.probes.calibration import CALIBRATIONS
from probekit.probes.selection import Choice
from probekit.protocols import SELECTIONS
from probekit.registry import unknown_name


@dataclass(frozen=True)
class TrialSettings:
    """How probes are trained and judged; all of it decides the numbers."""

    probe: str = "logistic"
    """A registered name; `probes.GIVEN` where the probes are given, so that nothing is chosen."""
    condition: str = "zscore"
    """A name in `probes.conditions.CONDITIONS`, or `best`, which chooses one."""
    project: str | None = None
    """A projection, such as `supcon` or `whiten:64`, that each probe's own training samples teach: their generators and
    `real` are its classes, whatever the task. It comes between condition and probe."""
    C: float | None = None
    """Inverse regularisation strength of a probe that has one; None chooses it."""
    k: int | None = None
    """Neighbours of a probe that has them; None chooses it."""
    criterion: str | None = None
    """What choices are made by, a name in `probes.criteria.CRITERIA`; None takes the probe's own."""
    selection: str = "cv"
    """What choices are made on, a name in `protocols.SELECTIONS`."""
    calibration: str = "none"
    """A name in `probes.calibration.CALIBRATIONS`: fitted on val samples, without any on held-out training samples."""
    shots: int | None = None
    """Learn from so many samples of each generator (real images: of each domain) only; None learns from all."""
    folds: int = 0
    """0 uses the split of the manifest; K scores every sample out of fold by group."""
    seed: int = 0
    bootstrap: int = 1000
    """Replicates of the group bootstrap; 0 gives no intervals."""
    aggregate: str | None = None
    """Score videos, not frames: `mean`, `max` or `topK` of their frames' scores."""
    unit: str = "group"
    """The column that tells videos apart (within domain, generator and group) where scores are aggregated."""

    def __post_init__(self) -> None:
        if self.selection not in SELECTIONS:
            raise unknown_name("selection", self.selection, SELECTIONS)
        if self.calibration not in CALIBRATIONS:
            raise unknown_name("calibration", self.calibration, CALIBRATIONS)
        if self.selection == "val" and self.folds:
            raise UsageError("selection by val needs a val split, and out of fold there is none: use cv, or folds 0.")
        if self.bootstrap < 0:
            raise UsageError(f"--bootstrap {self.bootstrap}: the number of replicates is 0 or more.")
        if self.shots is not None and self.shots < 1:
            raise UsageError(f"--shots {self.shots}: learn from at least one sample of each class.")
        if self.probe != probes.GIVEN:
            self.choice  # noqa: B018  # refuses names and values that mean nothing

    @property
    def choice(self) -> Choice:
        """What is open and what is given of probe, condition and parameter.

        Raises:
            UnknownNameError: there is no such probe, condition or criterion.
            UsageError: a parameter that the probe does not have.
            ProbeError: a value that it cannot have.
        """
        kind = probes.get(self.probe)
        named = {"C": self.C, "k": self.k}
        for name, value in named.items():
            if value is not None and kind.parameter != name:
                has = f"it has {kind.parameter}" if kind.parameter else "it has nothing to choose"
                raise UsageError(f"--{name} {value:g}: probe {self.probe} has no {name}, {has}.")
        value = named.get(kind.parameter or "")
        if value is not None:
            kind.of(value)
        return Choice(self.probe, self.condition, value, self.criterion, projection=self.projection)

    @property
    def projection(self) -> projections.Projection | None:
        """What comes between condition and probe.

        Raises:
            UnknownNameError: there is no such projection.
            UsageError: a number of columns that means nothing.
        """
        return projections.parse(self.project, seed=self.seed) if self.project else None
