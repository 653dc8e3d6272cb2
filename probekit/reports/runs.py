"""Run folders, read for a report: the record, its tables and its figures, and nothing outside the folder."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd

from probekit import records
from probekit.errors import RunError
from probekit.reports.pictures import Picture, embedded


@dataclass(frozen=True)
class Figure:
    """A file of `figures/`: a picture that the report carries, or another page that it only names."""

    name: str
    caption: str
    picture: Picture | None
    """None for a file that is no picture."""


@dataclass(frozen=True)
class Run:
    """One run folder in memory."""

    path: Path
    record: Mapping[str, Any]
    tables: Mapping[str, pd.DataFrame]
    figures: tuple[Figure, ...]
    missing: tuple[str, ...]
    """Tables and figures that `run.json` names and the folder lacks."""
    links: tuple[str, ...] = ()
    """Those of `missing` in whose place there is a link, which nobody follows: it may lead to any file."""
    ambiguous: frozenset[str] = frozenset()
    """Names `model#tap` that stand for several views or precisions in the same report."""

    @property
    def verb(self) -> str:
        """The command that made it: `probe`."""
        return str(self.record.get("verb", "run"))

    @property
    def status(self) -> str:
        """`done`, `failed`, `interrupted`, or `running` when it was killed."""
        return str(self.record.get("status", "unknown"))

    @property
    def result(self) -> Mapping[str, Any]:
        """The object that the command prints with `--json`; empty when it left none."""
        result = self.record.get("result")
        return result if isinstance(result, Mapping) else {}

    @property
    def parts(self) -> list[Mapping[str, Any]]:
        """The entries of the result's list `runs` (or `models`): one per model, tap and task."""
        found = self.result.get("runs", self.result.get("models"))
        return [part for part in found if isinstance(part, Mapping)] if isinstance(found, list) else []

    def subject(self, part: Mapping[str, Any]) -> str:
        """What a part of the result is about: `clip#proj`, with view and precision where needed."""
        name = _short_name(part)
        return _full_name(part) if name in self.ambiguous else name

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Name, path, hash and size of the manifest it was asked on; empty when it recorded none."""
        manifest = self.record.get("manifest")
        return manifest if isinstance(manifest, Mapping) else {}

    @property
    def notes(self) -> list[str]:
        """What the command remarked about its answers, each once."""
        every = [self.result, *self.parts]
        found = [note for item in every if isinstance(item.get("notes"), list) for note in item["notes"]]
        return list(dict.fromkeys(map(str, found)))

    @property
    def failed(self) -> set[str]:
        """Paths of images that it has no features or no score of."""
        table = self.tables.get("failed")
        return set(map(str, table["path"])) if table is not None and "path" in table else set()

    @property
    def seconds(self) -> float | None:
        """Wall-clock time from start to end."""
        try:
            ended = datetime.fromisoformat(self.record["ended"])
            return (ended - datetime.fromisoformat(self.record["started"])).total_seconds()
        except (KeyError, TypeError, ValueError):
            return None


def load(path: Path) -> Run:
    """A run folder with its tables and pictures; names in `run.json` are looked up inside the folder only.

    Links inside the folder are not followed: what they stand for is missing.

    Raises:
        RunError: it is no run folder, or one of its tables cannot be read.
    """
    if (path / "run.json").is_symlink():
        raise RunError(f"{path / 'run.json'} is a link, which reports do not follow: put the file itself there.")
    record = records.read(path)
    path = path.resolve()  # so that the folder one stands in has a name
    tables, table_links = _files(path / "tables", "*.parquet")
    figures, figure_links = _files(path / "figures", "*")
    by_stem = {file.stem: file for file in tables.values()}
    named_tables, named_figures = _names(record.get("tables")), _captions(record.get("figures"))
    missing_tables = [name for name in named_tables if name not in by_stem]
    missing_figures = [name for name in named_figures if name not in figures]
    return Run(
        path=path,
        record=record,
        tables={name: _table(by_stem[name]) for name in named_tables if name in by_stem},
        figures=tuple(
            Figure(name, caption, embedded(figures[name])) for name, caption in named_figures.items() if name in figures
        ),
        missing=(*missing_tables, *missing_figures),
        links=(
            *(name for name in missing_tables if f"{name}.parquet" in table_links),
            *(name for name in missing_figures if name in figure_links),
        ),
    )


def named_apart(runs: Sequence[Run]) -> list[Run]:
    """The runs, told which `model#tap` occurs under several views or precisions: its name must say which."""
    full: dict[str, set[str]] = {}
    for part in [part for run in runs for part in run.parts]:
        full.setdefault(_short_name(part), set()).add(_full_name(part))
    ambiguous = frozenset(name for name, names in full.items() if len(names) > 1)
    return [replace(run, ambiguous=ambiguous) for run in runs]


def _short_name(part: Mapping[str, Any]) -> str:
    model, tap = part.get("model"), part.get("tap")
    models, taps = (str(name or "").split("+") for name in (model, tap))
    if len(models) == len(taps) > 1:  # side by side: each model with its own tap
        return "+".join(f"{name}#{at}" for name, at in zip(models, taps, strict=True))
    if model and tap and "#" not in str(model):
        return f"{model}#{tap}"
    return str(model or part.get("reference") or tap or "")


def _full_name(part: Mapping[str, Any]) -> str:
    return " · ".join(str(word) for word in (_short_name(part), part.get("view"), part.get("precision")) if word)


def _names(value: object) -> list[str]:
    return list(dict.fromkeys(str(name) for name in value)) if isinstance(value, Sequence) else []


def _captions(value: object) -> dict[str, str]:
    return {str(name): str(caption or "") for name, caption in value.items()} if isinstance(value, Mapping) else {}


def _files(folder: Path, pattern: str) -> tuple[dict[str, Path], set[str]]:
    """The files in this folder of a run by name, and the names of links: all of them, if the folder itself is one."""
    found = {file.name: file for file in sorted(folder.glob(pattern))}
    links = {name for name, file in found.items() if file.is_symlink() or folder.is_symlink()}
    return {name: file for name, file in found.items() if name not in links and file.is_file()}, links


def _table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise RunError(f"{path} cannot be read ({_line(error)}): run the command again.") from error


def _line(error: Exception) -> str:
    return str(error).strip().split("\n")[0].rstrip(".")
