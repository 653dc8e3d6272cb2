"""The store as extraction and questions see it: look up, commit, read, fold, verify."""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import numpy as np

from probekit.arrays import Float, Int, Keys, UInt8
from probekit.errors import StoreCorruptError, StoreError
from probekit.paths import AnyPath
from probekit.records import versions
from probekit.store.beginning import begin, begun
from probekit.store.claims import CLAIMS, LOCK, Claims
from probekit.store.files import writable
from probekit.store.fold import Folding
from probekit.store.locks import StillAlone, exclusive
from probekit.store.packing import Rows, packed
from probekit.store.parts import (
    FAILED,
    SUFFIX,
    merge,
    read_part,
    scan_part,
    write_part,
)
from probekit.store.prune import Pruned, Surplus, prune, surplus
from probekit.store.reasons import read_reasons, reason_files, write_reasons
from probekit.store.seal import FILE as SEAL
from probekit.store.seal import Seal
from probekit.store.seen import SeenRows
from probekit.store.settings import StoreSettings
from probekit.store.snapshot import Snapshot
from probekit.store.swap import restore
from probekit.store.writers import added_writers, admit
from probekit.store.zarrays import ZarrArrays

FORMAT = 1
TRIES = 10  # of a look at something that other processes change
FOLD_PARTS = 64  # parts folded at a time: about one shard, so memory stays bounded and shards are rewritten little
FOLD_BYTES = 256 << 20  # and no more than that, or one part: shards of token taps are small, and their parts are large


