"""Samples as extraction and questions address them: an absolute path and, perhaps, a part of that file."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from probekit.arrays import Keys, Mask
from probekit.errors import ManifestError
from probekit.keys import KeyIndex, sample_key
from probekit.manifest import Manifest
from probekit.manifest.columns import BOX

UNREAD_COLUMNS = ("member", "frame")

Part = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Samples:
    """Absolute path of each sample, and its box where only a part of the image is meant."""

    paths: Sequence[str]
    parts: Sequence[Mapping[str, int] | None]

    @classmethod
    def of_rows(cls, manifest: Manifest) -> "Samples":
        """One sample for each row of the manifest."""
        return cls(_paths(manifest), [dict(part) if part else None for part in _parts(manifest)])

    @classmethod
    def distinct(cls, manifest: Manifest) -> "Samples":
        """The samples of a manifest in its order, each once."""
        found = dict.fromkeys(zip(_paths(manifest), _parts(manifest), strict=True))
        return cls([path for path, _ in found], [dict(part) if part else None for _, part in found])

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, row: int) -> str:
        """How an error or a table calls the sample: its path, and its part if there is one."""
        part = self.parts[row]
        return self.paths[row] + ("".join(f" {name}={value}" for name, value in part.items()) if part else "")


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


def known_keys(samples: Samples, index: KeyIndex) -> KnownKeys:
    """What the index knows of these samples; no file is read, each is looked at for its size and time."""
    files = index.look_up(samples.paths)
    keys = files.digests.copy()
    for row, part in enumerate(samples.parts):
        if part and files.remembered[row]:
            keys[row] = np.frombuffer(sample_key(keys[row].tobytes(), part), np.uint8)
    return KnownKeys(keys, known=files.unchanged, remembered=files.remembered, readable=files.readable)


def _paths(manifest: Manifest) -> list[str]:
    root = os.path.abspath(manifest.root)  # noqa: PTH100  # a Path object for each of a million rows takes seconds
    return [os.path.normpath(os.path.join(root, path)) for path in manifest.table["path"]]  # noqa: PTH118


def _parts(manifest: Manifest) -> list[Part]:
    """Box of every row as (name, value) pairs; empty where the whole image is meant."""
    table = manifest.table
    for column in UNREAD_COLUMNS:
        named = [value for value in table[column] if value] if column in table else []
        if named:
            raise ManifestError(
                f"{manifest.name}: column {column!r} names {named[0]!r}, but archives and videos are not read: "
                "unpack them and import the files."
            )
    columns: list[tuple[str, list[Any]]] = [(name, table[name].tolist()) for name in BOX if name in table]
    if not columns:
        return [()] * len(table)
    return [
        tuple((name, int(values[row])) for name, values in columns if str(values[row]) not in ("<NA>", "nan", ""))
        for row in range(len(table))
    ]
