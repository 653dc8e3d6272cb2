"""Protocols: studies as TOML files that a user can read, copy and change.

    [study]                       title, about, source
    [parameters.models]           default, help: `{models}` in what follows, changed by --set models=clip,dinov2
    [[step]]                      name, title, run: a command of probekit without files and folders; after, needs
    [[question]]                  name, asks, and [[question.compare]]: claim, left and right, each a statistic
    [[published]]                 title, source, numbers that somebody published of a step

What such a file may say, `reading.py` checks.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from probekit.registry import unknown_name

RUN = "run:"
"""Before the name of a step: the run folder that answers it, known once it is done."""
METRICS = ("acc", "ap", "auc", "balanced_acc", "eer", "rank1")
REDUCTIONS = ("max", "mean", "min", "sd")
CELLS = ("all", "seen", "unseen", "same-domain", "other-domain")


@dataclass(frozen=True)
class Needs:
    """What a study or a step can only be done with; texts are comma lists, after the parameters are filled in."""

    generators: str = ""
    """The manifest has fakes of each; `a+b` are two."""
    domains: str = ""
    columns: str = ""
    """Columns of the manifest that are not empty: `mask`."""
    splits: str = ""
    """Splits that are not empty."""
    fewest_generators: int = 0
    fewest_domains: int = 0
    """Domains with fakes."""
    shared_generators: bool = False
    """Some generator has fakes in two domains."""
    models: str = ""
    """Beside those that the commands of the steps name."""
    extra: str = ""
    """An optional part of probekit: `lora`."""


@dataclass(frozen=True)
class Step:
    """One command."""

    name: str
    title: str
    run: str
    """`probe --train {generators} --model {models}`: manifest, cache, runs and weights come from the study's own."""
    after: tuple[str, ...] = ()
    """Steps without which it makes no sense."""
    needs: Needs = Needs()


@dataclass(frozen=True)
class Statistic:
    """A number of one step, with the samples that it is computed from: a mean over cells (train, test)."""

    step: str = ""
    metric: str = "auc"
    cells: str = "all"
    """`seen`: the test generator was learned from; `same-domain`: all of the test fakes' domains were."""
    reduce: str = "mean"
    """Over the cells; `sd` for how much they differ."""
    where: Mapping[str, str] = field(default_factory=dict)
    """Column of the tables → the value it must have, or several with commas: `{model = "clip"}`."""
    value: float | None = None
    """A constant in place of a statistic."""


@dataclass(frozen=True)
class Comparison:
    """A claim that left − right is greater than a margin."""

    claim: str
    left: Statistic
    right: Statistic
    margin: float = 0.0


@dataclass(frozen=True)
class Question:
    """A question to the data, answered yes when all of its claims hold."""

    name: str
    asks: str
    compare: tuple[Comparison, ...] = ()
    each: str = ""
    """`model in models`: asked once for each name of that parameter, which `{model}` stands for."""
    note: str = ""
    """What the reader must know of how it is asked."""


@dataclass(frozen=True)
class Published:
    """Numbers that somebody published, as a grid, or as a row where `rows` is empty."""

    title: str
    source: str
    step: str
    metric: str
    values: tuple[tuple[float, ...], ...]
    columns: tuple[str, ...]
    rows: tuple[str, ...] = ()
    down: str = "train"
    """Column of the table of the run that the rows are values of."""
    across: str = "test"
    table: str = "pairs"
    where: Mapping[str, str] = field(default_factory=dict)
    note: str = ""
    transposable: bool = False
    """Whether the source leaves open which axis is which."""


@dataclass(frozen=True)
class Protocol:
    """A study as written down."""

    name: str
    title: str
    about: str
    source: str
    parameters: Mapping[str, str]
    helps: Mapping[str, str]
    needs: Needs
    steps: tuple[Step, ...]
    questions: tuple[Question, ...]
    published: tuple[Published, ...]
    manifest: str
    """Name of the manifest that it is asked of unless another is named; '' for whichever there is."""
    prepare: str
    """Command that makes that manifest where it is missing: `demo --data-only`."""
    path: Path
    sha256: str

    def step(self, name: str, where: str = "") -> Step:
        """The step of that name.

        Args:
            name: of the step.
            where: what names it, for the error; the study itself unless given.

        Raises:
            UnknownNameError: there is none.
        """
        for step in self.steps:
            if step.name == name:
                return step
        asked_by = where or f"study {self.name} ({self.path})"
        raise unknown_name(f"step in {asked_by}", name, [step.name for step in self.steps])


PARAMETER = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
"""`{name}` in a text."""


def filled(text: str, parameters: Mapping[str, str], where: str) -> str:
    """The text with `{name}` replaced by the parameters.

    Raises:
        UsageError: it names one that there is not.
    """
    for name in parameters_in(text):
        if name not in parameters:
            raise unknown_name(f"parameter in {where}", name, parameters)
    return PARAMETER.sub(lambda found: parameters[found[1]], text)


def parameters_in(text: str) -> list[str]:
    """The names of the parameters in a text, in their order."""
    return PARAMETER.findall(text)


def each_of(question: Question, parameters: Mapping[str, str]) -> list[dict[str, str]]:
    """The parameters of each time that the question is asked: once, or once for each name of its `each`."""
    if not question.each:
        return [dict(parameters)]
    variable, _, listed = question.each.partition(" in ")
    return [{**parameters, variable: name} for name in names_in(parameters[listed])]


def names_in(text: str) -> list[str]:
    """The names of a comma list, each once."""
    return list(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
