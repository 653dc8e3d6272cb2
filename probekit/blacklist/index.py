"""The index of a blacklist: a memory of work that was done, made again whenever it does not fit.

    index/ENGINE.json        which segments it knows, and where their rows begin among its ids
    index/ENGINE-TAG.faiss   the structure, in FAISS's format

Ids are never used twice: a segment gets those that follow all earlier ones. What was registered later is added, what
was removed is taken out; an engine that cannot forget, or an index of which much is gone, is built anew. The segments
are the truth: deleting `index/` costs time and nothing else.
"""

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from probekit.arrays import Features, Int
from probekit.blacklist.opened import Blacklist
from probekit.blacklist.search import Exhaustive, Indexed
from probekit.errors import BlacklistError, StoreError, UsageError
from probekit.files import whole
from probekit.neighbours import ENGINES, Index, choose_engine
from probekit.registry import unknown_name
from probekit.store.locks import exclusive

FOLDER = "index"
CHOICES = ("auto", *ENGINES)
FORMAT = 1
GROWN = 1.5  # times what it learnt from: cells are learnt anew beyond that
FORGETFUL = ("flat", "ivf", "ivfpq")
"""Engines that can take rows out."""


@dataclass(frozen=True)
class Known:
    """What an index on the disk holds."""

    file: str
    bytes: int
    starts: Mapping[str, int]
    """Segment → id of its first row."""
    rows: Mapping[str, int]
    """Segment → its rows."""
    gone: Mapping[str, int]
    """Segment → how many of its rows were not registered any more."""
    following: int
    """The next id."""
    built: int
    """Rows that it was built from."""
    recall: float | None
    """Share of the 10 nearest that it found of a sample, when it was built."""


@dataclass(frozen=True, eq=False)
class Searcher:
    """What searches a blacklist, and what is to be said of it."""

    engine: str
    recall: float | None
    search: Exhaustive | Indexed
    notes: tuple[str, ...] = ()


def open_searcher(blacklist: Blacklist, choice: str = "auto") -> Searcher:
    """What searches the blacklist; an index is read, brought up to date or built, and kept for the next time.

    Args:
        blacklist: what is searched.
        choice: `auto`, or an engine: `flat` compares with every example.

    Raises:
        UnknownNameError: there is no such engine.
        UsageError: too few examples for an engine that learns from them.
        BlacklistError: the index cannot be written.
    """
    if choice not in CHOICES:
        raise unknown_name("--index", choice, CHOICES)
    engine = choose_engine(len(blacklist), blacklist.record.width) if choice == "auto" else choice
    if engine == "flat":
        return Searcher("flat", None, Exhaustive(blacklist))
    folder = blacklist.path / FOLDER
    known = _read_known(folder, engine)
    index, notes = None, []
    if known is not None and _fits(known, blacklist, engine):
        current = _current(known, blacklist)
        try:
            index = Index.read(folder / known.file, mapped=current and engine in ("ivf", "ivfpq"))
        except StoreError as error:
            notes.append(f"the index was damaged and is built anew ({error})")
        else:
            if not current:
                known = _updated(index, known, blacklist)
                _keep(folder, engine, index, known)
    if index is None or known is None:
        index, known = _built(blacklist, engine)
        known = _keep(folder, engine, index, known)
    return Searcher(engine, known.recall, Indexed(blacklist, index, _places(known, blacklist)), tuple(notes))


def _built(blacklist: Blacklist, engine: str) -> tuple[Index, Known]:
    ids = np.flatnonzero(blacklist.alive)
    if not len(ids):
        raise UsageError(f"blacklist {blacklist.record.name} has no examples yet: register some.")
    index = Index.build(_Alive(blacklist), ids, engine)
    names = {opened.segment.name: len(opened) for opened in blacklist.segments}
    starts = dict(zip(names, np.cumsum([0, *names.values()]).tolist(), strict=False))
    known = Known("", 0, starts, names, _gone(blacklist), len(blacklist.alive), len(ids), index.recall)
    return index, known


