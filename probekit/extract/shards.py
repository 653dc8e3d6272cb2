"""Shards: a manifest divided among jobs that know nothing of each other, by nothing but the names of its samples.

Which shard a sample is in follows from its path as the manifest has it, with member, frame and box: neither the order
of the rows, nor what else the manifest holds, nor where its images are mounted matters. So a job that is started
again has the samples that it had, and those of a longer manifest stay where they were.
"""

import re
from dataclasses import dataclass, replace

from probekit.errors import UsageError
from probekit.manifest import Manifest
from probekit.samples import place_hashes


@dataclass(frozen=True)
class Shard:
    """One of several disjoint parts of a manifest, counted from 1 as `--shard 1/16` to `--shard 16/16`."""

    number: int
    """From 1."""
    of: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """The shard that `3/16` means.

        Raises:
            UsageError: it is not written so, or there is no such shard.
        """
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,9})", text.strip())
        if not found:
            raise UsageError(f"--shard {text}: write NUMBER/OF, counted from 1, as 3/16.")
        number, of = map(int, found.groups())
        if of == 0:
            raise UsageError(f"--shard {text}: a manifest cannot be divided into 0 parts; 1/1 is all of it.")
        if not 1 <= number <= of:
            raise UsageError(f"--shard {text}: there are {of}, counted from 1/{of} to {of}/{of}.")
        return cls(number, of)

    def samples_of(self, manifest: Manifest) -> Manifest:
        """The manifest with the rows of this shard alone, perhaps none; every sample is in exactly one shard."""
        here = place_hashes(manifest) % self.of == self.number - 1
        return replace(manifest, table=manifest.table[here].reset_index(drop=True))

    def told(self, samples: int, of: int) -> str:
        """How many samples of the manifest's are in it: `shard 3 of 16: 1,234 samples`."""
        if not samples:
            return f"{self}: none of the {of:,} samples, so there is nothing to do"
        return f"{self}: {samples:,} {'sample' if samples == 1 else 'samples'}"

    def __str__(self) -> str:
        return f"shard {self.number} of {self.of}"
