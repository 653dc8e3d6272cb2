"""What is trained on what, and tested on what."""

from dataclasses import dataclass

from probekit.errors import UsageError
from probekit.metrics.thresholds import THRESHOLDS
from probekit.registry import unknown_name
from probekit.trials import TrialSettings


@dataclass(frozen=True)
class PairSettings(TrialSettings):
    """What is trained, what it is tested on, and how; all of it decides the numbers."""

    train: str = "all"
    """A generator, a comma list or `all`: one probe each; `lama+ldm` trains one probe on both, `all-lama` on all but
    one, `lama@celeba` on its fakes of one domain."""
    test: str = "all"
    across: str | None = None
    """`domain`: train on a generator's fakes of each domain, test on the same generator's of every domain."""
    threshold: str = "0.5"
    """A name in `metrics.thresholds.THRESHOLDS`."""
    seeds: int = 1
    """So many seeds, from `seed` on: numbers are their means, with standard deviations beside them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.threshold not in THRESHOLDS:
            raise unknown_name("threshold", self.threshold, THRESHOLDS)
        if self.across not in (None, "domain"):
            raise unknown_name("--across", str(self.across), ["domain"])
        if self.seeds < 1:
            raise UsageError(f"--seeds {self.seeds}: at least one.")
