"""Changes of a blacklist: made by one process at a time, in one step each.

A change holds the blacklist's lock, writes what is new into files of their own, and then puts another record in the
place of the old one. Killed before that step it has changed nothing; files that no record names are deleted by the next
change. Nothing is computed and no image is read while the lock is held.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Int, Mask
from probekit.blacklist.images import ImageSet
from probekit.blacklist.needs import require_same
from probekit.blacklist.opened import SHORT, Blacklist
from probekit.blacklist.record import FILE, Calibration, Record, Segment, read_record, write_record
from probekit.blacklist.segments import FOLDER, OpenSegment, Rows, joined, open_segment, with_removed, write_segment
from probekit.errors import BlacklistError, UsageError
from probekit.heads.saved import Block
from probekit.manifest import REAL
from probekit.store.locks import exclusive
from probekit.store.rows import RowIndex

LOCK = "lock"
PATIENCE = 30.0  # seconds that a change waits for another to end
PAUSE = 0.02  # seconds between two looks
UNKNOWN = "unknown"
"""What an image is called that is like none of the examples."""
SMALL = 32 << 20  # bytes of vectors: segments below that are joined when there are many
MOST_SMALL = 16  # of them, one after another
LONGEST = 200  # characters of a generator's name


@dataclass(frozen=True)
class Registered:
    """What a registration did."""

    generator: str
    added: int
    present: int
    """Images that were registered for this generator before, or came twice."""
    examples: int
    """Of the generator now."""
    version: int


@dataclass(frozen=True)
class Unregistered:
    """What was taken off the blacklist."""

    removed: Mapping[str, int]
    """Generator → examples."""
    version: int


def create(path: Path, blocks: Sequence[Block]) -> Blacklist:
    """A new, empty blacklist in this folder, for these features.

    Raises:
        UsageError: the folder's name is none for a blacklist.
        BlacklistError: there is one already, or the folder cannot be written.
    """
    require_name(path.name)
    with _writable(path):
        path.mkdir(parents=True, exist_ok=True)
    with alone(path):
        if (path / FILE).exists():
            raise BlacklistError(f"{path} exists already: choose another name, or register into it.")
        write_record(path, Record(path.name, tuple(blocks), created=now()))
    return Blacklist.open(path)


def require_name(name: str) -> None:
    """Nothing, if a blacklist may be called that.

    Raises:
        UsageError: it may not.
    """
    if not re.fullmatch(r"[\w][\w.+-]*", name):
        raise UsageError(f"{name!r} cannot name a blacklist: use letters, digits, - and _, as in generators-2026.")


def require_generator(name: str) -> None:
    """Nothing, if examples may be registered under that name.

    Raises:
        UsageError: they may not.
    """
    taken = name.casefold() in (REAL, UNKNOWN)
    if taken or not name or name != name.strip() or not name.isprintable() or len(name) > LONGEST:
        shown = f"{name[:LONGEST]!r} …" if len(name) > LONGEST else repr(name)
        raise UsageError(
            f"generator {shown} cannot be registered: give the name of what made the images, without spaces around it "
            f"and of at most {LONGEST} characters; {REAL} and {UNKNOWN} are taken."
        )


def register(path: Path, generator: str, images: ImageSet, *, patience: float = PATIENCE) -> Registered:
    """Add images as examples of a generator; those that are registered for it already stay as they are.

    Args:
        path: of the blacklist.
        generator: what made them.
        images: with their features; `failed` ones are nobody's business here.
        patience: seconds to wait while another process changes the blacklist.

    Raises:
        UsageError: the name may not be registered, or an image is registered for another generator.
        BlacklistError: the features are others than the blacklist's, or it is busy, damaged or cannot be written.
    """
    require_generator(generator)
    if not np.isfinite(images.features).all():
        raise UsageError(f"{images.source}: features are not finite, and nothing can be compared with them.")
    with alone(path, patience):
        current = Blacklist.open(path)
        record = current.record
        require_same(record.blocks, images.blocks, record.name)
        new = images.take(_new_rows(current, generator, images))
        if len(new):
            segment = write_segment(path / FOLDER, _rows(generator, new))
            segments = _joined_small(path, record, (*record.segments, segment))
            count = record.generators.get(generator, 0) + len(new)
            generators = {**record.generators, generator: count}
            added = record.added + len(new)
            record = _commit(path, replace(record, segments=segments, generators=generators, added=added))
    return Registered(generator, len(new), len(images) - len(new), record.generators.get(generator, 0), record.version)


def unregister(
    path: Path, generator: str | None = None, ids: Sequence[str] = (), *, patience: float = PATIENCE
) -> Unregistered:
    """Take all examples of a generator off the blacklist, or single ones; nothing else is renumbered or computed.

    Args:
        path: of the blacklist.
        generator: whose examples.
        ids: of single examples, or their beginnings.
        patience: seconds to wait while another process changes the blacklist.

    Raises:
        UsageError: nothing is named, or an id fits no example or several.
        UnknownNameError: no such generator.
        BlacklistError: the blacklist is busy, damaged or cannot be written.
    """
    if (generator is None) == (not ids):
        raise UsageError("name one generator, or single examples with --id.")
    with alone(path, patience):
        current = Blacklist.open(path)
        rows = current.rows_of(generator) if generator is not None else current.find(ids)
        gone = np.zeros(len(current.alive), bool)
        gone[rows] = True
        names, counts = np.unique(current.generators[rows].astype(str), return_counts=True)
        removed = dict(zip(names.tolist(), counts.tolist(), strict=True))
        left = {name: count - removed.get(name, 0) for name, count in current.record.generators.items()}
        record = _commit(
            path,
            replace(
                current.record,
                segments=tuple(_without(path, current.segments, gone)),
                generators={name: count for name, count in left.items() if count},
                removed=current.record.removed + len(rows),
            ),
        )
    return Unregistered(removed, record.version)


def keep_threshold(path: Path, calibration: Calibration, *, patience: float = PATIENCE) -> Record:
    """The record with this threshold, in place of an earlier one for the same FPIR.

    Raises:
        BlacklistError: the blacklist is busy, damaged or cannot be written.
    """
    with alone(path, patience):
        record = read_record(path)
        others = [each for each in record.calibrations if each.fpir != calibration.fpir]
        return _commit(path, replace(record, calibrations=(*others, calibration)))


@contextlib.contextmanager
def alone(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Inside, no other process changes the blacklist.

    Raises:
        BlacklistError: another one does so for longer than `patience` seconds, or the folder cannot be written.
    """
    if not path.is_dir():
        raise BlacklistError(f"there is no blacklist {path}: make it with `probekit blacklist create`.")
    give_up = time.monotonic() + patience
    while True:
        with _writable(path), exclusive(path / LOCK) as inside:
            if inside:
                yield
                return
        if time.monotonic() >= give_up:
            raise BlacklistError(f"{path} is being changed by another process: wait until that has ended.")
        time.sleep(PAUSE)


