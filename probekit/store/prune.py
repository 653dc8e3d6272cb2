"""Pruning: removing rows. The one thing that is not done by adding.

Numbers of rows are what readers and folds go by, so no row is ever taken out of the arrays in place. A new store with
the rows that stay is built beside the old one, sealed as a new generation, synced, and put in the old one's place
(`swap.py`). Until then the old store is untouched; from then on the new one is complete.

    who                        sees or does
    an extraction at work      pruning refuses: its claims are alive
    one that begins meanwhile  gets no claim and waits, because the hold is looked for after every claim
    a fold                     finds the lock taken; one that opened the old store's lock file sees that it is old
    a reader                   old or new: what it read counts only if the generation is that of its row numbers
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np

from probekit.arrays import Int, Keys, Mask, UInt8
from probekit.errors import StoreError
from probekit.files import sync_tree
from probekit.paths import AnyPath
from probekit.store.claims import HOLD, Claims, alone_in
from probekit.store.files import writable
from probekit.store.fold import Folding
from probekit.store.locks import StillAlone
from probekit.store.parts import ABSENT, DONE, Part
from probekit.store.reasons import read_reasons, reason_files, write_reasons
from probekit.store.rows import RowIndex
from probekit.store.seal import Seal
from probekit.store.snapshot import Snapshot
from probekit.store.swap import discard, draft_of, drafts_of, exchange
from probekit.store.writers import add_writer, added_writers
from probekit.store.zarrays import SHARD_ROWS, ZarrArrays

BATCH_BYTES = 1 << 26  # of float32 features in memory at a time


@dataclass(frozen=True)
class Surplus:
    """What pruning would remove from a store."""

    rows: int
    """Rows that exist, each identity once."""
    dropped: int
    """Those whose key is not to be kept."""
    spare: int
    """Times that an identity was written once more in the same tap."""
    bytes: int
    """Size of the features that go, before compression and rounding up to whole chunks."""
    leftovers: tuple[AnyPath, ...]
    """Claims of dead processes, and drafts that they left beside the store."""
    keys: Keys = field(compare=False, repr=False)
    """Of the rows that would be dropped."""
    crops: Int[np.ndarray, " n"] = field(compare=False, repr=False)
    """Of the same rows."""

    def __bool__(self) -> bool:
        return bool(self.dropped or self.spare or self.leftovers)


@dataclass(frozen=True)
class Pruned:
    """What pruning did to a store."""

    kept: int
    dropped: int
    spare: int


def surplus(snapshot: Snapshot, claims: Claims, keep: Keys) -> Surplus:
    """What there is too much of, in the arrays and in parts; nothing is written."""
    path = snapshot.arrays.path
    keys, crops = snapshot.identities()
    goes = RowIndex(keep, np.zeros(len(keep), np.int16)).find(keys, np.zeros(len(keys), np.int16)) < 0
    spare = removed = 0
    for tap, shape in snapshot.taps.items():
        status = snapshot.look_up(keys, crops, [tap])[:, 0]
        stored = [snapshot.status[:, snapshot.columns[tap]] != ABSENT] if tap in snapshot.columns else []
        stored += [part.status != ABSENT for part, _ in snapshot.parts if tap in part.taps]
        spare += sum(int(np.count_nonzero(there)) for there in stored) - int(np.count_nonzero(status != ABSENT))
        removed += int(np.count_nonzero(goes & (status == DONE))) * int(np.prod(shape))
    leftovers = (*claims.dead(), *(drafts_of(path) if isinstance(path, Path) else ()))
    itemsize = np.dtype(snapshot.arrays.attributes["probekit"]["settings"]["dtype"]).itemsize
    dropped = int(np.count_nonzero(goes))
    return Surplus(len(keys), dropped, spare, removed * itemsize, leftovers, keys[goes], crops[goes])


def prune(
    path: AnyPath,
    claims: Claims,
    surplus: Surplus,
    fold: Callable[[StillAlone], None],
    on_rows: Callable[[int, int], None] | None = None,
) -> Pruned:
    """The store without the rows that are to be dropped, each identity once; what was committed later stays.

    Raises:
        StoreError: another process works in the store, or it cannot be written; nothing was removed.
        StoreCorruptError: a row that stays is damaged; nothing was removed.
    """
    if not isinstance(path, Path):
        raise StoreError(
            f"{path} is in a bucket, where no store can take another's place at once: nothing was removed. Copies that "
            "no manifest needs cost room alone; `probekit cache rm` removes the whole store."
        )
    with alone_in(path, claims) as alone:
        claims.bury_dead()
        for left in drafts_of(path):
            discard(left)
        fold(alone)
        return _rebuild(path, claims, surplus, alone, on_rows)


def _rebuild(
    path: Path, claims: Claims, surplus: Surplus, alone: StillAlone, on_rows: Callable[[int, int], None] | None
) -> Pruned:
    """Build the new store and swap it in, if any row goes."""
    arrays = ZarrArrays(path)
    keys, crops, status = arrays.rows()
    index = RowIndex(keys, crops)
    exists = status.any(axis=1)
    first = index.find(keys, crops) == np.arange(len(keys))
    stays = exists & (RowIndex(surplus.keys, surplus.crops).find(keys, crops) < 0)
    result = Pruned(
        kept=int(np.count_nonzero(stays & first)),
        dropped=int(np.count_nonzero(exists & first & ~stays)),
        spare=int(np.count_nonzero(exists & ~first)),
    )
    if (stays & first).all():
        return result
    _refuse_strangers(path, arrays.taps)
    draft = draft_of(path)
    try:
        _fill(draft, arrays, (keys, crops, status), stays, alone, partial(_tell, claims, on_rows))
        kept = {key.tobytes().hex() for key in keys[stays]}
        found = {key: reason for file in reason_files(path) for key, reason in read_reasons(file).items()}
        write_reasons(draft, {key: reason for key, reason in found.items() if key in kept})
        for versions in added_writers(path):
            add_writer(draft, versions)
        with writable(path.parent):
            sync_tree(draft)
        if not claims.holds():
            raise StoreError(
                f"{path} was taken by another process while it was pruned: nothing was removed; try again."
            )
        exchange(path, draft)
    finally:
        if draft.exists():
            discard(draft)
    return result


def _fill(
    draft: Path,
    old: ZarrArrays,
    rows: tuple[Keys, Int[np.ndarray, " n"], UInt8[np.ndarray, "n t"]],
    stays: Mask,
    alone: StillAlone,
    on_rows: Callable[[int, int], None],
) -> None:
    """A sealed store of a new generation with the rows that stay, in their order."""
    keys, crops, status = rows
    attributes = old.attributes
    dtype = attributes["probekit"]["settings"]["dtype"]
    ZarrArrays.create(draft, attributes)
    Seal.of(draft, {}, folding=False, generation=uuid4().hex).write(draft)
    folding = Folding(draft, alone)
    chosen = [_best_of(keys, crops, column, stays) for column in status.T]
    written, total = 0, sum(map(len, chosen))
    for column, (tap, tap_rows) in enumerate(zip(old.taps, chosen, strict=False)):  # a new tap may have no column yet
        shape = old.width(tap)
        for batch in _batches(tap_rows, shape):
            here = status[batch, column]
            values = np.full((len(batch), *shape), np.nan, dtype)
            if (here == DONE).any():
                values[here == DONE] = old.read(tap, batch[here == DONE])
            folding.add(Part(keys[batch], crops[batch], here, {tap: values}, {}))
            written += len(batch)
            on_rows(written, total)
    folding.sync()
    folding.finish()


def _best_of(
    keys: Keys, crops: Int[np.ndarray, " n"], status: UInt8[np.ndarray, " n"], stays: Mask
) -> Int[np.ndarray, " m"]:
    """Rows of one tap that stay, ascending, each identity once: one that is DONE where there is any."""
    rows = np.flatnonzero(stays & (status != ABSENT))
    rows = rows[np.argsort(status[rows] != DONE, kind="stable")]
    index = RowIndex(keys[rows], crops[rows])
    chosen: Int[np.ndarray, " m"] = np.sort(rows[np.unique(index.find(keys[rows], crops[rows]))])
    return chosen


def _batches(rows: Int[np.ndarray, " n"], shape: tuple[int, ...]) -> Iterator[Int[np.ndarray, " m"]]:
    """Rows in runs that fit the memory; as long as a shard for vectors, so that each shard is written once."""
    size = max(1, min(SHARD_ROWS, BATCH_BYTES // (4 * int(np.prod(shape)))))
    for begin in range(0, len(rows), size):
        yield rows[begin : begin + size]


def _tell(claims: Claims, on_rows: Callable[[int, int], None] | None, done: int, total: int) -> None:
    claims.show_life(HOLD)
    if on_rows:
        on_rows(done, total)


def _refuse_strangers(path: Path, taps: list[str]) -> None:
    """Nothing, unless somebody keeps files of their own in the store's folder, which would not be in the new one."""
    known = {"zarr.json", "journal", "key", "crop", "status", *taps}
    for found in sorted(path.iterdir()):
        if found.name not in known:
            raise StoreError(f"{found} is not part of the store: move it away, then run this again.")
