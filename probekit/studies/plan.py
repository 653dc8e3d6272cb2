"""Plans: the steps of a protocol as command lines on somebody's data, and what each of them lacks."""

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from probekit.fingerprint import fingerprint
from probekit.manifest import Manifest
from probekit.paths import AnyPath
from probekit.registry import unknown_name
from probekit.studies.derived import derived
from probekit.studies.needs import Supply, fill_needs, lacking_data, lacking_parts
from probekit.studies.protocol import RUN, Needs, Protocol, Step, filled, parameters_in

WEIGHTED = ("extract", "saliency")
"""Commands that run a model over images, and take its weights."""
TRAINED = "tuned:"
"""Models that `finetune` makes."""
SEEDED = ("audit", "compare", "finetune", "map", "probe", "retrieve", "saliency")
CLUSTERED = ("extract", "probe", "retrieve")
"""Commands that take --engine."""
RESAMPLED = ("audit", "compare", "finetune", "probe", "retrieve", "saliency")
"""Commands that take --seed and --bootstrap."""


@dataclass(frozen=True)
class Place:
    """Where a study finds its data and keeps what it makes."""

    manifest: str
    """As it is typed after --manifest."""
    cache: AnyPath
    runs: Path
    """The study's own folder of runs."""
    weights: Mapping[str, Path]
    """Model → local checkpoint."""
    options: tuple[str, ...] = ()
    """That every step gets, where they are not the defaults: `--cache`."""
    seed: int = 0
    bootstrap: int = 1000
    engine: tuple[str, ...] = ()
    """Options of a cluster, for the commands that can run on one: `--engine`, `--address` …"""


@dataclass(frozen=True)
class PlannedStep:
    """One command on somebody's data."""

    step: Step
    words: tuple[str, ...]
    """What follows `probekit`."""
    folder: Path
    """Of its runs."""
    missing: tuple[str, ...] = ()
    """Why it cannot be done; empty when it can."""
    engine: tuple[str, ...] = ()
    """Further words, which say where it runs: its answers are the same everywhere."""

    @property
    def verb(self) -> str:
        """`probe`."""
        return self.words[0]

    def with_runs(self, runs: Mapping[str, Path]) -> "PlannedStep":
        """The same step with `run:STEP` replaced by the run folder of that step, where it has one."""
        folders = {f"{RUN}{name}": str(path) for name, path in runs.items()}
        return replace(self, words=tuple(folders.get(word, word) for word in self.words))

    @property
    def command(self) -> str:
        """The command line, quoted for a shell."""
        return shlex.join(["probekit", *self.words, *self.engine])


@dataclass(frozen=True)
class Plan:
    """A protocol with its parameters filled in."""

    protocol: Protocol
    parameters: Mapping[str, str]
    place: Place
    manifest: Manifest
    steps: tuple[PlannedStep, ...]

    @property
    def missing(self) -> dict[str, list[str]]:
        """Reason → the steps that it stops."""
        found: dict[str, list[str]] = {}
        for step in self.steps:
            for line in step.missing:
                found.setdefault(line, []).append(step.step.name)
        return found

    @property
    def identity(self) -> str:
        """Fingerprint of what decides the answers: protocol, parameters, manifest and weights."""
        weights = {name: str(path) for name, path in self.place.weights.items()}
        return fingerprint([self.protocol.sha256, dict(self.parameters), self.manifest.sha256, weights])


