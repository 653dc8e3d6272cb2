"""The plan of an extraction: which samples there are, what each model still lacks, and the units of work."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from probekit.arrays import Int, Mask
from probekit.extract.target import Target
from probekit.fingerprint import hash_bytes
from probekit.keys import KeyIndex
from probekit.samples import Samples, known_keys
from probekit.store import ABSENT, DONE, FAILED


@dataclass(frozen=True)
class Unit:
    """Consecutive samples that one process computes and commits together."""

    name: str
    rows: Int[np.ndarray, " n"]
    """Samples that at least one target still lacks."""
    targets: tuple[Target, ...]
    """The targets for which this process holds the claim."""


class Plan:
    """What is known of every sample's key, and through it what every store already has."""

    def __init__(
        self,
        samples: Samples,
        targets: Sequence[Target],
        index: KeyIndex,
        *,
        unit_size: int | None,
        retry_failed: bool,
        rehash: bool,
    ) -> None:
        self.samples = samples
        self.targets = targets
        self._unit_size = unit_size or min(target.model.card.unit for target in targets)
        self._retry_failed = retry_failed
        found = known_keys(samples, index)
        self.known = np.zeros(len(samples), bool) if rehash else found.known.copy()
        """Samples whose key is known."""
        self.keys = found.keys
        self.attempted = np.zeros(len(samples), bool)
        """Samples that this run has loaded: what failed now is not tried once more."""
        self.unreadable: dict[int, str] = {}
        """Sample → why its bytes cannot be read, so that it has no key."""

    def learn(self, row: int, key: bytes) -> None:
        """Take in the key of a sample that was just read."""
        self.keys[row] = np.frombuffer(key, np.uint8)
        self.known[row] = True

    def lacking(self, target: Target, rows: Int[np.ndarray, " n"]) -> Mask:
        """Which of these samples the target still has to compute."""
        lacks = np.isin(rows, list(self.unreadable), invert=True)
        known = np.flatnonzero(self.known[rows])
        status = target.store.look_up(self.keys[rows[known]], _first_crops(len(known)), target.taps)
        given_up = self.attempted[rows[known], None] | (not self._retry_failed)
        finished = (status == DONE) | ((status == FAILED) & given_up)
        lacks[known] &= ~finished.all(axis=1)
        return lacks

    def status(self, target: Target) -> Int[np.ndarray, " n"]:
        """DONE, FAILED or ABSENT for every sample: DONE when all taps of the target are."""
        status = np.full(len(self.samples), ABSENT, np.int64)
        known = np.flatnonzero(self.known)
        found = target.store.look_up(self.keys[known], _first_crops(len(known)), target.taps)
        status[known] = np.where((found == DONE).all(axis=1), DONE, found.max(axis=1, initial=ABSENT))
        status[list(self.unreadable)] = FAILED
        return status

    def claim_units(self) -> Iterator[Unit]:
        """One pass over the samples: the units that lack something and that no other living process has claimed.

        Whoever takes a unit must release it. A unit is looked at again after its claim, because another process may
        have finished it in between.
        """
        size = self._unit_size
        everything = np.arange(len(self.samples))
        lacking = np.any([self.lacking(target, everything) for target in self.targets], axis=0)
        for begin in np.unique(np.flatnonzero(lacking) // size) * size:
            rows = np.arange(begin, min(begin + size, len(self.samples)))
            name = self._name(rows)
            claimed = [target for target in self.targets if target.store.claims.take(name)]
            for target in claimed:
                target.store.update()
            needs = {target: self.lacking(target, rows) for target in claimed}
            for target in [target for target in claimed if not needs[target].any()]:
                target.store.claims.release(name)
            working = tuple(target for target in claimed if needs[target].any())
            if working:
                yield Unit(name, rows[np.any([needs[target] for target in working], axis=0)], working)

    def unfinished(self) -> bool:
        """Whether any target still lacks a sample: then other processes are at it, or died at it."""
        everything = np.arange(len(self.samples))
        for target in self.targets:
            target.store.refresh()
        return any(self.lacking(target, everything).any() for target in self.targets)

    def _name(self, rows: Int[np.ndarray, " n"]) -> str:
        return "unit-" + hash_bytes("\n".join(self.samples.name(int(row)) for row in rows).encode())[:32]


def _first_crops(n: int) -> Int[np.ndarray, " n"]:
    return np.zeros(n, np.int16)
