"""Importing: rows of somebody's feature file into a store of their own.

probekit did not compute these numbers, so what made them is declared, and the declaration decides the store's address:
extraction never adds to such a store, and two imports share one only if they declare the same.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Int, Keys, Mask, Shaped
from probekit.errors import StoreError, UsageError
from probekit.exchange.readers import Given
from probekit.fingerprint import fingerprint, hash_file
from probekit.identities import Identities, identify
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.manifest.columns import file_names
from probekit.paths import AnyPath
from probekit.store import ABSENT, DONE, Rows, Store, StoreSettings
from probekit.store.rows import RowIndex
from probekit.store.settings import NumberFormat

PREFIX = "imported:"
CLAIM = "import"
BATCH_BYTES = 1 << 25  # of float32 features that are checked or committed together
_NAME = re.compile(r"[\w.=-]+")
_KEY = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Declared:
    """What somebody says of features that probekit did not compute."""

    model: str
    """`imported:NAME`, which no registered model has."""
    tap: str = "final"
    view: str = "undeclared"
    precision: str = "undeclared"
    source: str = ""
    """Where they come from: paper, repository, checkpoint, date."""
    license: str = ""
    dtype: NumberFormat = "float16"
    """Of the stored features."""

    def settings(self) -> StoreSettings:
        """The settings of the store, and through them its address."""
        return StoreSettings(
            model=self.model,
            weights_sha256=None,
            view={"policy": self.view, "imported": True},
            view_name=self.view,
            precision=self.precision,
            dtype=self.dtype,
            model_settings={"imported": True, "source": self.source, "license": self.license},
        )


@dataclass(frozen=True)
class Imported:
    """What an import did."""

    store: str
    """Name of the store's folder."""
    address: str
    tap: str
    rows: int
    """Rows of the file."""
    stored: int
    """Rows that were written now."""
    present: int
    """Rows that were there already, with the same features."""
    repeated: int
    """Rows of the file that say once more what another row said."""
    failed: int
    """Rows that the file itself says have no features."""
    unmatched: tuple[str, ...]
    """Ids of rows that fit no sample of the manifest."""
    missing: tuple[str, ...]
    """Paths of the manifest's samples for which the file has no row."""


def import_features(
    given: Given,
    declared: Declared,
    *,
    cache: AnyPath,
    manifest: Manifest | None = None,
    strip: str = "",
    on_rows: Callable[[int, int], None] | None = None,
) -> Imported:
    """The rows of a file in the store of what is declared; everything is checked before anything is written.

    Args:
        given: the file's features and ids.
        declared: what made them.
        cache: folder of the stores.
        manifest: the samples that paths refer to; it may be None where all ids are keys.
        strip: what ids begin with and the manifest's paths do not.
        on_rows: called with rows written and rows to write.

    Raises:
        UsageError: ids that cannot be matched, repeated ids with different features, features that are not finite or do
            not fit the number format, or others than the store has; nothing is written.
        StoreError: the cache cannot be written, or another process works in the store.
    """
    _check_declaration(declared)
    index = KeyIndex.open(cache)
    identities = identify(manifest, index) if manifest else None
    keys, matched = _match(given, manifest, identities, strip)
    if not matched.any():
        ids = ", ".join(_spell(given, np.arange(min(2, len(given.ids)))))
        where = f"a path of {manifest.name}" if manifest else "a key; name the manifest that has these paths"
        raise UsageError(f"{given.file}: no id is {where} (the first are {ids}): cut what they begin with by --strip.")
    _check_numbers(given, declared)
    rows, repeated = _distinct(given, keys, np.flatnonzero(matched & ~given.failed), declared)
    path = cache / declared.settings().folder_name
    present = _present(Store.open(path), given, keys, rows, declared) if path.exists() else np.zeros(len(rows), bool)
    store = Store.create(cache, declared.settings(), _facts(given, declared))
    _write(store, given, keys, rows[~present], declared, on_rows)
    index.flush()
    return Imported(
        store=store.path.name,
        address=store.settings.address,
        tap=declared.tap,
        rows=len(given.features),
        stored=int(np.count_nonzero(~present)),
        present=int(np.count_nonzero(present)),
        repeated=repeated,
        failed=int(np.count_nonzero(given.failed)),
        unmatched=tuple(_spell(given, np.flatnonzero(~matched))),
        missing=_missing(identities, keys[rows]) if identities else (),
    )


