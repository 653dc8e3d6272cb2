"""Samples as extraction and questions address them: rows of a manifest, each an image, a member, a frame or a box.

A manifest may have millions of rows, so a sample is no object of its own until it is asked for: what is held are the
manifest's own columns and, where some rows are left out, the numbers of the others.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, overload

import numpy as np
import pandas as pd

from probekit.arrays import Int, Keys, Mask, Shaped
from probekit.keys import KeyIndex, entry_name, name_hashes, sample_key
from probekit.manifest import Manifest
from probekit.manifest.columns import BOX, IDENTITY, are_odd, normal_paths
from probekit.remote import full_path
from probekit.sources import Sample

_BATCH = 32_768  # samples that are Python objects at one time


@dataclass(frozen=True, eq=False)
class Samples(Sequence[Sample]):
    """The samples of a manifest: `samples[row]` makes one, with its absolute path."""

    root: str
    """Absolute, where relative paths start."""
    columns: Mapping[str, Any]
    """Those of the manifest's columns that tell samples apart, as pandas arrays shared with it."""
    rows: Int[np.ndarray, " n"] | None = None
    """The rows of the manifest that are meant; None means all."""

    @classmethod
    def of_rows(cls, manifest: Manifest) -> "Samples":
        """One sample for each row of the manifest."""
        root = os.path.abspath(manifest.root)  # noqa: PTH100  # joined below as text: a Path object a row takes seconds
        return cls(root, {name: manifest.table[name].array for name in IDENTITY if name in manifest.table})

    @classmethod
    def distinct(cls, manifest: Manifest) -> "Samples":
        """The samples of a manifest in its order, each once: no two agree in path, member, frame and box."""
        samples = cls.of_rows(manifest)
        if samples._below_root:
            return samples  # no two rows of a manifest agree, and putting all behind one root keeps them apart
        hashes = np.empty((len(samples), 2), np.uint64)
        for start in range(0, len(samples), _BATCH):
            batch = samples._identities(slice(start, start + _BATCH))
            hashes[start : start + len(batch)] = name_hashes(batch)
        order = np.lexsort((hashes[:, 1], hashes[:, 0]))  # stable: of equals, the first row comes first
        repeated = order[1:][(hashes[order[1:]] == hashes[order[:-1]]).all(axis=1)]
        if not len(repeated):
            return samples
        return cls(samples.root, samples.columns, np.delete(np.arange(len(samples)), repeated))

    @property
    def entries(self) -> Sequence[str]:
        """What the key index calls each sample's file; made when asked for, as the samples are."""
        return _Entries(self)

    def name(self, row: int) -> str:
        """How an error or a table calls the sample: its path, and its part if there is one."""
        return self[row].name

    def __len__(self) -> int:
        return len(self.columns["path"]) if self.rows is None else len(self.rows)

    @overload
    def __getitem__(self, row: int) -> Sample: ...

    @overload
    def __getitem__(self, row: slice) -> list[Sample]: ...

    def __getitem__(self, row: int | slice) -> Sample | list[Sample]:
        which = row if self.rows is None else self.rows[row]
        if isinstance(row, slice):
            return self._samples({name: column[which].tolist() for name, column in self.columns.items()})
        return self._samples({name: [column[which]] for name, column in self.columns.items()})[0]

    def cells(self, column: str, rows: slice) -> list[Any]:
        """One column of these samples, quicker than the samples; paths are absolute."""
        found = self.columns[column][rows if self.rows is None else self.rows[rows]].tolist()
        return self._absolute(found) if column == "path" else found

    @cached_property
    def remote(self) -> bool:
        """Whether any of them is in a bucket."""
        return bool(pd.Series(self.columns["path"]).str.contains("://", regex=False).any())

    @cached_property
    def _below_root(self) -> bool:
        """Whether every path is relative and as short as can be: then it only has to be put behind the root."""
        paths = pd.Series(self.columns["path"])
        return not (paths.str.startswith("/").any() or are_odd(paths).any() or os.sep != "/")

    def _absolute(self, paths: list[str]) -> list[str]:
        root = self.root
        if self._below_root:
            start = os.path.join(root, "")  # noqa: PTH118  # joined as text: a Path object a row takes seconds
            return [start + path for path in paths]
        if len(self.columns) == 1:
            return [full_path(root, path) for path in paths]
        known = {path: full_path(root, path) for path in dict.fromkeys(paths)}  # many share an archive or video
        return [known[path] for path in paths]

    def _samples(self, cells: Mapping[str, list[Any]]) -> list[Sample]:
        return _made(self._absolute(cells["path"]), cells)

    def _identities(self, rows: slice) -> Sequence[str]:
        if self.columns.keys() <= {"path", "member"}:
            return self.entries[rows]
        return [f"{sample.entry}\0\0{sample.part}" for sample in self[rows]]


