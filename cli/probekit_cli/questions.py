"""What every question has in common: which features it is asked of, and how its answers are recorded and shown."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from probekit_cli import output

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet, Join, Selector
    from probekit.manifest import Manifest
    from probekit.records import Recorder


@dataclass(frozen=True)
class Where:
    """Which features of which manifest are meant, as the options say."""

    manifest_name: str | None
    model: str | None
    taps: str | None
    selector: "Selector"
    allow_missing: bool
    cache: Path
    runs: Path

    @cached_property
    def manifest(self) -> "Manifest":
        """The manifest, read once."""
        from probekit.manifest import Manifest

        return Manifest.read(self.manifest_name)

    def folds(self, given: int | None) -> int:
        """The number of folds: as given, else what the manifest's import decided."""
        return self.manifest.folds if given is None else given

    def references(self, join: "Join") -> "list[tuple[str, Selector]]":
        """What is asked for, else every store that covers the manifest.

        `clip,dinov2` with taps `cls@1,cls@2` are four references; in `a+b` a tap belongs to both parts. `cls@all` and
        `all` mean what the stores have.
        """
        from probekit.errors import UsageError
        from probekit.models.requests import asked_of, check_models

        names = [name.strip() for name in (self.model or "").split(",") if name.strip()]
        taps = [tap.strip() for tap in (self.taps or "").split(",") if tap.strip()]
        if taps and (not names or any("#" in name for name in names)):
            raise UsageError(f"--taps {self.taps}: name the models with --model, without a #TAP of their own.")
        check_models(taps, names)
        references = [
            reference
            for name in names
            for reference in join.expand(name, asked_of(name, taps) if taps else [], self.selector)
        ]
        if references:
            return [(reference, self.selector) for reference in references]
        return join.covering(self.selector, allow_missing=self.allow_missing)


def selector(view: str | None, precision: str | None, store: str | None, perturb: str | None, crops: str) -> "Selector":
    """Which stores are meant and how their crops are taken, as the options say."""
    from probekit.errors import UsageError
    from probekit.features import Selector
    from probekit.perturbations import parse_chains
    from probekit.registry import unknown_name

    if crops not in ("mean", "all"):
        raise unknown_name("--crops", crops, ("mean", "all"))
    chains = parse_chains(perturb) if perturb else ()
    if len(chains) > 1:
        raise UsageError(f"--perturb {perturb} means several: ask one of {', '.join(chain.name for chain in chains)}.")
    name = chains[0].name if chains and chains[0].operations else None
    return Selector(view, precision, store, name, crops)  # type: ignore[arg-type]  # one of the two


