"""A blacklist as it was at one moment: what is registered, and the vectors that are searched."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Groups, Int, Keys, Mask
from probekit.blacklist.record import Record, read_record
from probekit.blacklist.segments import COLUMNS, FOLDER, OpenSegment, open_segment
from probekit.errors import BlacklistError, UsageError
from probekit.registry import unknown_name

TRIES = 20  # of opening a blacklist while others change it
SHORT = 12  # characters of an id that people are shown
SHORTEST = 6  # that they may type


@dataclass(frozen=True, eq=False)
class Blacklist:
    """A kept gallery, opened; later changes by this or another process leave it as it is."""

    path: Path
    record: Record
    segments: tuple[OpenSegment, ...]
    recorded_name: str = ""
    """What it was called when it was written: a folder that was copied or renamed has another name."""

    @classmethod
    def open(cls, path: Path) -> "Blacklist":
        """The blacklist in this folder as it is now, called as its folder is.

        Raises:
            BlacklistError: there is none, or a file of it is missing or damaged.
        """
        for attempt in range(1, TRIES + 1):
            record = read_record(path)
            try:
                opened = [open_segment(path / FOLDER, segment, record.width) for segment in record.segments]
                return cls(path, replace(record, name=path.resolve().name), tuple(opened), record.name)
            except FileNotFoundError as error:
                if attempt == TRIES or read_record(path).version == record.version:
                    raise BlacklistError(
                        f"{error.filename or path}: missing: restore the blacklist from an export."
                    ) from error
        raise AssertionError("unreachable")

    def __len__(self) -> int:
        return self.record.examples

    @cached_property
    def alive(self) -> Mask:
        """Which rows are registered; a row is a place among all segments, one after another."""
        return np.concatenate([np.zeros(0, bool), *(opened.alive for opened in self.segments)])

    @cached_property
    def keys(self) -> Keys:
        """SHA-256 of the image of every row."""
        return np.concatenate([np.zeros((0, 32), np.uint8), *(opened.keys for opened in self.segments)])

    @cached_property
    def generators(self) -> Groups:
        """Of every row."""
        return np.concatenate([np.zeros(0, object), *(opened.generators for opened in self.segments)])

    def rows_of(self, generator: str) -> Int[np.ndarray, " n"]:
        """The registered rows of a generator.

        Raises:
            UnknownNameError: it is not registered.
        """
        self.require(generator)
        return np.flatnonzero(self.alive & (self.generators == generator))

    def require(self, generator: str) -> None:
        """Nothing, if the generator is registered.

        Raises:
            UnknownNameError: it is not.
        """
        if generator not in self.record.generators:
            raise unknown_name(f"generator in blacklist {self.record.name}", generator, self.record.generators)

    def find(self, ids: Sequence[str]) -> Int[np.ndarray, " n"]:
        """The registered rows of these ids, or beginnings of ids.

        Raises:
            UsageError: one is too short, nobody's, or fits several examples.
        """
        rows = np.flatnonzero(self.alive)
        known = np.array([key.tobytes().hex() for key in self.keys[rows]], dtype=object)
        found = []
        for wanted in dict.fromkeys(ids):
            fitting = [row for row, key in zip(rows, known, strict=True) if key.startswith(wanted.lower())]
            if len(wanted) < SHORTEST or len(fitting) != 1:
                problem = f"fits {len(fitting)} examples" if fitting else "fits no example"
                raise UsageError(
                    f"--id {wanted} {problem} of blacklist {self.record.name}: give at least {SHORTEST} characters of "
                    "an id that `probekit blacklist list --examples` shows."
                )
            found += fitting
        return np.array(found, np.int64)

    def describe(self, rows: Int[np.ndarray, " k"]) -> pd.DataFrame:
        """id, generator, path, manifest, manifest_sha256, group and added of these rows, in their order."""
        import pyarrow as pa

        ends = np.cumsum([len(opened) for opened in self.segments])
        which = np.searchsorted(ends, rows, side="right")
        if not len(rows):
            return pd.DataFrame(columns=["id", *COLUMNS])
        starts, order = ends - [len(opened) for opened in self.segments], np.argsort(which, kind="stable")
        parts = [
            self.segments[number].read(rows[order][which[order] == number] - starts[number])
            for number in np.unique(which)
        ]
        table: pd.DataFrame = pa.concat_tables(parts).take(np.argsort(order)).to_pandas()
        table.insert(0, "id", _ids(self.keys[rows]))
        return table

    def examples(self, generator: str | None = None) -> pd.DataFrame:
        """All that is registered, or what is registered of one generator, in the order of registration.

        Raises:
            UnknownNameError: it is not registered.
        """
        return self.describe(np.flatnonzero(self.alive) if generator is None else self.rows_of(generator))

    def verify(self) -> list[str]:
        """One line for each file that is not as it was written; reads every byte."""
        return [line for opened in self.segments for line in opened.check()]


def _ids(keys: Keys) -> list[str]:
    return [key.tobytes().hex() for key in keys]
