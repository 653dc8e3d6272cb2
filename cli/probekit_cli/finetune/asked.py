"""What the options of `probekit finetune` ask."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from probekit_cli.where import Where

if TYPE_CHECKING:
    from probekit.attribution import AttributionSettings
    from probekit.pairs import PairSettings
    from probekit.training import Lesson, TrainSettings

Task = Literal["binary", "attribution"]
TASKS: tuple[Task, ...] = ("binary", "attribution")


@dataclass(frozen=True)
class Asked:
    """The options, grouped."""

    where: Where
    settings: "TrainSettings"
    train: str
    test: str
    task: Task
    name: str | None
    start: Path | None
    """Checkpoint to start from."""
    force: bool
    threshold: str
    bootstrap: int
    curves: bool
    workers: int | None
    device: str = "cpu"
    save: bool | None = None
    """Of the probes: unless they hold much."""

    def __post_init__(self) -> None:
        from probekit.errors import UsageError

        for flag, given in (("--threshold", self.threshold != "0.5"), ("--curves", self.curves)):
            if given and self.task != "binary":
                raise UsageError(f"{flag} is for --task binary: leave it out.")
        self.settings.check_start(self.start)
        if self.name is not None:
            from probekit.training import check_name

            check_name(self.name)

    def placed(self, device: str | None, amp: bool | None) -> "Asked":
        """The same on a device that there is; names that the data lack are said first, before PyTorch is imported.

        Args:
            device: None: a GPU if there is one.
            amp: bfloat16 autocast; None: on GPUs.

        Raises:
            UsageError: no such device, or the data cannot teach what is asked.
        """
        from probekit.models import compute

        _ = self.lessons
        place = compute.devices(device)[0]
        half = place.startswith("cuda") if amp is None else amp
        return replace(self, device=place, settings=replace(self.settings, precision="bfloat16" if half else "float32"))

    @property
    def identity(self) -> dict[str, object]:
        """What decides the numbers."""
        return {"training": self.settings.record(), "question": self.question, "name": self.name}

    @cached_property
    def question(self) -> "PairSettings | AttributionSettings":
        """How the networks are judged: by the manifest's split, and by their own heads where they have them."""
        from probekit import probes
        from probekit.attribution import AttributionSettings
        from probekit.pairs import PairSettings

        judged = {"probe": probes.GIVEN, "condition": "raw"} if self.settings.has_head else {}
        common: dict[str, Any] = {**judged, "folds": 0, "seed": self.settings.seed, "bootstrap": self.bootstrap}
        if self.task == "binary":
            return PairSettings(train=self.train, test=self.test, threshold=self.threshold, **common)
        return AttributionSettings(generators=self.train, test=self.test, **common)

    @cached_property
    def lessons(self) -> "Mapping[str, Lesson]":
        """What each network learns, by the name that it gets; one whose classes are not all there is left out."""
        from probekit import attribution, pairs
        from probekit.attribution import AttributionSettings
        from probekit.errors import UsageError
        from probekit.training import Lesson

        samples = self.where.manifest.table
        if isinstance(self.question, AttributionSettings):
            question = attribution.Question.of(samples, self.question)
            (training_set,) = question.training_sets()
            lesson = Lesson.of(samples, training_set, question.names)
            return {self._name("attribution" if self.train == "all" else f"attribution-{lesson.name}", 1): lesson}
        sets = pairs.Question.of(samples, self.question).training_sets()
        found: dict[str, Lesson] = {}
        for training_set in sets:
            name = self._name(training_set.name, len(sets))
            if name in found:
                raise UsageError(
                    f"--train: {found[name].name} and {training_set.name} would both be network {name}: train one of "
                    "them by a command of its own, with --name."
                )
            found[name] = Lesson.of(samples, training_set, ("real", "fake"))
        return found

    def folder(self, name: str) -> Path:
        """Of a network of that name."""
        from probekit.models import tuned

        return tuned.folder_of(name, self.where.cache)

    def _name(self, learned: str, of: int) -> str:
        from probekit.training import name_of

        if self.name is not None:
            return self.name if of == 1 else name_of(learned, self.name)
        settings = self.settings
        how = [settings.arch.partition(".")[0], "scratch" if settings.scratch else "", "lora" if settings.lora else ""]
        return name_of(learned, "-".join(filter(None, how)))