def now() -> str:
    """The time as records have it: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _commit(path: Path, record: Record) -> Record:
    """The next version in force, and what it no longer needs deleted."""
    record = replace(record, version=record.version + 1)
    write_record(path, record)
    needed = {name for segment in record.segments for name in segment.files}
    for file in (path / FOLDER).glob("*"):
        if file.name not in needed:
            file.unlink(missing_ok=True)
    for draft in path.glob(f".{Path(FILE).stem}.*"):  # of a process that was killed
        draft.unlink(missing_ok=True)
    return record


def _new_rows(current: Blacklist, generator: str, images: ImageSet) -> Int[np.ndarray, " n"]:
    """Images that are not registered yet, each content once, the first of them."""
    nothing = np.zeros(len(images), np.int16)
    first = RowIndex(images.keys, nothing).find(images.keys, nothing) == np.arange(len(images))
    alive = np.flatnonzero(current.alive)
    found = RowIndex(current.keys[alive], np.zeros(len(alive), np.int16)).find(images.keys, nothing)
    there = found >= 0
    owner = np.full(len(images), generator, object)
    if there.any():
        owner[there] = current.generators[alive[found[there]]]
    if (foreign := np.flatnonzero(owner != generator)).size:
        row = int(foreign[0])
        raise UsageError(
            f"{images.samples['path'].iloc[row]} is registered as an example of {owner[row]} "
            f"({images.keys[row].tobytes().hex()[:SHORT]}), so it cannot be one of {generator} ({len(foreign)} such "
            "images): unregister it there, or leave it out. Nothing was registered."
        )
    return np.flatnonzero(first & ~there)


def _rows(generator: str, images: ImageSet) -> Rows:
    table = pd.DataFrame(
        {
            "generator": generator,
            "path": images.samples["path"],
            "manifest": images.manifest,
            "manifest_sha256": images.manifest_sha256,
            "group": images.samples["group"],
            "added": now(),
        }
    )
    return Rows(images.keys, [images.vectors], table)


def _without(path: Path, segments: Sequence[OpenSegment], gone: Mask) -> Iterator[Segment]:
    """The segments without these rows; one that is mostly removed is written anew."""
    start = 0
    for opened in segments:
        own = gone[start : start + len(opened)]
        start += len(opened)
        left = int(np.count_nonzero(opened.alive & ~own))
        if not own.any():
            yield opened.segment
        elif left and 2 * left >= len(opened):
            yield with_removed(path / FOLDER, opened, own)
        elif left:
            yield write_segment(path / FOLDER, joined([replace(opened, alive=opened.alive & ~own)]))


def _joined_small(path: Path, record: Record, segments: Sequence[Segment]) -> tuple[Segment, ...]:
    """The segments, with those at the end joined into one when many of them are small; order is kept."""
    large = [number for number, segment in enumerate(segments) if 4 * segment.rows * record.width >= SMALL]
    cut = large[-1] + 1 if large else 0
    if len(segments) - cut < MOST_SMALL:
        return tuple(segments)
    small = [open_segment(path / FOLDER, segment, record.width) for segment in segments[cut:]]
    return (*segments[:cut], write_segment(path / FOLDER, joined(small)))


@contextlib.contextmanager
def _writable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BlacklistError(
            f"{path} cannot be written ({error.strerror or error}): make room or choose another --blacklists; it is as "
            "it was."
        ) from error
