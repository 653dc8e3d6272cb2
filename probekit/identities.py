"""Identities: which key each sample of a manifest has, and which paths a key has."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from probekit import sources
from probekit.arrays import Keys, Mask
from probekit.errors import ImageError
from probekit.keys import KeyIndex, sample_key
from probekit.manifest import Manifest
from probekit.samples import Samples, known_keys
from probekit.sources import Sample


@dataclass(frozen=True)
class Identities:
    """One row a sample of a manifest."""

    samples: Samples
    keys: Keys
    known: Mask
    """Samples whose key is known: of the file as it is now or, where that is gone, as it was when it was last read."""

    def unknown(self) -> list[str]:
        """Names of the samples that can be neither read nor remembered."""
        return [self.samples.name(int(row)) for row in np.flatnonzero(~self.known)]


def identify(
    manifest: Manifest,
    index: KeyIndex,
    *,
    read: bool = True,
    on_file: Callable[[int, int], None] | None = None,
) -> Identities:
    """The key of every sample of a manifest.

    Args:
        manifest: the samples.
        index: what is remembered of their files; it learns what is read here and is not written.
        read: read the files that are not remembered, or have changed since.
        on_file: called with files read and files to read.
    """
    samples = Samples.of_rows(manifest)
    found = known_keys(samples, index)
    known = found.known | (found.remembered & ~found.readable)
    keys = found.keys.copy()
    digests: dict[str, bytes | None] = {}
    unread = np.flatnonzero(~known & found.readable) if read else np.zeros(0, np.int64)
    for done, row in enumerate(unread.tolist(), start=1):
        sample = samples[row]
        if sample.entry not in digests:
            digests[sample.entry] = _digest(sample, index)
        digest = digests[sample.entry]
        if digest is not None:
            keys[row] = np.frombuffer(sample_key(digest, sample.part), np.uint8)
            known[row] = True
        if on_file:
            on_file(done, len(unread))
    return Identities(samples, keys, known)


def distinct(found: Iterable[Identities]) -> Keys:
    """The known keys of several manifests, each once."""
    keys = [each.keys[each.known] for each in found]
    together = np.concatenate(keys) if keys else np.zeros((0, 32), np.uint8)
    return np.unique(together, axis=0)


def names_of(keys: Sequence[bytes], manifests: Iterable[Identities], index: KeyIndex) -> dict[bytes, str]:
    """What to call the images of these keys: a path that a manifest has, else one that the index remembers."""
    wanted = set(keys)
    names = {digest: path for path, digest in index.remembered() if digest in wanted}
    for found in manifests:
        rows = {key.tobytes(): row for row, key in enumerate(found.keys) if found.known[row]}
        names |= {key: found.samples.name(rows[key]) for key in wanted if key in rows}
    return names


def _digest(sample: Sample, index: KeyIndex) -> bytes | None:
    """SHA-256 of the bytes of a file or member; None where it cannot be read."""
    try:
        content = sources.read(sample)
    except ImageError:  # extraction tells why; here it has no rows
        return None
    index.add(sample.entry, content.stat, content.digest)
    return content.digest