def _check_declaration(declared: Declared) -> None:
    name = declared.model.removeprefix(PREFIX)
    if name == declared.model or not _NAME.fullmatch(name):
        raise UsageError(
            f"--model {declared.model}: call imported features {PREFIX}NAME, with letters, digits and _ . = - in NAME; "
            "so they are never taken for what a model of probekit gave."
        )
    for flag, value in (("--tap", declared.tap), ("--view-name", declared.view), ("--precision", declared.precision)):
        if not re.fullmatch(r"\w[\w@.=-]*", value) or value in ("key", "crop", "status", "journal"):
            raise UsageError(f"{flag} {value!r}: use letters, digits and @ . = - _, and no name of the store's own.")


def _match(given: Given, manifest: Manifest | None, identities: Identities | None, strip: str) -> tuple[Keys, Mask]:
    """Key of each row, and which rows have one."""
    if not isinstance(given.ids, list):
        return np.asarray(given.ids), np.ones(len(given.ids), bool)
    rows = _rows_by_path(manifest, identities) if manifest and identities else {}
    keys, matched = np.zeros((len(given.ids), 32), np.uint8), np.zeros(len(given.ids), bool)
    for number, name in enumerate(given.ids):
        row = rows.get(os.path.normpath(name.removeprefix(strip).lstrip("/") if strip else name)) if name else None
        if row is not None and identities is not None:
            if row < 0:
                raise UsageError(
                    f"{given.name(number)}: several samples of the manifest have that path: give their keys."
                )
            keys[number], matched[number] = identities.keys[row], identities.known[row]
        elif _KEY.fullmatch(name):
            keys[number], matched[number] = np.frombuffer(bytes.fromhex(name), np.uint8), True
    return keys, matched


def _rows_by_path(manifest: Manifest, identities: Identities) -> dict[str, int]:
    """Row of the manifest for each of its paths, as written and absolute; -1 where several rows have it.

    A member of an archive is called `faces.zip/real/a.png`.
    """
    rows: dict[str, int] = {}
    entries = identities.samples.entries
    for row, (written, entry) in enumerate(zip(file_names(manifest.table), entries[: len(entries)], strict=True)):
        for path in {os.path.normpath(written), entry.replace("\0", "/")}:
            rows[path] = -1 if path in rows else row
    return rows


def _check_numbers(given: Given, declared: Declared) -> None:
    for batch in _batches(given.features, np.flatnonzero(~given.failed)):
        packed = _pack(given, batch, declared)
        bad = np.flatnonzero(~np.isfinite(packed.reshape(len(batch), -1)).all(axis=1))
        if len(bad):
            row = int(batch[bad[0]])
            values = np.asarray(given.features[row]).reshape(-1)
            value = values[~np.isfinite(packed[bad[0]].reshape(-1))][0]
            if np.isfinite(value):
                raise UsageError(f"{given.name(row)}: {value:.4g} does not fit {declared.dtype}: add --dtype float32.")
            raise UsageError(f"{given.name(row)}: a feature is {value}: leave that row out, or compute it again.")


def _distinct(given: Given, keys: Keys, rows: Int[np.ndarray, " m"], declared: Declared) -> tuple[np.ndarray, int]:
    """Rows with each identity once, and how many were repeated."""
    first = rows[RowIndex(keys[rows], given.crops[rows]).find(keys[rows], given.crops[rows])]
    again = np.flatnonzero(first != rows)
    for batch in _batches(given.features, again):
        one, other = _pack(given, rows[batch], declared), _pack(given, first[batch], declared)
        differ = np.flatnonzero((one != other).reshape(len(batch), -1).any(axis=1))
        if len(differ):
            row, twin = int(rows[batch[differ[0]]]), int(first[batch[differ[0]]])
            raise UsageError(
                f"{given.name(row)}: row {twin} is the same image, with other features: leave one of the two rows out."
            )
    return rows[first == rows], len(again)


