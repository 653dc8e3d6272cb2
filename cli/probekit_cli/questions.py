"""What every question has in common: which features it is asked of, and how its answers are recorded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from probekit_cli import output

if TYPE_CHECKING:
    import pandas as pd

    from probekit.features import FeatureSet
    from probekit.manifest import Manifest
    from probekit.records import Recorder


@dataclass
class Session:
    """One command that asks a question of one or more feature references."""

    manifest: "Manifest"
    run: "Recorder"
    _loaders: "list[Callable[[], FeatureSet]]"
    answers: list[dict[str, Any]] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    _stores: list[Any] = field(default_factory=list)
    _tables: "dict[str, list[pd.DataFrame]]" = field(default_factory=dict)

    def feature_sets(self) -> "Iterator[FeatureSet]":
        """The features of each reference in turn; samples that failed are noted."""
        from probekit.fingerprint import plain

        for load in self._loaders:
            features = load()
            self._stores += [source for source in map(plain, features.sources) if source not in self._stores]
            self.excluded |= dict(zip(features.excluded["path"], features.excluded["reason"], strict=True))
            yield features

    def answer(self, found: dict[str, Any], features: "FeatureSet") -> None:
        """Keep one answer, with the features that it was found in."""
        from probekit.protocols import describe

        self.answers.append({"features": features.reference, **describe(features.sources), **found})

    def table(self, name: str, frame: "pd.DataFrame", features: "FeatureSet") -> None:
        """Keep a table of one answer; those of one name become one file, told apart by their features."""
        self._tables.setdefault(name, []).append(frame.assign(features=features.reference))

    def figure(self, name: str, picture: bytes, caption: str, features: "FeatureSet") -> None:
        """Write a picture of one answer."""
        self.run.figure(f"{name}-{features.reference}", picture, caption)

    @property
    def result(self) -> dict[str, Any]:
        """The answers as `--json` prints them."""
        return {"runs": self.answers, "excluded": len(self.excluded), "run": str(self.run.path)}

    def close(self) -> None:
        """Write what was found into the run's folder."""
        import pandas as pd

        for name, frames in self._tables.items():
            self.run.table(name, pd.concat(frames, ignore_index=True))
        if self.excluded:
            self.run.table("failed", pd.DataFrame(self.excluded.items(), columns=["path", "reason"]))
        self.run.note(manifest=describe_manifest(self.manifest), stores=self._stores, result=self.result)


@contextmanager
def session(
    verb: str,
    settings: object,
    *,
    manifest: str | None,
    model: str | None,
    taps: str | None,
    view: str | None,
    precision: str | None,
    store: str | None,
    allow_missing: bool,
    cache: Path,
    runs: Path,
) -> Iterator[Session]:
    """Open manifest, features and run record, and at the end write what was found."""
    from probekit import records
    from probekit.features import Selector, covering_stores, load_features
    from probekit.manifest import Manifest

    chosen = Manifest.read(manifest)
    selector = Selector(view=view, precision=precision, store=store)
    asked = [(reference, selector) for reference in _references(model, taps)]
    asked = asked or covering_stores(chosen, cache=cache, selector=selector)
    load = partial(load_features, chosen, cache=cache, allow_missing=allow_missing)
    with records.start(verb, settings, runs=runs) as run:
        opened = Session(chosen, run, [partial(load, reference, selector=where) for reference, where in asked])
        yield opened
        opened.close()


def finish(session: Session, as_json: bool) -> None:
    """Print the answers as JSON if that is wanted, and say what was left out.

    Raises:
        typer.Exit: with code 1 when samples were excluded because they had failed.
    """
    if as_json:
        output.print_json(session.result)
    else:
        output.remark(f"tables and figures: {session.run.path}")
    if session.excluded:
        output.remark(f"{len(session.excluded)} samples without features were left out:")
        output.listing(list(session.excluded.items()), rest=str(session.run.path / "tables" / "failed.csv"))
        raise typer.Exit(1)


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


def folds(given: int | None, manifest: str | None) -> int:
    """The number of folds: as given, else what the manifest's import decided."""
    from probekit.manifest import Manifest

    return Manifest.read(manifest).folds if given is None else given


def _references(model: str | None, taps: str | None) -> list[str]:
    """`clip,dinov2` with taps `cls@1,cls@2` are four references; none where no model is named."""
    names = [name.strip() for name in (model or "").split(",") if name.strip()]
    wanted = [tap.strip() for tap in (taps or "").split(",") if tap.strip()]
    return [f"{name}#{tap}" for name in names for tap in wanted] if wanted else names
