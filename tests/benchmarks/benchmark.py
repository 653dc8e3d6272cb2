"""What a benchmark is: the real case that it stands for, its targets, and what was measured."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from probekit.registry import Registry

Verdict = Literal["met", "not met", "not measured", "no target here"]


@dataclass(frozen=True)
class Target:
    """What a figure should be: between two bounds, either of which may be open, both where it is only reported."""

    at_least: float | None = None
    at_most: float | None = None
    unit: str = "×"

    def admits(self, value: float) -> bool:
        """Whether the value lies within the bounds."""
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    @property
    def bounded(self) -> bool:
        """Whether there is anything to meet."""
        return self.at_least is not None or self.at_most is not None

    def spell(self, value: float) -> str:
        """A value in this unit: `3.31 ×`, `84 %`, `11.2 s`."""
        return f"{100 * value:.1f} %" if self.unit == "%" else f"{value:.2f} {self.unit}"

    def __str__(self) -> str:
        if not self.bounded:
            return "reported"
        if self.at_least is not None and self.at_most is not None:
            return f"{self.spell(self.at_least)} to {self.spell(self.at_most)}"
        if self.at_least is not None:
            return f"≥ {self.spell(self.at_least)}"
        assert self.at_most is not None
        return f"≤ {self.spell(self.at_most)}"


@dataclass(frozen=True)
class Figure:
    """One measured value; shares of `%` are fractions."""

    value: float
    because: str
    """What it was computed from, in words with numbers: `9.8 s against 8.9 s`."""
    raw: Mapping[str, object] = field(default_factory=dict)
    """Everything that was measured on the way."""
    exempt: str = ""
    """Why the target does not apply to this machine; empty where it does."""

    def verdict(self, target: Target) -> Verdict:
        """Whether it meets the target, as far as there is one for this machine."""
        if self.exempt or not target.bounded:
            return "no target here"
        return "met" if target.admits(self.value) else "not met"


class NotMeasured(Exception):
    """Raised by a benchmark that cannot run here; the message says why."""


@dataclass(frozen=True)
class Setting:
    """How the benchmarks are to run."""

    folder: Path
    """For what this benchmark writes; removed when it has run."""
    shared: Path
    """For images and checkpoints that several benchmarks work on; removed at the end."""
    quick: bool
    """Sizes so small that the figures only show that the code runs."""
    say: Callable[[str], None]
    """Takes a line of news for the terminal."""

    def size(self, full: int, quick: int) -> int:
        """The one that is asked for."""
        return quick if self.quick else full


Measure = Callable[[Setting], Mapping[str, Figure]]
"""One figure for each target, under the target's name."""


@dataclass(frozen=True)
class Benchmark:
    """A registered benchmark."""

    name: str
    stands_for: str
    """The real case, in one line."""
    targets: Mapping[str, Target]
    """What is measured → what it should be."""
    measure: Measure


@dataclass(frozen=True)
class Result:
    """What became of one benchmark."""

    benchmark: Benchmark
    figures: Mapping[str, Figure]
    """Empty where it was not measured."""
    reason: str = ""
    """Why it was not measured."""
    failed: bool = False
    """It should have been measured here."""
    seconds: float = 0.0

    def verdict(self, name: str) -> Verdict:
        """What is to be said of one of its targets."""
        figure = self.figures.get(name)
        return figure.verdict(self.benchmark.targets[name]) if figure else "not measured"


benchmarks = Registry[Benchmark]("benchmark", package="tests.benchmarks.cases", entry_points="probekit.benchmarks")


def add(name: str, *, stands_for: str, targets: Mapping[str, Target]) -> Callable[[Measure], Measure]:
    """Register the function below as a benchmark."""

    def register(measure: Measure) -> Measure:
        benchmarks.add(name)(Benchmark(name, stands_for, targets, measure))
        return measure

    return register


def chosen(names: Sequence[str]) -> list[Benchmark]:
    """The benchmarks of these names, all of them where none is named.

    Raises:
        UnknownNameError: there is no such benchmark.
    """
    return [benchmarks.get(name) for name in (names or benchmarks.names())]
