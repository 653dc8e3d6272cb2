"""Exporting: a store into a file that other programs read, whole or not at all."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from probekit.errors import UsageError
from probekit.exchange.table import select
from probekit.exchange.writers import NPY_FACTS, WRITERS, check_names
from probekit.files import draft_beside, sync_folder, sync_tree, whole
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.paths import AnyPath
from probekit.registry import unknown_name
from probekit.store import DONE, Store
from probekit.store.settings import NumberFormat
from probekit.store.swap import exchange

FORMATS = tuple(WRITERS)
ENDINGS = {".parquet": "parquet", ".safetensors": "safetensors", ".h5": "hdf5", ".hdf5": "hdf5"}


@dataclass(frozen=True)
class ExportSettings:
    """What is exported, and how it is written."""

    taps: tuple[str, ...] = ()
    """None: all taps with one vector a row."""
    format: str | None = None
    """One of FORMATS; None: the one that the ending of the file's name stands for."""
    dtype: NumberFormat | None = None
    """None: as the store has it."""


@dataclass(frozen=True)
class Exported:
    """What was written."""

    path: Path
    format: str
    dtype: str
    rows: int
    failed: int
    """Rows without features in some tap, NaN there."""
    taps: tuple[str, ...]
    missing: tuple[str, ...]
    """Paths of the manifest's samples that the store does not have; they have no row."""
    bytes: int


def export(
    store: Store,
    to: Path,
    settings: ExportSettings,
    *,
    cache: AnyPath,
    manifest: Manifest | None = None,
    overwrite: bool = False,
    on_rows: Callable[[int, int], None] | None = None,
) -> Exported:
    """Features, keys and, with a manifest, its columns in one file (for npy: one folder).

    Args:
        store: where the features are.
        to: name of the file or folder.
        settings: taps, format and number format.
        cache: folder of the stores, which knows the keys of the manifest's files.
        manifest: the samples to export, one row for each, in this order; None: all rows of the store.
        overwrite: replace an earlier file.
        on_rows: called with rows written and rows in all, those of each tap counted.

    Raises:
        UsageError: the name is taken, the format is unknown, there are no such rows or taps.
        FeatureOverflowError: a feature does not fit the number format.
        StoreCorruptError: stored bytes are damaged; nothing is written.
    """
    written_as = _format(to, settings.format)
    _check_free(to, written_as, overwrite)
    index = KeyIndex.open(cache)
    table, missing = select(store, manifest, index, settings.taps, settings.dtype)
    check_names(table)
    done, total = 0, len(table) * len(table.taps)

    def tell(rows: int) -> None:
        nonlocal done
        done += rows
        if on_rows:
            on_rows(done, total)

    with _written(to, _whole_folder if written_as == "npy" else whole) as draft:
        WRITERS[written_as](draft, table, tell)
    size = sum(file.stat().st_size for file in ([to] if to.is_file() else to.iterdir()))
    failed = int((table.status != DONE).any(axis=1).sum())
    return Exported(to, written_as, table.dtype, len(table), failed, tuple(table.taps), tuple(missing), size)


def _format(to: Path, given: str | None) -> str:
    if given is not None:
        if given not in FORMATS:
            raise unknown_name("--format", given, FORMATS)
        return given
    if to.suffix in ENDINGS:
        return ENDINGS[to.suffix]
    if not to.suffix or to.is_dir():
        return "npy"
    raise UsageError(f"--to {to}: {to.suffix} stands for no format: end it on {', '.join(ENDINGS)}, or give --format.")


def _check_free(to: Path, written_as: str, overwrite: bool) -> None:
    if not os.path.lexists(to):
        return
    if not overwrite:
        raise UsageError(f"{to} exists: choose another name, or replace it with --force.")
    if written_as == "npy" and not (to / NPY_FACTS).is_file():
        raise UsageError(f"{to} is not a folder that was exported: choose another name.")
    if written_as != "npy" and not to.is_file():
        raise UsageError(f"{to} is not a file: choose another name.")


@contextlib.contextmanager
def _written(to: Path, whole_: Callable[[Path], contextlib.AbstractContextManager[Path]]) -> Iterator[Path]:
    """The draft to write; errors of the operating system, as ours."""
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        with whole_(to) as draft:
            yield draft
    except OSError as error:
        raise UsageError(f"{to} cannot be written ({error.strerror or error}): choose another place.") from error


@contextlib.contextmanager
def _whole_folder(to: Path) -> Iterator[Path]:
    """As `whole`, for a folder."""
    draft = draft_beside(to)
    try:
        yield draft
        sync_tree(draft)
        if to.exists():
            exchange(to, draft)  # the earlier folder is now the draft, and deleted
        else:
            draft.rename(to)
        sync_folder(to.parent)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft)