def _present(store: Store, given: Given, keys: Keys, rows: np.ndarray, declared: Declared) -> Mask:
    """Which rows the store has already; they must be the same."""
    status = store.look_up(keys[rows], given.crops[rows], [declared.tap])[:, 0]
    present: Mask = status != ABSENT
    for batch in _batches(given.features, np.flatnonzero(status == DONE)):
        stored = store.read(keys[rows[batch]], given.crops[rows[batch]], declared.tap)
        mine = _pack(given, rows[batch], declared)
        if stored.shape != mine.shape:
            raise UsageError(
                f"{store.path.name} has {stored.shape[1:]} numbers a row in {declared.tap}, {given.file} has "
                f"{mine.shape[1:]}: name another --tap or --model."
            )
        differ = np.flatnonzero((stored != mine).reshape(len(batch), -1).any(axis=1))
        if len(differ):
            raise UsageError(
                f"{given.name(int(rows[batch[differ[0]]]))}: {store.path.name} has other features of that image: "
                "import under another --model or --source, or remove that store."
            )
    return present


def _write(
    store: Store,
    given: Given,
    keys: Keys,
    rows: np.ndarray,
    declared: Declared,
    on_rows: Callable[[int, int], None] | None,
) -> None:
    if not store.claims.take(CLAIM):
        raise StoreError(f"{store.path} is being imported into or pruned by another process: wait until it has ended.")
    try:
        written = 0
        for batch in _batches(given.features, rows):
            features = {declared.tap: np.asarray(given.features[batch], np.float32)}
            store.commit(Rows(keys[batch], given.crops[batch], features, {}), [given.name(int(row)) for row in batch])
            store.claims.show_life(CLAIM)
            written += len(batch)
            if on_rows:
                on_rows(written, len(rows))
        store.refresh()
        store.fold()
    finally:
        store.claims.release(CLAIM)


def _facts(given: Given, declared: Declared) -> dict[str, object]:
    """What is recorded at the store's creation, of the file that it began with."""
    files = sorted(given.file.glob("[!.]*.npy")) if given.file.is_dir() else [given.file]
    hashes = {file.name: hash_file(file) for file in files}
    return {
        "imported": True,
        "default_tap": declared.tap,
        "source": declared.source,
        "license": declared.license,
        "file": given.file.name,
        "file_sha256": fingerprint(hashes) if given.file.is_dir() else hashes[given.file.name],
    }


def _missing(identities: Identities, keys: Keys) -> tuple[str, ...]:
    """Paths of samples of the manifest without a row."""
    found = RowIndex(keys, np.zeros(len(keys), np.int16)).find(
        identities.keys, np.zeros(len(identities.keys), np.int16)
    )
    return tuple(identities.samples.name(int(row)) for row in np.flatnonzero((found < 0) | ~identities.known))


def _pack(given: Given, rows: Int[np.ndarray, " m"], declared: Declared) -> Shaped[np.ndarray, "m ..."]:
    """Rows as the store will have them."""
    with np.errstate(over="ignore"):
        return np.asarray(given.features[rows]).astype(np.float32).astype(declared.dtype)


def _batches(features: Shaped[np.ndarray, "n ..."], rows: Int[np.ndarray, " m"]) -> Iterator[Int[np.ndarray, " k"]]:
    step = max(1, BATCH_BYTES // (4 * max(1, int(np.prod(features.shape[1:])))))
    for begin in range(0, len(rows), step):
        yield rows[begin : begin + step]


def _spell(given: Given, rows: Int[np.ndarray, " m"]) -> list[str]:
    return [str(given.ids[int(row)]) for row in rows]