class Store:
    """An open store. Its view of the rows is taken at the first look-up; `refresh` takes a new one."""

    def __init__(self, path: AnyPath, settings: StoreSettings, facts: Mapping[str, Any]) -> None:
        self.path = path
        self.settings = settings
        self.facts = facts
        """What was recorded at creation beside the settings: versions, compute batch size …"""
        self.claims = Claims(path / CLAIMS)
        self._seen: SeenRows | None = None

    @classmethod
    def open(cls, path: AnyPath) -> "Store":
        """The store in a folder.

        Raises:
            StoreError: it is no store, or was written by a newer probekit.
            StoreCorruptError: its settings are not those that its address stands for.
        """
        restore(path)
        attributes = ZarrArrays(path).attributes.get("probekit")
        if attributes is None:
            raise StoreError(f"{path} is a Zarr group but not a probekit store.")
        try:
            if attributes["format"] > FORMAT:
                raise StoreError(
                    f"{path} is newer than this probekit (store format {attributes['format']}, this one reads up to "
                    f"{FORMAT}): update probekit."
                )
            settings = StoreSettings.from_json(attributes["settings"])
            facts, intact = attributes["facts"], settings.address == attributes["address"]
        except (KeyError, TypeError):
            intact = False
        if not intact:
            raise StoreCorruptError(
                f"{path / 'zarr.json'} is damaged (its settings do not give its address): extract again."
            )
        return cls(path, settings, facts)

    @classmethod
    def create(cls, cache: AnyPath, settings: StoreSettings, facts: Mapping[str, Any]) -> "Store":
        """The store for these settings in a cache folder, opened if it is there and made if not.

        Raises:
            StoreError: the cache folder cannot be written.
        """
        path = cache / settings.folder_name
        restore(path)
        if not begun(path):
            attributes = {
                "format": FORMAT,
                "address": settings.address,
                "settings": settings.to_json(),
                "facts": {
                    **facts,
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                    "versions": dict(versions()),
                },
            }
            begin(path, {"probekit": attributes})
        return cls.open(path)

    @property
    def taps(self) -> dict[str, tuple[int, ...]]:
        """Tap → shape of one row, of the taps with at least one row."""
        return self._snapshot.taps

    @property
    def rows(self) -> int:
        """Number of rows, done or failed, in the arrays and in parts."""
        return self._snapshot.rows

    @property
    def writers(self) -> list[Mapping[str, str]]:
        """Library → version of everybody who wrote into the store, as far as it is recorded: its creator comes first.

        Raises:
            StoreCorruptError: the record of one is damaged.
        """
        created = self.facts.get("versions")
        return [*([created] if created else []), *added_writers(self.path)]

    def admit(self, libraries: Sequence[str], *, mixed: bool) -> str:
        """Nothing, if what this process computes belongs beside what the store has; else what is different: `admit`."""
        return admit(self.path, self.writers, libraries, mixed=mixed)

    @property
    def stocked(self) -> bool:
        """Whether there is any row; far quicker than to count them."""
        return self._snapshot.stocked

    def look_up(self, keys: Keys, crops: Int[np.ndarray, " n"], taps: Sequence[str]) -> UInt8[np.ndarray, "n t"]:
        """Status of these rows in these taps: ABSENT, DONE or FAILED."""
        return self._snapshot.look_up(keys, crops, taps)

    def places(self, keys: Keys, crops: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
        """Where these rows stand in the arrays, -1 for what is not folded: who reads in this order reads quickest."""
        return self._snapshot.index.find(keys, crops)

    def read(self, keys: Keys, crops: Int[np.ndarray, " n"], tap: str) -> Float[np.ndarray, "n ..."]:
        """Features of these rows as float32; all must be DONE in this tap, as `look_up` tells.

        Raises:
            StoreCorruptError: a checksum does not match.
        """
        for attempt in range(1, TRIES + 1):
            snapshot = self._snapshot
            seal = Seal.read(self.path)
            try:
                features = snapshot.read(keys, crops, tap)
                if snapshot.generation == self._generation():
                    return features
            except FileNotFoundError:
                pass  # a part was folded since the view was taken
            except StoreError:
                rewritten = (seal and seal.folding) or seal != Seal.read(self.path)
                if not (rewritten or snapshot.generation != self._generation()) or attempt == TRIES:
                    raise  # otherwise perhaps a shard was written anew between two looks at it
            self.refresh()
        raise self._restless()

    def reasons(self) -> dict[bytes, str]:
        """Key → why that image could not be read, of the rows that are still FAILED in some tap."""
        found: dict[str, str] = {}
        for file in reason_files(self.path):
            with contextlib.suppress(FileNotFoundError):  # pruned a moment ago: its reasons are in another file
                found |= read_reasons(file)
        for part, _ in self._snapshot.parts:
            found |= part.reasons
        if not found:
            return {}
        keys = np.stack([np.frombuffer(bytes.fromhex(key), np.uint8) for key in found])
        status = self.look_up(keys, np.zeros(len(keys), np.int16), list(self.taps))  # a failure has all its crops
        failed = (status == FAILED).any(axis=1)
        return {key.tobytes(): reason for key, reason, fails in zip(keys, found.values(), failed, strict=True) if fails}

    def commit(self, rows: Rows, names: Sequence[str]) -> None:
        """Make these rows safe: once this returns, no kill loses them.

        Args:
            rows: newly computed rows.
            names: what to call each row in an error, its path.

        Raises:
            FeatureOverflowError: a feature is not finite or does not fit the number format; nothing is committed.
            StoreError: the disk is full or not writable; nothing is committed.
        """
        write_part(self.path / "journal" / "parts", packed(rows, names, self.settings))

    def fold(self, at_least: int = 1) -> bool:
        """Move all parts into the arrays, if there are enough of them; False when another process is at it.

        Raises:
            StoreError: the arrays cannot be written; no row is lost, the parts stay.
        """
        if len(self._part_paths()) < at_least and (seal := Seal.read(self.path)) and not seal.folding:
            return True
        with exclusive(self.path / CLAIMS / LOCK) as alone:
            if alone:
                try:
                    self._fold(alone)
                finally:
                    self.refresh()
        return alone is not None

    def identities(self) -> tuple[Keys, Int[np.ndarray, " n"]]:
        """Key and crop of every row, done or failed, each once: those in the arrays first, in their order."""
        return self._snapshot.identities()

    def surplus(self, keep: Keys) -> Surplus:
        """What there is too much of, if only the rows of these keys are to be kept, all crops of each."""
        return surplus(self._snapshot, self.claims, keep)

    def prune(self, surplus: Surplus, on_rows: Callable[[int, int], None] | None = None) -> Pruned:
        """Remove the rows that were found too many, spare rows, and what dead processes left behind.

        Rows that were committed after `surplus` had looked stay.

        A kill at any moment leaves the old store or the new one, either of them whole.

        Args:
            surplus: what `surplus` has found.
            on_rows: called with rows written and rows in all, those of each tap counted.

        Raises:
            StoreError: another process works in the store, or it cannot be written; nothing was removed.
            StoreCorruptError: a row that stays is damaged; nothing was removed.
        """
        try:
            return prune(self.path, self.claims, surplus, self._fold, on_rows)
        finally:
            self.refresh()

    def verify(self) -> Iterator[str]:
        """One line for each damaged or missing place: arrays and their metadata, parts, reasons.

        A fold that was killed or is under way is no damage.
        """
        yield from self._verify_seal()
        try:
            yield from ZarrArrays(self.path).verify()
        except StoreError as error:
            yield str(error)
        for paths, read in ((self._part_paths(), read_part), (reason_files(self.path), read_reasons)):
            for path in paths:
                try:
                    read(path)
                except FileNotFoundError:
                    continue  # folded just now
                except StoreCorruptError as error:
                    yield str(error)
        try:
            added_writers(self.path)
        except StoreCorruptError as error:
            yield str(error)

    def update(self) -> None:
        """See what other processes have committed since; cheap enough to call before every unit of work."""
        known = {part.path for part, _ in self._snapshot.parts}
        paths = set(self._part_paths())
        if known - paths or self._snapshot.seal != Seal.read(self.path):  # rows have moved into the arrays
            self.refresh()
            return
        try:
            for path in sorted(paths - known):
                self._snapshot.add(scan_part(path))
        except FileNotFoundError:
            self.refresh()

    def refresh(self) -> None:
        """Forget the view of the rows; the next look-up takes a new one."""
        self.__dict__.pop("_snapshot", None)

    def _fold(self, alone: StillAlone) -> None:
        """Move the parts into the arrays, as the only process that does."""
        paths = self._part_paths()
        folding = Folding(self.path, alone, self._seen)
        for batch in _portions(paths):
            for part in merge([read_part(path) for path in batch]):
                write_reasons(self.path, part.reasons)
                folding.add(part)
            folding.sync()
            alone()
            with writable(self.path / "journal" / "parts"):
                for path in batch:
                    path.unlink(missing_ok=True)
        self._seen = folding.finish()

    def _verify_seal(self) -> Iterator[str]:
        try:
            for _ in range(TRIES):
                seal = Seal.read(self.path)
                if seal is None:
                    yield f"{self.path / SEAL} is missing: whether rows or metadata are lost cannot be told."
                    return
                broken = seal.broken(self.path)
                if seal == Seal.read(self.path):
                    break  # otherwise a fold began or ended meanwhile
            yield from (f"{file} is not as it was written." for file in broken)
            self._view(ZarrArrays(self.path), seal)
        except StoreError as error:
            yield str(error)

    def _part_paths(self) -> list[AnyPath]:
        return sorted((self.path / "journal" / "parts").glob(f"[!.]*{SUFFIX}"))

    @cached_property
    def _snapshot(self) -> Snapshot:
        """The rows as of now. What a fold moves is read first where it comes from, so that none is missed."""
        for _ in range(TRIES):
            restore(self.path)
            seal = Seal.read(self.path)
            try:
                parts = [scan_part(path) for path in self._part_paths()]
                arrays = ZarrArrays(self.path)
                seen = self._view(arrays, seal, self._seen)
            except FileNotFoundError:
                continue  # folded by another process between listing and reading
            except StoreError:
                if self.path.exists() and seal == Seal.read(self.path):
                    raise
                continue  # rows moved meanwhile
            columns = {tap: column for column, tap in enumerate(seen.taps)}
            snapshot = Snapshot(arrays, seen.index, seen.status, columns, seal)
            if snapshot.generation != self._generation():
                continue
            self._seen = seen
            for part in parts:
                snapshot.add(part)
            return snapshot
        raise self._restless()

    def _generation(self) -> str:
        seal = Seal.read(self.path)
        return seal.generation if seal else ""

    def _view(self, arrays: ZarrArrays, seal: Seal | None, before: SeenRows | None = None) -> SeenRows:
        """The rows of the arrays, at least those of a seal that was read before.

        Raises:
            StoreCorruptError: there are fewer.
        """
        seen = SeenRows.of(arrays, seal, before)
        rows = {tap: int(np.count_nonzero(seen.status[:, column])) for column, tap in enumerate(seen.taps)}
        if seal and (missing := seal.missing(rows)):
            raise StoreCorruptError(
                f"{self.path} has lost rows (of {', '.join(missing)}): remove the store and extract again."
            )
        return seen

    def _restless(self) -> StoreError:
        return StoreError(f"{self.path} is being folded by other processes without end: try again.")


def _portions(paths: Sequence[AnyPath]) -> Iterator[list[AnyPath]]:
    """The parts to fold at a time: at most `FOLD_PARTS`, and `FOLD_BYTES` where there are several."""
    portion: list[AnyPath] = []
    size = 0
    for path in paths:
        part = path.stat().st_size
        if portion and (len(portion) == FOLD_PARTS or size + part > FOLD_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(path)
        size += part
    if portion:
        yield portion