@dataclass
class Session:
    """One command that asks a question of one or more feature references."""

    where: Where
    run: "Recorder"
    _join: "Join"
    _asked: "list[tuple[str, Selector]]"
    answers: list[dict[str, Any]] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    """Path → reason, of samples without features."""
    _stores: list[Any] = field(default_factory=list)
    _tables: "dict[str, list[pd.DataFrame]]" = field(default_factory=dict)
    _pictures: set[str] = field(default_factory=set)
    _shows: list[Callable[[], None]] = field(default_factory=list)

    def feature_sets(self) -> "Iterator[FeatureSet]":
        """The features of each reference in turn; samples that failed are noted."""
        from probekit.fingerprint import plain

        for reference, selector in self._asked:
            features = self._join.load(reference, selector, allow_missing=self.where.allow_missing)
            self._stores += [source for source in map(plain, features.sources) if source not in self._stores]
            self.excluded |= dict(zip(features.excluded["path"], features.excluded["reason"], strict=True))
            yield features

    @property
    def count(self) -> int:
        """How many feature references are asked."""
        return len(self._asked)

    def perturbed(self, features: "FeatureSet", chains: str) -> "dict[str, FeatureSet]":
        """The same features of perturbed images, by the perturbation's name.

        Args:
            features: of unperturbed images.
            chains: perturbations, presets, or `all` that there are in the store.

        Raises:
            UsageError: no such features.
        """
        from probekit.errors import UsageError
        from probekit.perturbations import parse_chains

        known = self._join.perturbed(features)
        wanted = list(known) if chains == "all" else [chain.name for chain in parse_chains(chains) if chain.operations]
        lacking = [name for name in wanted if name not in known]
        if lacking or not wanted:
            what = lacking[0] if lacking else chains
            raise UsageError(
                f"--perturbed {what}: {features.name} has no such features of {self.where.manifest.name} "
                f"(there are: {', '.join(known) or 'none'}). Extract them: probekit extract --perturb {what}"
            )
        return {name: self._join.load(features.reference, known[name], allow_missing=True) for name in wanted}

    def answer(self, found: Mapping[str, Any], features: "FeatureSet") -> None:
        """Keep one answer, with the features that it was found in."""
        self.answers.append({"features": features.name, **_source(features), **found})

    def table(
        self, name: str, frame: "pd.DataFrame", features: "FeatureSet", labels: Mapping[str, str] | None = None
    ) -> None:
        """Keep a table of one answer; those of one name become one file, told apart by their last columns."""
        self._tables.setdefault(name, []).append(frame.assign(**_source(features), **(labels or {})))

    def figure(self, name: str, picture: bytes, caption: str, features: "FeatureSet", extension: str = "png") -> None:
        """Write a picture of one answer under the name of its features, and of their view if that name is taken."""
        names = [f"{name}-{features.name}", "-".join((name, features.name, _source(features)["view"]))]
        names += [f"{names[1]}-{number}" for number in range(2, 100)]  # stores that differ in precision or weights
        free = next(each for each in names if f"{each}.{extension}" not in self._pictures)
        self._pictures.add(f"{free}.{extension}")
        self.run.figure(free, picture, caption, extension)

    def show(self, print_it: Callable[[], None]) -> None:
        """Print something once everything is recorded: a closed pipe must not cost the record."""
        self._shows.append(print_it)

    def finish(self, as_json: bool) -> None:
        """Print the answers and say what was left out.

        Raises:
            typer.Exit: with code 1 when samples were excluded because they had failed.
        """
        if as_json:
            output.print_json(self.result)
        else:
            for show in self._shows:
                show()
            output.remark(f"tables and figures: {self.run.path}")
        if self.excluded:
            output.remark(f"{output.count(len(self.excluded), 'sample')} without features left out:")
            lines = list(self.excluded.items())
            output.listing(lines, rest=str(self.run.path / "tables" / "failed.csv"))
            raise typer.Exit(1)

    @property
    def result(self) -> dict[str, Any]:
        """The answers as `--json` prints them."""
        return {"runs": self.answers, "excluded": len(self.excluded), "run": str(self.run.path)}

    def record(self) -> None:
        """Write what was found into the run's folder."""
        import pandas as pd

        for name, frames in self._tables.items():
            self.run.table(name, pd.concat(frames, ignore_index=True))
        if self.excluded:
            self.run.table("failed", pd.DataFrame(self.excluded.items(), columns=["path", "reason"]))
        self.run.note(manifest=describe_manifest(self.where.manifest), stores=self._stores, result=self.result)


@contextmanager
def session(verb: str, settings: object, where: Where) -> Iterator[Session]:
    """Features and run record, opened for a question; at the end what was found is recorded."""
    from probekit import records
    from probekit.features import Join
    from probekit.fingerprint import plain

    join = Join(where.manifest, where.cache)
    for problem in join.damaged.values():
        output.remark(f"note: a store is left out: {problem}")
    if where.selector.crops == "all":
        output.remark("note: every crop counts as a sample; those of one image share its group, and are alike.")
    asked = where.references(join)
    identity = {
        "question": plain(settings),
        "features": [plain(part) for part in asked],
        "manifest": where.manifest.sha256,
    }
    with records.start(verb, identity, runs=where.runs) as run:
        opened = Session(where, run, join, asked)
        yield opened
        opened.record()


def describe_manifest(manifest: "Manifest") -> dict[str, Any]:
    """The manifest as it stands in a run's record."""
    return {
        "name": manifest.name,
        "path": str(manifest.path),
        "sha256": manifest.sha256,
        "n": len(manifest.table),
        "generators": sorted(manifest.table["generator"].unique()),
        "folds": manifest.folds,
    }


def finite(flag: str, value: float | None) -> float | None:
    """The value, if it is a finite number or none at all."""
    import math

    from probekit.errors import UsageError

    if value is not None and not math.isfinite(value):
        raise UsageError(f"{flag} {value}: give a finite number.")
    return value


def _source(features: "FeatureSet") -> dict[str, str]:
    from probekit.protocols import describe

    return describe(features.sources)
