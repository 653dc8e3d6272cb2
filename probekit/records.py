"""Run records: every command leaves one folder with what it was asked, what it found and what it ran on.

    runs/2026-03-01T12-00-00-probe-1a2b3c4d/
        run.json                schema version, command, settings, manifest, stores, versions, status, result
        tables/pairs.parquet    (and .csv beside each)
        figures/auc.png

Reports read these folders and nothing else. `run.json` is written first with status `running` and replaced, in one
step, when the run ends; a folder whose status stays `running` was killed. A command that is refused before it has
written anything else (`REFUSALS`) leaves no folder: there is nothing to report.
"""

import contextlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd

import probekit
from probekit.errors import (
    BlacklistError,
    ManifestError,
    MissingFeaturesError,
    RunError,
    UsageError,
    WeightsError,
)
from probekit.fingerprint import fingerprint, plain
from probekit.remote import without_secrets

SCHEMA = 1
RECORD = "run.json"
REFUSALS = (UsageError, ManifestError, MissingFeaturesError, WeightsError, BlacklistError)
"""What says that a command cannot be carried out as it was typed, not that it failed at work."""

_LIBRARIES = (
    "faiss-cpu", "faiss-gpu", "numpy", "open_clip_torch", "openTSNE", "pacmap", "pandas", "ray", "scikit-learn",
    "scipy", "segment-anything", "timm", "torch", "torchvision", "transformers", "umap-learn", "zarr",
)  # fmt: skip


@dataclass
class Recorder:
    """An open run folder; tables and figures are written as they come, the rest when the run ends."""

    path: Path
    record: dict[str, Any]
    _tables: list[str] = field(default_factory=list)
    _figures: dict[str, str] = field(default_factory=dict)

    def table(self, name: str, frame: pd.DataFrame) -> Path:
        """Write a tidy table as Parquet, and as CSV beside it; returns the CSV's path."""
        csv = self.path / "tables" / f"{_file_name(name)}.csv"
        with _errors(self.path):
            csv.parent.mkdir(exist_ok=True)
            frame.to_parquet(csv.with_suffix(".parquet"), index=False)
            frame.to_csv(csv, index=False)
        self._tables.append(csv.stem)
        return csv

    def figure(self, name: str, picture: bytes, caption: str = "", extension: str = "png") -> Path:
        """Write a picture (or an HTML page) with the words that stand under it; returns its path."""
        path = self.path / "figures" / f"{_file_name(name)}.{extension}"
        with _errors(self.path):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(picture)
        self._figures[path.name] = caption
        return path

    def note(self, **facts: object) -> None:
        """Add facts to `run.json`, such as `manifest`, `stores` and `result`."""
        self.record.update({name: plain(fact) for name, fact in facts.items()})

    def _withdrawn(self) -> bool:
        """Whether the folder, which held nothing but the record, is gone now."""
        try:
            if any(file.name != RECORD for file in self.path.iterdir()):
                return False
            (self.path / RECORD).unlink()
            self.path.rmdir()
        except OSError:  # what cannot be removed is recorded as failed
            return False
        return True

    def _write(self, status: str) -> None:
        self.record |= {"status": status, "tables": self._tables, "figures": self._figures}
        if status != "running":
            self.record["ended"] = datetime.now(UTC).isoformat(timespec="seconds")
        draft = self.path / f".run.json.{os.getpid()}"
        text = json.dumps(self.record, indent=2, allow_nan=False, ensure_ascii=False) + "\n"
        with _errors(self.path):
            try:
                draft.write_text(text, encoding="utf-8")
                draft.replace(self.path / RECORD)
            finally:
                draft.unlink(missing_ok=True)


