"""Reading: every file of a manifest once, its properties from the header and its perceptual hash from the pixels."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Int, Keys, Mask
from probekit.audit.memory import Memory
from probekit.audit.pictures import luminance, perceptual_hash
from probekit.audit.properties import PROPERTIES, FileProperties, properties_of, table_of
from probekit.errors import ImageError
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.parallel import processors
from probekit.paths import AnyPath
from probekit.samples import Samples, full_names, known_keys
from probekit.sources import Sample

BATCH = 4096
FLUSH = 1 << 16
"""Files after which what was read is remembered, so that a kill loses no more."""

OnFile = Callable[[int, int], None]
"""Called with (files read, files to read)."""


@dataclass(frozen=True, eq=False)
class Files:
    """What the readable samples of a manifest look like as files."""

    samples: Samples
    """All of the manifest."""
    table: pd.DataFrame
    """The manifest's rows that can be read, in its order, index 0…n-1, and their properties beside them."""
    rows: Int[np.ndarray, " n"]
    """Their numbers in the manifest."""
    keys: Keys
    hashes: tuple[bytes, ...]
    """Perceptual hash of each; empty for a picture of one colour."""
    unreadable: pd.DataFrame
    """path (with the member, frame or box that is meant), generator, reason."""

    @property
    def properties(self) -> pd.DataFrame:
        """The columns `properties.PROPERTIES`."""
        return self.table[[*PROPERTIES]]

    def sample(self, row: int) -> Sample:
        """The sample of a row of the table."""
        return self.samples[int(self.rows[row])]


def read_files(
    manifest: Manifest, cache: AnyPath, *, on_file: OnFile | None = None, workers: int | None = None
) -> Files:
    """Properties and hashes of all samples; what the cache remembers of unchanged files is not read again.

    Args:
        manifest: the samples.
        cache: where keys, properties and hashes are remembered.
        on_file: told how many files are done.
        workers: threads that read; one a processor unless told otherwise.

    Raises:
        StoreError: the cache is damaged or cannot be written.
    """
    samples = Samples.of_rows(manifest)
    index, memory = KeyIndex.open(cache), Memory(cache)
    known = known_keys(samples, index)
    recalled = memory.look_up(known.keys)
    remembered = known.known & recalled.known
    keys = known.keys.copy()
    found: dict[int, tuple[FileProperties, bytes]] = {}
    old = np.flatnonzero(remembered)
    found |= dict(zip(old.tolist(), recalled.get(old), strict=True))
    reasons: dict[int, str] = {}
    for number, (row, answer) in enumerate(_read_all(samples, ~remembered, on_file, workers), start=1):
        if isinstance(answer, str):
            reasons[row] = answer
            continue
        keys[row] = np.frombuffer(answer.content.key, np.uint8)
        found[row] = answer.properties, answer.hash
        memory.add(answer.content.key, answer.properties, answer.hash)
        index.add(answer.content.sample.entry, answer.content.stat, answer.content.digest)
        if number % FLUSH == 0:
            memory.flush()
            index.flush()
    memory.flush()
    index.flush()
    return _files(manifest, samples, keys, found, reasons)


class _Answer(NamedTuple):
    content: sources.Content
    """Without its bytes."""
    properties: FileProperties
    hash: bytes


def _read_all(
    samples: Samples, unread: Mask, on_file: OnFile | None, workers: int | None
) -> Iterator[tuple[int, _Answer | str]]:
    """Row and answer, or row and why it cannot be read, in order; a batch of files in memory at most."""
    rows = np.flatnonzero(unread).tolist()
    with ThreadPoolExecutor(workers or processors()) as pool:
        for start in range(0, len(rows), BATCH):
            batch = rows[start : start + BATCH]
            answers = pool.map(_read, [samples[row] for row in batch])
            for done, (row, answer) in enumerate(zip(batch, answers, strict=True), start=start + 1):
                yield row, answer
                if on_file:
                    on_file(done, len(rows))


def _read(sample: Sample) -> _Answer | str:
    try:
        content = sources.read(sample)
        if content.damage:
            return content.damage
        found = properties_of(content)
        grey = luminance(content.decode().permute(1, 2, 0).numpy())
    except ImageError as error:
        return str(error)
    return _Answer(sources.Content(sample, content.digest, content.stat, None), found, perceptual_hash(grey))


def _files(
    manifest: Manifest,
    samples: Samples,
    keys: Keys,
    found: dict[int, tuple[FileProperties, bytes]],
    reasons: dict[int, str],
) -> Files:
    rows = np.array(sorted(found), np.int64)
    own = [found[row] for row in rows.tolist()]
    table = manifest.table.iloc[rows].reset_index(drop=True)
    table = table.drop(columns=[name for name in PROPERTIES if name in table])  # the manifest's own say less surely
    lost = sorted(reasons)
    unreadable = pd.DataFrame(
        {
            "path": full_names(manifest.table.iloc[lost]),
            "generator": manifest.table["generator"].iloc[lost].tolist(),
            "reason": [reasons[row] for row in lost],
        },
        dtype="str",
    )
    return Files(
        samples,
        pd.concat([table, table_of([properties for properties, _ in own])], axis=1),
        rows,
        keys[rows],
        tuple(perceptual for _, perceptual in own),
        unreadable,
    )
