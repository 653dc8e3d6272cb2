"""What an audit asks, and how."""

from dataclasses import dataclass
from functools import cached_property

from probekit.audit.pictures import ALIKE, DISTANCE
from probekit.errors import UsageError
from probekit.trials import TrialSettings


@dataclass(frozen=True)
class AuditSettings:
    """How leaks, shortcuts and label noise are looked for; all of it decides the numbers."""

    probe: str = "logistic"
    """Which probe of the features stands beside the file properties, a name in `probekit.probes`."""
    folds: int = 0
    """0 uses the split of the manifest; K scores every sample out of fold by group."""
    seed: int = 0
    bootstrap: int = 1000
    """Replicates of the group bootstrap; 0 gives no intervals."""
    trees: int = 500
    """Of the forest on all file properties."""
    trees_alone: int = 100
    """Of each forest on some of them."""
    distance: int = DISTANCE
    """Bits in which the perceptual hashes of two pictures may differ to be compared."""
    alike: float = ALIKE
    """Correlation of the two pictures from which on they are near-duplicates."""

    def __post_init__(self) -> None:
        if not 0 <= self.distance <= 64:
            raise UsageError(f"--distance {self.distance}: hashes have 64 bits, give 0 to 64.")
        if not 0 < self.alike <= 1:
            raise UsageError(f"--alike {self.alike:g}: a correlation above 0, at most 1.")
        if min(self.trees, self.trees_alone) < 1:
            raise UsageError(f"--trees {min(self.trees, self.trees_alone)}: a forest has at least one.")
        _ = self.trial  # which refuses what no probe can be asked with

    @cached_property
    def trial(self) -> TrialSettings:
        """How the probe is trained and judged."""
        return TrialSettings(probe=self.probe, folds=self.folds, seed=self.seed, bootstrap=self.bootstrap)
