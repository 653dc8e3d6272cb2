"""Copies: files of equal bytes in different manifests."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Int
from probekit.errors import ImageError
from probekit.sources import Sample

Progress = Callable[[int, int], None]
"""Called with the numbers of files done and in all."""

UNREAD = b""
GONE = -1
_BATCH = 1024


def content_codes(
    samples: Sequence[Sample], manifest: Int[np.ndarray, " n"], progress: Progress | None = None, workers: int = 8
) -> tuple["pd.Series[int]", int]:
    """A number for every row, equal where bytes, frame and box are; and how many files could not be compared.

    Only files that may have a copy in another manifest are read: those that are as large as another one there. How
    large a member of an archive is, is not known before it is read: where there are any, all files are. Objects in
    buckets are read, too.

    Args:
        samples: of the rows, paths absolute.
        manifest: the number of the manifest of each row.
        progress: told how many files are done.
        workers: threads that read.
    """
    read = _digests(_suspects(samples, manifest), progress, workers)
    keys = np.array(
        [
            f"{digest.hex()} {sample.part}" if (digest := read.get(sample.entry, UNREAD)) else str(row)  # nobody's copy
            for row, sample in enumerate(samples)
        ],
        dtype=object,
    )
    return pd.Series(pd.factorize(keys)[0]), sum(not digest for digest in read.values())


def _suspects(samples: Sequence[Sample], manifest: Int[np.ndarray, " n"]) -> list[Sample]:
    """One sample of each file that may have a copy in another manifest, and of each that cannot be looked at."""
    packed = any(sample.member for sample in samples)
    files: dict[str, Sample] = {}
    owners: dict[str, set[int]] = defaultdict(set)
    for sample, owner in zip(samples, manifest.tolist(), strict=True):
        files.setdefault(sample.entry, sample)
        owners[sample.entry].add(owner)
    if packed:
        return list(files.values())
    alike: dict[int, list[str]] = defaultdict(list)
    for entry, sample in files.items():
        alike[_size(sample)].append(entry)
    found = (
        entries
        for size, entries in alike.items()
        if size == GONE or (len(entries) > 1 and len(set().union(*(owners[entry] for entry in entries))) > 1)
    )
    return [files[entry] for entries in found for entry in entries]


def _size(sample: Sample) -> int:
    """Bytes of the file."""
    try:
        return Path(sample.path).stat().st_size
    except OSError:
        return GONE


def _digests(samples: Sequence[Sample], progress: Progress | None, workers: int) -> dict[str, bytes]:
    """Entry → SHA-256 of its bytes, empty where it cannot be read."""
    found: dict[str, bytes] = {}
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(samples), _BATCH):
            batch = samples[start : start + _BATCH]
            for sample, digest in zip(batch, pool.map(_digest, batch), strict=True):
                found[sample.entry] = digest
            if progress:
                progress(len(found), len(samples))
    return found


def _digest(sample: Sample) -> bytes:
    try:
        return sources.read(sample).digest
    except ImageError:  # extraction will say so
        return UNREAD