def plan(protocol: Protocol, given: Mapping[str, str], manifest: Manifest, place: Place) -> Plan:
    """The protocol's steps on this manifest, each with what it lacks.

    Args:
        protocol: the study.
        given: parameters that are not left at their defaults.
        manifest: its data.
        place: files and folders.

    Raises:
        UnknownNameError: a parameter that the protocol does not have.
    """
    for name in given:
        if name not in protocol.parameters:
            raise unknown_name(f"parameter of study {protocol.name}", name, protocol.parameters)
    parameters = derived({**protocol.parameters, **given}, manifest.table)
    data = {"data": f"{manifest.name}-{manifest.sha256[:6]}"}
    drafts = [_planned(step, {**parameters, **data}, place) for step in protocol.steps]
    made = frozenset(name for draft in drafts for name in _networks(draft.words))
    supply = Supply(place.cache, place.weights, made)
    general = _lacking(protocol.needs, parameters, manifest, supply, f"study {protocol.name}")
    steps: list[PlannedStep] = []
    for draft in drafts:
        own = _lacking(draft.step.needs, parameters, manifest, supply, f"step {draft.step.name}")
        dropped = [done.step.name for done in steps if done.missing and done.step.name in draft.step.after]
        before = [f"step {name}, which it builds on, cannot be done." for name in dropped]
        models = [] if draft.missing else _lacking_models(draft, supply)
        reasons = [*draft.missing, *general, *own, *models, *before]
        steps.append(replace(draft, missing=tuple(dict.fromkeys(reasons))))
    return Plan(protocol, parameters, place, manifest, tuple(steps))


def models_named(words: Sequence[str]) -> list[str]:
    """The models in `--model a#tap+b,c` of a command, each once."""
    found = [after for word, after in pairwise(words) if word == "--model"]
    parts = [part.partition("#")[0].strip() for text in found for part in re.split(r"[,+]", text)]
    return list(dict.fromkeys(part for part in parts if part))


def _planned(step: Step, parameters: Mapping[str, str], place: Place) -> PlannedStep:
    where = f"step {step.name}"
    words = [filled(word, parameters, where) for word in shlex.split(step.run)]
    step = replace(step, title=filled(step.title, parameters, where))
    folder = place.runs / step.name
    own = [name for name in models_named(words) if name in place.weights] if words[0] in WEIGHTED else []
    weights = [part for name in own for part in ("--weights", f"{name}={place.weights[name]}")]
    if words[0] == "finetune":
        weights = [
            part for name in _starting(words) & place.weights.keys() for part in ("--weights", str(place.weights[name]))
        ]
    words += [*weights, *_draws(words[0], place), "--manifest", place.manifest, *place.options, "--runs", str(folder)]
    empty = [name for name in parameters_in(step.run) if not parameters[name]]
    missing = tuple(f"parameter {name} is empty: --set {name}=…" for name in dict.fromkeys(empty))
    return PlannedStep(step, tuple(words), folder, missing, place.engine if words[0] in CLUSTERED else ())


def _draws(verb: str, place: Place) -> list[str]:
    """Seed and replicates, where they are not the defaults."""
    seed = ["--seed", str(place.seed)] if verb in SEEDED and place.seed else []
    return seed + (["--bootstrap", str(place.bootstrap)] if verb in RESAMPLED and place.bootstrap != 1000 else [])


def _starting(words: Sequence[str]) -> set[str]:
    """The network that a training starts from, by its full name; none from scratch."""
    if "--scratch" in words:
        return set()
    return {name if ":" in name else f"timm:{name}" for name in models_named(words)}


def _networks(words: Sequence[str]) -> list[str]:
    """The models that a training leaves."""
    if words[0] != "finetune" or "--name" not in words:
        return []
    return [TRAINED + words[list(words).index("--name") + 1]]


def _lacking(needs: Needs, parameters: Mapping[str, str], manifest: Manifest, supply: Supply, where: str) -> list[str]:
    own = fill_needs(needs, parameters, where)
    wanted = [name.strip() for name in own.models.split(",") if name.strip()]
    return [
        *lacking_data(manifest.table, manifest.name, own),
        *lacking_parts(own),
        *supply.lacking_weights(wanted),
    ]


def _lacking_models(draft: PlannedStep, supply: Supply) -> list[str]:
    if draft.verb == "finetune":
        return supply.lacking_weights(_starting(draft.words))
    named = models_named(draft.words)
    return supply.lacking_weights(named) if draft.verb in WEIGHTED else supply.lacking_features(named)