@contextlib.contextmanager
def start(verb: str, settings: object, *, runs: Path, folder: str | None = None) -> Iterator[Recorder]:
    """Open a run folder for a command; an exception is recorded as `failed` with its message and goes on.

    The folder of a command that is refused (`REFUSALS`) is removed, unless tables, figures or other files are in it.

    Args:
        verb: the command, `probe`.
        settings: whatever decides the numbers; its fingerprint is part of the folder's name.
        runs: where run folders live.
        folder: a fixed name in place of `<UTC time>-<verb>-<hash>`; an earlier run of that name is overwritten.

    Raises:
        RunError: the folder cannot be made.
    """
    now = datetime.now(UTC)
    path = _make_folder(
        runs,
        folder or f"{now:%Y-%m-%dT%H-%M-%S}-{verb}-{fingerprint(settings)[:8]}",
        fixed=folder is not None,
    )
    record = {
        "schema": SCHEMA,
        "verb": verb,
        "command": ["probekit", *map(without_secrets, sys.argv[1:])],
        "started": now.isoformat(timespec="seconds"),
        "settings": plain(settings),
        "versions": versions(),
        "machine": {"platform": platform.platform(), "processors": os.cpu_count()},
    }
    run = Recorder(path, record)
    run._write("running")
    try:
        yield run
    except BaseException as error:
        if isinstance(error, REFUSALS) and folder is None and run._withdrawn():
            raise
        run.note(error=f"{type(error).__name__}: {error}")
        with contextlib.suppress(RunError):  # the disk that is full, perhaps: the first error is the one to tell
            run._write("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
    run._write("done")


def read(path: Path) -> dict[str, Any]:
    """The record of one run folder.

    Raises:
        RunError: there is no readable `run.json`, or it was written by a newer probekit.
    """
    try:
        record: dict[str, Any] = json.loads((path / "run.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path} has no run.json: it is not a run folder.") from None
    except (OSError, ValueError) as error:
        raise RunError(
            f"{path / 'run.json'} cannot be read ({error}): delete the folder and run the command again."
        ) from error
    if not isinstance(record, dict) or not {"schema", "verb", "status", "started"} <= record.keys():
        raise RunError(f"{path / 'run.json'} is not a record of probekit's: name the run folders to report on.")
    if record["schema"] > SCHEMA:
        raise RunError(f"{path} was written by a newer probekit (schema {record['schema']}): update probekit.")
    return record


def finished(runs: Path, verbs: Sequence[str] = ()) -> tuple[list[Path], list[str]]:
    """Folders of the runs that ended well, oldest first, and one line for each that did not or cannot be read.

    Args:
        runs: where run folders live, at any depth.
        verbs: only runs of these commands, if any are given.
    """
    found, problems = [], []
    for path in sorted(runs.glob("**/run.json")) if runs.is_dir() else []:
        try:
            record = read(path.parent)
        except RunError as error:
            problems.append(str(error))
            continue
        if verbs and record["verb"] not in verbs:
            continue
        if record["status"] == "done":
            found.append((record["started"], path.parent))
        else:
            problems.append(f"{path.parent} is recorded as {record['status']}{_because(record)}")
    return [path for _, path in sorted(found)], problems


@cache
def versions() -> Mapping[str, str]:
    """Versions of Python, probekit and the libraries that can change a number, without importing them."""
    found = {"python": platform.python_version(), "probekit": probekit.__version__}
    for library in _LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[library] = metadata.version(library)
    return found


def public_version(version: str) -> str:
    """The version without its build: `2.10.0+cpu` and `2.10.0+cu130` compute alike as far as their hardware does."""
    return version.partition("+")[0]


def _because(record: dict[str, Any]) -> str:
    return f" ({record['error']})" if record.get("error") else ""


@contextlib.contextmanager
def _errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written ({error.strerror or error}): make room, or use --runs.") from error


def _make_folder(runs: Path, name: str, fixed: bool) -> Path:
    try:
        runs.mkdir(parents=True, exist_ok=True)
        if fixed:
            (runs / name).mkdir(parents=True, exist_ok=True)
            return runs / name
        for attempt in range(1000):  # two equal commands in one second
            path = runs / (name if attempt == 0 else f"{name}-{attempt + 1}")
            with contextlib.suppress(FileExistsError):
                path.mkdir()
                return path
    except OSError as error:
        raise RunError(f"{runs} cannot be written ({error.strerror}): choose another folder with --runs.") from error
    raise RunError(f"{runs / name} exists a thousand times: clean up {runs}.")


def _file_name(name: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", name).strip("-.") or "unnamed"
