"""The plan of an extraction: which samples there are, what each model still lacks, and the units of work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Int, Keys, Mask, UInt8
from probekit.extract.target import Target
from probekit.fingerprint import hash_bytes
from probekit.keys import KeyIndex
from probekit.samples import Samples, known_keys
from probekit.store import ABSENT, DONE, FAILED

_BATCH = 1 << 20  # samples looked for in a store together


@dataclass(frozen=True)
class Unit:
    """Consecutive samples that one process claims together."""

    name: str
    rows: Int[np.ndarray, " n"]
    """Samples that at least one target still lacks."""
    targets: tuple[Target, ...]
    """The targets for which this process holds the claim."""
    lacks: Mask
    """(targets, n): which of its rows each target lacks, as far as their keys are known."""

    def targets_of(self, at: int) -> list[Target]:
        """The targets that lack the row at this place of `rows`."""
        return [target for target, lacks in zip(self.targets, self.lacks[:, at], strict=True) if lacks]


class Plan:
    """What is known of every sample's key, and through it what every store already has."""

    def __init__(
        self,
        samples: Samples,
        targets: Sequence[Target],
        index: KeyIndex,
        *,
        unit_size: int,
        retry_failed: bool,
        rehash: bool,
        shard: tuple[int, int] = (0, 1),
    ) -> None:
        """What the index and the stores know now.

        Args:
            samples: what is to be extracted.
            targets: into which stores.
            index: of keys.
            unit_size: samples that are claimed together.
            retry_failed: count failures as lacking, those of the shard: of several processes, one tries each again.
            rehash: believe nothing that the index remembers.
            shard: (i, n), the units i, i + n, i + 2n …
        """
        self.samples = samples
        self.targets = tuple(targets)
        self.device = targets[0].device
        self.unit_size = unit_size
        self._shard = shard
        self._again = np.zeros(len(samples), bool)
        if retry_failed:
            self._again[np.arange(len(samples)) // unit_size % shard[1] == shard[0]] = True
        self._rehash = rehash
        self._index = index
        found = known_keys(samples, index, ask=not rehash)
        self.known = np.zeros(len(samples), bool) if rehash else found.known.copy()
        """Samples whose key is known."""
        self.keys = found.keys
        self.unreadable: dict[int, str] = {}
        """Sample → why its bytes cannot be read, so that it has no key."""
        self._stocked = {target for target in self.targets if target.store.stocked}
        self._attempted = np.zeros(len(samples), bool)
        self._status = {target: np.full(len(samples), ABSENT, np.uint8) for target in self.targets}
        for target in self.targets:
            self._look(target, np.arange(len(samples)))

    @property
    def remote(self) -> bool:
        """Whether any sample is in a bucket."""
        return self.samples.remote

    def learn(self, row: int, key: bytes) -> None:
        """Take in the key of a sample that was just read."""
        self.keys[row] = np.frombuffer(key, np.uint8)
        self.known[row] = True

    def give_up(self, row: int, reason: str) -> None:
        """Note that the bytes of a sample cannot be read."""
        self.unreadable[row] = reason
        self.known[row] = False  # what is remembered of it is not what is there
        for status in self._status.values():
            status[row] = FAILED

    def has(self, target: Target, key: bytes) -> bool:
        """Whether a store is known to have an image, done or failed, of which only now the key is known."""
        if target not in self._stocked or self._again.any():
            return False
        keys = np.frombuffer(key, np.uint8)[None]
        return bool((target.store.look_up(keys, np.zeros(1, np.int16), target.taps) != ABSENT).all())

    def attempt(self, rows: Int[np.ndarray, " n"]) -> None:
        """Note that these samples were loaded: should they fail now, they are not tried once more."""
        self._attempted[rows] = True

    def lacking(self, target: Target, rows: Int[np.ndarray, " n"]) -> Mask:
        """Which of these samples the target still has to compute, by a fresh look into its store."""
        self._look(target, rows)
        return self._lacks(target, rows)

    def status(self, target: Target) -> UInt8[np.ndarray, " n"]:
        """DONE, FAILED or ABSENT for every sample as last looked at: DONE when all taps of the target are."""
        return self._status[target]

    def lacks_any(self, target: Target) -> bool:
        """Whether there is anything that the target still has to compute, as last looked at."""
        return bool(self._lacks(target, np.arange(len(self.samples))).any())

    def finished(self) -> int:
        """Samples that are done or failed in every target."""
        return int(np.count_nonzero(np.all([status != ABSENT for status in self._status.values()], axis=0)))

    def claim_units(self, everywhere: bool) -> Iterator[Unit]:
        """One pass over the samples: the units that lack something and that no other living process has claimed.

        Args:
            everywhere: not only in the shard.

        Whoever takes a unit must release it. A unit is looked at again after its claim, because another process may
        have finished it in between.
        """
        size = self.unit_size
        everything = np.arange(len(self.samples))
        lacking = np.any([self._lacks(target, everything) for target in self.targets], axis=0)
        numbers = np.unique(np.flatnonzero(lacking) // size)
        for start in (numbers if everywhere else numbers[numbers % self._shard[1] == self._shard[0]]) * size:
            unit = self._claim(np.arange(start, min(start + size, len(self.samples))))
            if unit:
                yield unit

    def unfinished(self) -> bool:
        """Whether any target still lacks a sample: then other processes are at it, or died at it.

        What they have read meanwhile is learnt, so that nobody reads it again.
        """
        everything = np.arange(len(self.samples))
        unknown = ~self.known & np.any([self._lacks(target, everything) for target in self.targets], axis=0)
        if unknown.any() and not self._rehash:
            found = known_keys(self.samples, self._index)
            learnt = unknown & found.known
            self.keys[learnt], self.known[learnt] = found.keys[learnt], True
        for target in self.targets:
            target.store.update()
            tried = self._attempted & (self._status[target] == FAILED)  # and perhaps done by now
            self._look(target, np.flatnonzero(self._lacks(target, everything) | tried))
        return any(self.lacks_any(target) for target in self.targets)

    def _lacks(self, target: Target, rows: Int[np.ndarray, " n"]) -> Mask:
        status = self._status[target][rows]
        lacks: Mask = (status == ABSENT) | ((status == FAILED) & self._again[rows] & ~self._attempted[rows])
        return lacks

    def _claim(self, rows: Int[np.ndarray, " n"]) -> Unit | None:
        """These samples as a unit of the targets that lack some of them and whose claim is free."""
        name = self._name(rows)
        working: dict[Target, Mask] = {}
        taken: list[Target] = []
        try:
            for target in self.targets:
                if target.store.claims.take(name):
                    taken.append(target)
                    target.store.update()
                    lacks = self.lacking(target, rows)
                    if lacks.any():
                        working[target] = lacks
                    else:
                        target.store.claims.release(name)
                        taken.remove(target)
        except BaseException:
            for target in taken:
                target.store.claims.release(name)
            raise
        if not working:
            return None
        lacks = np.stack(list(working.values()))
        wanted = lacks.any(axis=0)
        return Unit(name, rows[wanted], tuple(working), lacks[:, wanted])

    def _look(self, target: Target, rows: Int[np.ndarray, " n"]) -> None:
        """Bring the status of these samples up to date; all crops of an image are committed together."""
        for start in range(0, len(rows), _BATCH):  # their keys are copied
            some = rows[start : start + _BATCH]
            some = some[self.known[some]]
            if len(some):
                self._status[target][some] = status_in(target, self.keys[some])

    def _name(self, rows: Int[np.ndarray, " n"]) -> str:
        return "unit-" + hash_bytes("\n".join(self.samples.name(int(row)) for row in rows).encode())[:32]


def status_in(target: Target, keys: Keys) -> UInt8[np.ndarray, " n"]:
    """DONE, FAILED or ABSENT for each image: DONE when all taps of the target are."""
    found = target.store.look_up(keys, np.zeros(len(keys), np.int16), target.taps)
    status = np.where((found == ABSENT).any(axis=1), ABSENT, FAILED)
    return np.where((found == DONE).all(axis=1), DONE, status).astype(np.uint8)