@dataclass(frozen=True, eq=False)
class _Alive(Iterable[Features]):
    """Blocks of registered vectors, as often as they are asked for."""

    blacklist: Blacklist

    def __iter__(self) -> Iterator[Features]:
        for opened in self.blacklist.segments:
            yield from (block for block in opened.blocks() if len(block))


def _fits(known: Known, blacklist: Blacklist, engine: str) -> bool:
    """Whether the index is worth being brought up to date."""
    present = {opened.segment.name for opened in blacklist.segments}
    if engine not in FORGETFUL and (set(known.starts) - present or _more_gone(known, blacklist)):
        return False
    return 1 / GROWN <= len(blacklist) / max(1, known.built) <= GROWN


def _current(known: Known, blacklist: Blacklist) -> bool:
    present = [opened.segment.name for opened in blacklist.segments]
    return set(present) == set(known.starts) and not _more_gone(known, blacklist)


def _more_gone(known: Known, blacklist: Blacklist) -> bool:
    return any(count > known.gone.get(name, count) for name, count in _gone(blacklist).items())


def _gone(blacklist: Blacklist) -> dict[str, int]:
    return {opened.segment.name: opened.segment.removed for opened in blacklist.segments}


def _updated(index: Index, known: Known, blacklist: Blacklist) -> Known:
    """What the index knows once it has what is new and lost what is gone."""
    present = {opened.segment.name: opened for opened in blacklist.segments}
    for name, start in known.starts.items() if index.engine in FORGETFUL else ():  # of others, nothing more is gone
        alive = present[name].alive if name in present else np.zeros(known.rows[name], bool)
        if len(dead := np.flatnonzero(~alive)):
            index.remove(start + dead)
    starts = {name: start for name, start in known.starts.items() if name in present}
    following = known.following
    for name, opened in present.items():
        if name in starts:
            continue
        starts[name] = following
        ids, at = following + np.flatnonzero(opened.alive), 0
        for block in opened.blocks():
            index.add(block, ids[at : at + len(block)])
            at += len(block)
        following += len(opened)
    rows = {name: len(opened) for name, opened in present.items()}
    return Known(known.file, known.bytes, starts, rows, _gone(blacklist), following, known.built, known.recall)


def _places(known: Known, blacklist: Blacklist) -> Int[np.ndarray, " n"]:
    places = np.full(known.following, -1, np.int64)
    row = 0
    for opened in blacklist.segments:
        start = known.starts[opened.segment.name]
        own = np.arange(row, row + len(opened))
        places[start : start + len(opened)] = np.where(opened.alive, own, -1)
        row += len(opened)
    return places


def _read_known(folder: Path, engine: str) -> Known | None:
    try:
        fields: dict[str, Any] = json.loads((folder / f"{engine}.json").read_text(encoding="utf-8"))
        if fields.pop("format") != FORMAT:
            return None
        known = Known(**fields)
        return known if (folder / known.file).stat().st_size == known.bytes else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # it is made again, which costs time only
        return None


def _keep(folder: Path, engine: str, index: Index, known: Known) -> Known:
    """Write the index, unless another process is writing one."""
    try:
        folder.mkdir(exist_ok=True)
        with exclusive(folder / "lock") as alone:
            if not alone:
                return known
            file = folder / f"{engine}-{uuid.uuid4().hex[:8]}.faiss"
            index.write(file)
            written = {**vars(known), "file": file.name, "bytes": file.stat().st_size}
            with whole(folder / f"{engine}.json") as draft:
                draft.write_text(json.dumps({"format": FORMAT, **written}), encoding="utf-8")
            for other in (*folder.glob(f"{engine}-*.faiss"), *folder.glob(f".{engine}*")):
                if other != file:
                    other.unlink(missing_ok=True)
            return Known(**written)
    except OSError as error:
        raise BlacklistError(
            f"{folder} cannot be written ({error.strerror or error}): make room, or search with --index flat."
        ) from error
