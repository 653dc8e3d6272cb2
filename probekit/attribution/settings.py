"""What is told apart, and how."""

from dataclasses import dataclass

from probekit.errors import UsageError
from probekit.registry import unknown_name
from probekit.trials import TrialSettings

TASKS = {
    "attribution": "one probe over real and every generator",
    "one-vs-real": "a probe for each generator against real images",
    "one-vs-rest": "a probe for each class, real among them, against all others",
}


@dataclass(frozen=True)
class AttributionSettings(TrialSettings):
    """Which generators are told apart, and how; all of it decides the numbers."""

    generators: str = "all"
    """A comma list or `all`: one class each beside real; `lama+ldm` makes one class of both."""
    test: str = "all"
    """What real against fake is tested on: generators that were not learned from may be among them. The classes'
    own numbers do not depend on it."""
    task: str = "attribution"
    """A name in `TASKS`."""
    train_domain: str | None = None
    """Learn from this domain alone, and test on `test_domain` alone; classes are generators that have fakes in both."""
    test_domain: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.task not in TASKS:
            raise unknown_name("task", self.task, TASKS)
        if (self.train_domain is None) != (self.test_domain is None):
            raise UsageError("attribution across domains needs both, one to learn from and one to test on.")
        if self.selection == "robust":
            raise UsageError(f"--task {self.task}: a robust choice is for binary probes of several generators: use cv.")
