"""A blacklist as one file, without pickles: a ZIP archive that is stored, not compressed.

    blacklist.json      the record, sealed: features, thresholds with the data that set them, and of each other member
                        its SHA-256
    vectors.npy         (n, d) float32, of length 1
    keys.npy            (n, 32) uint8, the ids
    examples.parquet    generator, path, manifest, manifest_sha256, group, added

Only registered examples travel, in their order. An import checks every byte before the blacklist gets its name.
"""

import contextlib
import hashlib
import shutil
import time
import uuid
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import IO

from probekit.blacklist.changes import require_name
from probekit.blacklist.opened import Blacklist
from probekit.blacklist.record import FILE, Record, Segment, parse_record, spell_record, write_record
from probekit.blacklist.segments import FOLDER, Hashed, joined, open_segment, write_keys, write_table, write_vectors
from probekit.blacklist.soundness import find_problem
from probekit.errors import BlacklistError
from probekit.files import sync_folder, sync_tree, whole

DRAFT = ".import."
MEMBERS = {"vectors.npy": write_vectors, "keys.npy": write_keys, "examples.parquet": write_table}
AT_ONCE = 1 << 22  # bytes that are copied at once
HEADER = 4096  # bytes at most before the rows of an array
STALE = 24 * 3600  # seconds after which an import that was killed is cleared away
RECORD_BYTES = 64 << 20  # more is no record
CREATED = (1980, 1, 1, 0, 0, 0)  # of every member: equal blacklists give equal files


def export_file(blacklist: Blacklist, to: Path, *, overwrite: bool = False) -> Path:
    """Write the blacklist into one file, whole or not at all, once every byte of it was found to be as it was written.

    Raises:
        BlacklistError: there is such a file already, it cannot be written, or the blacklist is damaged.
    """
    if to.exists() and not overwrite:
        raise BlacklistError(f"{to} exists already: choose another name, or replace it with --force.")
    try:
        with whole(to) as draft, zipfile.ZipFile(draft, "w", zipfile.ZIP_STORED) as archive:
            files = _write_members(archive, blacklist) if len(blacklist) else {}
            segments = (Segment("exported", len(blacklist), 0, files),) if files else ()
            record = replace(blacklist.record, segments=segments)
            archive.writestr(zipfile.ZipInfo(FILE, CREATED), spell_record(record))
    except OSError as error:
        raise BlacklistError(f"{to} cannot be written ({error.strerror or error}): choose another place.") from error
    return to


def import_file(file: Path, folder: Path, name: str | None = None) -> Blacklist:
    """The blacklist of a file, in a folder of its own that does not exist yet.

    Args:
        file: what `export_file` wrote.
        folder: of blacklists.
        name: of the new one; as it was called, unless given.

    Raises:
        UsageError: the name is none for a blacklist.
        BlacklistError: the file is no blacklist, damaged or changed, or there is a blacklist of that name.
    """
    draft = folder / f"{DRAFT}{uuid.uuid4().hex[:8]}"
    path = folder / file.stem
    try:
        with _opened(file) as archive:
            record = _read_record(archive, file)
            called = name or record.name
            require_name(called)
            path = folder / called
            if path.exists():
                raise BlacklistError(f"{path} exists already: choose another name with --name.")
            _clear_stale(folder)
            (draft / FOLDER).mkdir(parents=True)
            segments = tuple(_unpack(archive, file, draft, segment, record) for segment in record.segments)
            write_record(draft, replace(record, name=called, segments=segments, version=1))
            sync_tree(draft)
        draft.rename(path)  # onto a name that has appeared meanwhile it fails, unless that is an empty folder
        sync_folder(path.parent)
    except OSError as error:
        raise BlacklistError(f"{path} cannot be written ({error.strerror or error}): nothing was imported.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return Blacklist.open(path)


def _write_members(archive: zipfile.ZipFile, blacklist: Blacklist) -> dict[str, str]:
    rows = joined(blacklist.segments)
    files = {}
    for name, write in MEMBERS.items():
        with archive.open(zipfile.ZipInfo(name, CREATED), "w", force_zip64=True) as member:
            hashed = Hashed(member)
            write(hashed, rows)
        files[name] = hashed.sha256.hexdigest()
    return files


@contextlib.contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        archive = zipfile.ZipFile(file)
    except FileNotFoundError:
        raise BlacklistError(f"{file}: there is no such file.") from None
    except (OSError, zipfile.BadZipFile) as error:
        raise BlacklistError(f"{file}: not an exported blacklist, or cut short ({error}).") from error
    with archive:
        try:
            yield archive
        except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError) as error:  # a bad CRC, a password …
            raise BlacklistError(f"{file}: damaged ({error}): export it again. Nothing was imported.") from error


def _read_record(archive: zipfile.ZipFile, file: Path) -> Record:
    """The record, once the archive has the members that it names and no other."""
    names = archive.namelist()
    if FILE not in names or archive.getinfo(FILE).file_size > RECORD_BYTES:
        raise BlacklistError(f"{file}: not an exported blacklist (it holds no {FILE}).")
    record = parse_record(archive.read(FILE), f"{file}: {FILE}")
    expected = [FILE, *(name for segment in record.segments for name in segment.files)]
    fitting = len(record.segments) < 2 and all(set(segment.files) == set(MEMBERS) for segment in record.segments)
    if sorted(names) != sorted(expected) or not fitting:
        raise BlacklistError(f"{file}: holds {', '.join(sorted(names))}, expected {', '.join(sorted(expected))}.")
    rows = sum(segment.rows for segment in record.segments)
    for member, size in {"vectors.npy": 4 * rows * record.width, "keys.npy": 32 * rows}.items():
        if member in names and not size < archive.getinfo(member).file_size <= size + HEADER:
            raise BlacklistError(f"{file}: {member} has not the size of {rows:,} examples. Nothing was imported.")
    if any(archive.getinfo(member).compress_type != zipfile.ZIP_STORED for member in names):
        raise BlacklistError(f"{file}: its members are compressed, and no export is. Nothing was imported.")
    return record


def _unpack(archive: zipfile.ZipFile, file: Path, draft: Path, segment: Segment, record: Record) -> Segment:
    """The members as files of a segment of this blacklist, each compared with its SHA-256 while it is copied."""
    name = uuid.uuid4().hex[:12]
    for member, digest in segment.files.items():
        with archive.open(member) as packed, (draft / FOLDER / f"{name}-{member}").open("wb") as unpacked:
            if _copy(packed, unpacked) != digest:
                raise BlacklistError(
                    f"{file}: {member} is not what was exported (its SHA-256 differs): export it again. Nothing was "
                    "imported."
                )
    files = {f"{name}-{member}": digest for member, digest in segment.files.items()}
    unpacked_segment = Segment(name, segment.rows, 0, files)
    try:
        problem = find_problem(open_segment(draft / FOLDER, unpacked_segment, record.width), record)
    except BlacklistError as error:
        raise BlacklistError(f"{file}: an array or table in it is malformed. Nothing was imported.") from error
    if problem:
        raise BlacklistError(f"{file}: {problem}. Nothing was imported.")
    return unpacked_segment


def _copy(packed: IO[bytes], unpacked: IO[bytes]) -> str:
    digest = hashlib.sha256()
    while data := packed.read(AT_ONCE):
        digest.update(data)
        unpacked.write(data)
    return digest.hexdigest()


def _clear_stale(folder: Path) -> None:
    """Remove what imports left behind that were killed."""
    for draft in folder.glob(f"{DRAFT}*"):
        if time.time() - draft.stat().st_mtime > STALE:
            shutil.rmtree(draft, ignore_errors=True)
