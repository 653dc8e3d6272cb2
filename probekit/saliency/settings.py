"""What is looked at, and how."""

from dataclasses import dataclass

from probekit.errors import UsageError
from probekit.registry import unknown_name
from probekit.saliency import methods
from probekit.trials import TrialSettings

TASKS = {
    "binary": "the log-odds of fake, a probe for each training set",
    "attribution": "the logit of one class, one probe over real and every generator",
}
LIMIT = 20


@dataclass(frozen=True)
class SaliencySettings(TrialSettings):
    """Which probes are explained on which images, and how; all of it decides the numbers."""

    train: str = "all"
    """As `pairs.PairSettings.train`; of attribution the generators that are told apart."""
    test: str = "all"
    methods: tuple[str, ...] = ("grad-cam",)
    """Names in `saliency.methods`."""
    task: str = "binary"
    """A name in `TASKS`."""
    of: str | None = None
    """The class whose logit is explained, of attribution; None for the class that each image is called."""
    limit: int | None = LIMIT
    """At most so many test images of each generator (real images: of each domain); None for all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.methods:
            methods.get(name)
        if self.task not in TASKS:
            raise unknown_name("task", self.task, TASKS)
        if self.of is not None and self.task != "attribution":
            raise UsageError(f"--of {self.of} names a class: ask --task attribution. A binary probe speaks for fake.")
        if self.limit is not None and self.limit < 1:
            raise UsageError(f"--limit {self.limit}: look at one image of each generator at least.")
        if self.aggregate is not None:
            raise UsageError("--aggregate joins frames, but a map is of one image: leave it out.")
