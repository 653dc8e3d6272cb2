"""What every question has in common: how its answers are recorded and shown."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from probekit_cli import filenames, output
from probekit_cli.where import Where

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet, FeatureStream, Join, Selector
    from probekit.manifest import Manifest
    from probekit.records import Recorder
    from probekit_cli.memory import Limit

    Features = TypeVar("Features", FeatureSet, FeatureStream, FeatureSet | FeatureStream)


@dataclass
class Session:
    """One command that asks a question of one or more feature references."""

    where: Where
    run: "Recorder"
    join: "Join"
    asked: "list[tuple[str, Selector]]"
    """The feature references, and which stores they mean."""
    answers: list[dict[str, Any]] = field(default_factory=list)
    together: dict[str, Any] = field(default_factory=dict)
    """Answers about all features together, by name: they stand beside `runs`."""
    excluded: dict[str, str] = field(default_factory=dict)
    """Path → reason, of samples without features."""
    left_out: str = "without features left out"
    """What is said of the excluded samples."""
    _stores: list[Any] = field(default_factory=list)
    _tables: "dict[str, list[pd.DataFrame]]" = field(default_factory=dict)
    _pictures: set[str] = field(default_factory=set)
    _probes: set[str] = field(default_factory=set)
    _shows: list[list[Callable[[], None]]] = field(default_factory=list)
    """Paragraphs: each a table and the remarks beneath."""
    _remarks: set[str] = field(default_factory=set)

    def feature_sets(self) -> "Iterator[FeatureSet]":
        """The features of each reference in turn; samples that failed are noted."""
        for load in self.loads():
            yield load()

    def loads(self) -> "list[Callable[[], FeatureSet]]":
        """What gives the features of each reference, whenever it is called: for questions that cannot hold all."""
        return [partial(self._load, *asked) for asked in self.asked]

    def _load(self, reference: str, selector: "Selector") -> "FeatureSet":
        return self.take_in(self.join.load(reference, selector, allow_missing=self.where.allow_missing))

    def opened(self, limit: "Limit") -> "Iterator[FeatureSet | FeatureStream]":
        """As `feature_sets`, but streams where features would take more memory than the limit."""
        allow, fits, size = self.where.allow_missing, limit.fits, limit.size
        for asked in self.asked:
            yield self.take_in(self.join.open(*asked, fits=fits, memory=size, allow_missing=allow))

    def take_in(self, features: "Features") -> "Features":
        """The features, noted: where they came from, whoever read them, and which samples have none."""
        self._used(features)
        self.excluded |= dict(zip(features.excluded["path"], features.excluded["reason"], strict=True))
        return features

    @property
    def count(self) -> int:
        """How many feature references are asked."""
        return len(self.asked)

    def perturbed(self, features: "FeatureSet", chains: str) -> "dict[str, FeatureSet]":
        """The same features of perturbed images, by the perturbation's name.

        Args:
            features: of unperturbed images.
            chains: perturbations, presets, or `all` that there are in the store.

        Raises:
            UsageError: no such features.
        """
        wanted = self.perturbations(features, chains)
        found = {name: self.join.load(features.reference, wanted[name], allow_missing=True) for name in wanted}
        self._used(*found.values())
        return found

    def perturbations(self, features: "FeatureSet", chains: str) -> "dict[str, Selector]":
        """The perturbations that are meant, and the stores of the same features under them; as `perturbed`."""
        known = self.join.perturbed(features)
        return {name: known[name] for name in self.where.perturbations(features, chains, list(known))}

    def _used(self, *every: "FeatureSet | FeatureStream") -> None:
        """Record where these features came from."""
        from probekit.fingerprint import plain

        weights = {store.settings.address: store.settings.weights_sha256 for store in self.join.stores}
        for features in every:
            used = [{**vars(source), "weights_sha256": weights.get(source.address)} for source in features.sources]
            self._stores += [source for source in map(plain, used) if source not in self._stores]

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
        free = next(each for each in self._names(name, features) if f"{each}.{extension}" not in self._pictures)
        self._pictures.add(f"{free}.{extension}")
        self.run.figure(free, picture, caption, extension)

    def probe_name(self, name: str, features: "FeatureSet", part: str) -> str:
        """The name of the file that a probe is saved in, which no other has: what no file system takes is replaced."""
        names = (filenames.spell("-".join(filter(None, (each, part)))) for each in self._names(name, features))
        free = next(each for each in names if each.casefold() not in self._probes)
        self._probes.add(free.casefold())
        return free

    def _names(self, name: str, features: "FeatureSet") -> Iterator[str]:
        return filenames.candidates(name, features.name, _source(features)["view"])

    def show(self, print_it: Callable[[], None]) -> None:
        """Print a table once everything is recorded: a closed pipe must not cost the record."""
        self._shows.append([print_it])

    def remark(self, text: str) -> None:
        """Say something on standard error, beneath what was shown before; the same words once only."""
        if text not in self._remarks:
            self._remarks.add(text)
            self._shows = self._shows or [[]]
            self._shows[-1].append(lambda: output.remark(text))

    def finish(self, as_json: bool) -> None:
        """Print the answers and say what was left out.

        Raises:
            typer.Exit: with code 1 when samples were excluded because they had failed.
        """
        if as_json:
            output.print_json(self.result)
        else:
            for number, paragraph in enumerate(self._shows):
                if number:
                    output.blank_line()
                for show in paragraph:
                    show()
            output.remark(f"tables and figures: {self.run.path}")
        if self.excluded:
            output.remark(f"{output.count(len(self.excluded), 'sample')} {self.left_out}:")
            lines = list(self.excluded.items())
            output.listing(lines, rest=str(self.run.path / "tables" / "failed.csv"))
            raise typer.Exit(1)

    @property
    def result(self) -> dict[str, Any]:
        """The answers as `--json` prints them."""
        return {"runs": self.answers, **self.together, "excluded": len(self.excluded), "run": str(self.run.path)}

    def record(self) -> None:
        """Write what was found into the run's folder."""
        import pandas as pd

        for name, frames in self._tables.items():
            self.run.table(name, pd.concat(frames, ignore_index=True))
        if self.excluded:
            self.run.table("failed", pd.DataFrame(self.excluded.items(), columns=["path", "reason"]))
        self.run.note(manifest=describe_manifest(self.where.manifest), stores=self._stores, result=self.result)


@contextmanager
def session(verb: str, settings: object, where: Where, *, features_needed: bool = True) -> Iterator[Session]:
    """Features and run record, opened for a question, which may do without any; at the end all is recorded."""
    from probekit import records
    from probekit.features import Join
    from probekit.fingerprint import plain

    join = Join(where.manifest, where.cache)
    for problem in join.damaged.values():
        output.remark(f"note: a store is left out: {problem}")
    if where.selector.crops == "all":
        output.remark("note: every crop counts as a sample; those of one image share its group, and are alike.")
    asked = where.references(join) if features_needed or where.model is not None else where.what_there_is(join)
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


def _source(features: "FeatureSet") -> dict[str, str]:
    from probekit.protocols import describe

    return describe(features.sources)