def full_names(table: pd.DataFrame) -> list[str]:
    """How a table calls each row of a manifest's: the path as it stands there, and its part if there is one.

    A path alone names no sample: the members of an archive, the frames of a video and the boxes of a picture share it.
    """
    cells = {name: table[name].tolist() for name in IDENTITY if name in table}
    return cells["path"] if len(cells) == 1 else [sample.name for sample in _made(cells["path"], cells)]


def place_hashes(manifest: Manifest) -> Shaped[np.ndarray, " n"]:
    """uint64 for the place of each row's sample: path as the manifest has it, member, frame and box.

    Equal on every machine, wherever the manifest's root lies there.
    """
    columns = {name: manifest.table[name] for name in IDENTITY if name in manifest.table}
    columns["path"] = normal_paths(columns["path"])
    hashes = np.empty(len(manifest.table), np.uint64)
    for start in range(0, len(hashes), _BATCH):
        cells = {name: column.iloc[start : start + _BATCH].tolist() for name, column in columns.items()}
        names = cells["path"]
        if len(cells) > 1:
            names = [
                f"{sample.entry}\0{sample.part}" if sample.part else sample.entry for sample in _made(names, cells)
            ]
        hashes[start : start + len(names)] = name_hashes(names)[:, 0]
    return hashes


def _made(paths: list[str], cells: Mapping[str, list[Any]]) -> list[Sample]:
    if len(cells) == 1:
        return [Sample(path) for path in paths]
    nothing = [None] * len(paths)
    members = cells.get("member", nothing)
    frames = cells.get("frame", nothing)
    boxes = zip(*(cells.get(name, nothing) for name in BOX), strict=True)
    return [
        Sample(path, member or "", _number(frame), _box(box))
        for path, member, frame, box in zip(paths, members, frames, boxes, strict=True)
    ]


class _Entries(Sequence[str]):
    def __init__(self, samples: Samples) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples)

    @overload
    def __getitem__(self, row: int) -> str: ...

    @overload
    def __getitem__(self, row: slice) -> list[str]: ...

    def __getitem__(self, row: int | slice) -> str | list[str]:
        if not isinstance(row, slice):
            return self._samples[row].entry
        paths = self._samples.cells("path", row)
        if "member" not in self._samples.columns:
            return paths
        return list(map(entry_name, paths, self._samples.cells("member", row)))


@dataclass(frozen=True)
class KnownKeys:
    """Keys of samples as far as the index knows them, one row a sample."""

    keys: Keys
    known: Mask
    """The file is as it was when its key was taken."""
    remembered: Mask
    """A key is known, though the file may have changed or gone since."""
    readable: Mask
    """There is a file to read now."""


def known_keys(samples: Samples, index: KeyIndex, *, ask: bool = False) -> KnownKeys:
    """What the index knows of these samples; no file is read, each is looked at for its size and time.

    Args:
        samples: which.
        index: what is remembered.
        ask: look at objects in buckets, too, which takes a request each; otherwise what is remembered is believed.
    """
    files = index.look_up(samples.entries, ask=ask)
    keys = files.digests
    if samples.columns.keys() - {"path", "member"}:
        for row, part in _parts(samples):
            if files.remembered[row]:
                keys[row] = np.frombuffer(sample_key(keys[row].tobytes(), part), np.uint8)
    return KnownKeys(keys, known=files.unchanged, remembered=files.remembered, readable=files.readable)


def _parts(samples: Samples) -> Iterator[tuple[int, Mapping[str, int]]]:
    """Row and part of the samples that are not the whole of their file."""
    for start in range(0, len(samples), _BATCH):
        for row, sample in enumerate(samples[start : start + _BATCH], start):
            if sample.part:
                yield row, sample.part


def _number(cell: Any) -> int | None:  # noqa: ANN401  # a cell of a manifest may be text or a number
    return int(cell) if pd.notna(cell) and cell != "" else None


def _box(cells: tuple[Any, ...]) -> tuple[int, int, int, int] | None:
    if any(_number(cell) is None for cell in cells):
        return None
    x0, y0, x1, y1 = map(int, cells)
    return x0, y0, x1, y1
