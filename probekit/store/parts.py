"""Parts: the unit of commitment, one file written whole and named by the SHA-256 of its bytes.

A part holds some rows with one or more taps. It appears by a rename, so it is there completely or not at all, and its
name tells at any time whether its bytes are still those that were written.
"""

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np

from probekit.arrays import Int, Keys, Shaped, UInt8
from probekit.errors import StoreCorruptError
from probekit.fingerprint import hash_bytes
from probekit.paths import AnyPath, open_binary
from probekit.store.files import write_whole
from probekit.store.rows import RowIndex

ABSENT, DONE, FAILED = 0, 1, 2
"""Status of a (row, tap): never written, features are there, the image could not be read."""

SUFFIX = ".safetensors"
_TAP = "tap:"
_LONGEST_HEADER = 100_000_000  # bytes, as safetensors has it


@dataclass(frozen=True)
class Part:
    """Rows as they were computed; `features` has one array per tap, with NaN in rows that failed."""

    keys: Keys
    crops: Int[np.ndarray, " n"]
    status: UInt8[np.ndarray, " n"]
    features: Mapping[str, Shaped[np.ndarray, "n ..."]]
    reasons: Mapping[str, str]
    """Key in hexadecimal → why the image could not be read, for the rows with status FAILED."""


@dataclass(frozen=True)
class PartRows:
    """Which rows a part holds, read without its features and without checking its bytes."""

    path: AnyPath
    keys: Keys
    crops: Int[np.ndarray, " n"]
    status: UInt8[np.ndarray, " n"]
    taps: Mapping[str, tuple[int, ...]]
    """Tap → shape of one row."""
    reasons: Mapping[str, str]


def write_part(folder: AnyPath, part: Part) -> AnyPath:
    """The committed file; the rows are safe when this returns.

    Raises:
        StoreError: the folder cannot be written; nothing is left behind.
    """
    from safetensors.numpy import save

    tensors = {"key": part.keys, "crop": part.crops.astype(np.int16), "status": part.status}
    tensors |= {f"{_TAP}{name}": values for name, values in part.features.items()}
    metadata = {"reasons": json.dumps(dict(part.reasons), sort_keys=True)}
    data = save({name: np.ascontiguousarray(values) for name, values in tensors.items()}, metadata)
    path = folder / f"{hash_bytes(data)}{SUFFIX}"
    write_whole(path, data)
    return path


def read_part(path: AnyPath) -> Part:
    """The rows of a part, checked against its name.

    Raises:
        FileNotFoundError: it has been folded in the meantime.
        StoreCorruptError: its bytes are not those that were written.
    """
    from safetensors.numpy import load

    data = path.read_bytes()
    if hash_bytes(data) != path.name.removesuffix(SUFFIX):
        raise _damaged(path)
    tensors = load(data)
    return Part(
        keys=tensors["key"],
        crops=tensors["crop"],
        status=tensors["status"],
        features={name.removeprefix(_TAP): array for name, array in tensors.items() if name.startswith(_TAP)},
        reasons=_Header.read(io.BytesIO(data)).reasons,
    )


def scan_part(path: AnyPath) -> PartRows:
    """Which rows a part holds, by reading a few kilobytes of it.

    Raises:
        FileNotFoundError: it has been folded in the meantime.
        StoreCorruptError: it is no part at all any more.
    """
    try:
        with open_binary(path) as file:
            header = _Header.read(file)
            return PartRows(
                path=path,
                keys=header.tensor(file, "key", np.uint8),
                crops=header.tensor(file, "crop", np.int16),
                status=header.tensor(file, "status", np.uint8),
                taps=header.taps,
                reasons=header.reasons,
            )
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(path) from error


@dataclass(frozen=True)
class _Header:
    """The beginning of a safetensors file: its length in 8 bytes, little-endian, then JSON; the tensors follow."""

    size: int
    entries: Mapping[str, Any]

    @classmethod
    def read(cls, file: BinaryIO) -> "_Header":
        length = int.from_bytes(file.read(8), "little")
        if length > _LONGEST_HEADER:
            raise ValueError("no header")
        return cls(8 + length, json.loads(bytes(file.read(length))))

    @property
    def taps(self) -> dict[str, tuple[int, ...]]:
        """Tap → shape of one row."""
        found = {name: entry["shape"] for name, entry in self.entries.items() if name.startswith(_TAP)}
        return {name.removeprefix(_TAP): tuple(shape[1:]) for name, shape in found.items()}

    @property
    def reasons(self) -> dict[str, str]:
        reasons: dict[str, str] = json.loads(self.entries["__metadata__"]["reasons"])
        return reasons

    def tensor(self, file: BinaryIO, name: str, dtype: type[np.generic]) -> Shaped[np.ndarray, "..."]:
        begin, end = self.entries[name]["data_offsets"]
        file.seek(self.size + begin)
        return np.frombuffer(bytes(file.read(end - begin)), dtype).reshape(self.entries[name]["shape"])


def merge(parts: Sequence[Part]) -> list[Part]:
    """As few parts as possible, one for each set of taps; each identity once, and DONE where any of them is."""
    merged = []
    for taps in dict.fromkeys(tuple(sorted(part.features)) for part in parts):
        alike = [part for part in parts if tuple(sorted(part.features)) == taps]
        status = np.concatenate([part.status for part in alike])
        keys = np.concatenate([part.keys for part in alike])
        crops = np.concatenate([part.crops for part in alike])
        best_first = np.argsort(status != DONE, kind="stable")
        index = RowIndex(keys[best_first], crops[best_first])
        chosen = np.sort(best_first[np.unique(index.find(keys, crops))])
        merged.append(
            Part(
                keys=keys[chosen],
                crops=crops[chosen],
                status=status[chosen],
                features={tap: np.concatenate([part.features[tap] for part in alike])[chosen] for tap in taps},
                reasons={key: reason for part in alike for key, reason in part.reasons.items()},
            )
        )
    return merged


def better(before: UInt8[np.ndarray, "*n"], after: UInt8[np.ndarray, "*n"]) -> UInt8[np.ndarray, "*n"]:
    """What is known after both: DONE beats FAILED beats ABSENT."""
    done = (before == DONE) | (after == DONE)
    return np.where(done, DONE, np.maximum(before, after)).astype(np.uint8)


def _damaged(path: AnyPath) -> StoreCorruptError:
    return StoreCorruptError(f"{path} is damaged: delete it and run the extraction again; its rows are redone.")
