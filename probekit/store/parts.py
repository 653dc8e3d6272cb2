"""Parts: the unit of commitment, one file written whole and named by the SHA-256 of its bytes.

A part holds some rows with one or more taps. It appears by a rename, so it is there completely or not at all, and its
name tells at any time whether its bytes are still those that were written.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from probekit.arrays import Int, Keys, Shaped, UInt8
from probekit.errors import StoreCorruptError
from probekit.fingerprint import hash_bytes
from probekit.store.files import write_whole
from probekit.store.rows import RowIndex

ABSENT, DONE, FAILED = 0, 1, 2
"""Status of a (row, tap): never written, features are there, the image could not be read."""

SUFFIX = ".safetensors"
_TAP = "tap:"


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

    path: Path
    keys: Keys
    crops: Int[np.ndarray, " n"]
    status: UInt8[np.ndarray, " n"]
    taps: Mapping[str, tuple[int, ...]]
    """Tap → shape of one row."""
    reasons: Mapping[str, str]


def write_part(folder: Path, part: Part) -> Path:
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


def read_part(path: Path) -> Part:
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
        reasons=scan_part(path).reasons,
    )


def scan_part(path: Path) -> PartRows:
    """Which rows a part holds.

    Raises:
        FileNotFoundError: it has been folded in the meantime.
        StoreCorruptError: it is no part at all any more.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as part:
            taps = [name for name in part.keys() if name.startswith(_TAP)]  # noqa: SIM118  # not a dictionary
            return PartRows(
                path=path,
                keys=part.get_tensor("key"),
                crops=part.get_tensor("crop"),
                status=part.get_tensor("status"),
                taps={tap.removeprefix(_TAP): tuple(part.get_slice(tap).get_shape()[1:]) for tap in taps},
                reasons=json.loads(part.metadata()["reasons"]),
            )
    except (SafetensorError, ValueError, KeyError) as error:
        raise _damaged(path) from error


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


def better(before: UInt8[np.ndarray, " n"], after: UInt8[np.ndarray, " n"]) -> UInt8[np.ndarray, " n"]:
    """What is known after both: DONE beats FAILED beats ABSENT."""
    done = (before == DONE) | (after == DONE)
    return np.where(done, DONE, np.maximum(before, after)).astype(np.uint8)


def _damaged(path: Path) -> StoreCorruptError:
    return StoreCorruptError(f"{path} is damaged: delete it and run the extraction again; its rows are redone.")
