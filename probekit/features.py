"""Features for a question: the rows of a manifest joined, by identity, with the rows of a store."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float


@dataclass(frozen=True)
class Source:
    """Where one block of features came from."""

    model: str
    tap: str
    view: str
    precision: str
    address: str
    """Fingerprint of the store."""


@dataclass(frozen=True)
class FeatureSet:
    """Samples and their raw features, row by row; several blocks when the reference names several parts."""

    reference: str
    """As typed: `clip#cls@20` or `npr+srm`."""
    sources: tuple[Source, ...]
    samples: pd.DataFrame
    """Manifest rows in manifest order with a fresh index 0…n-1: path, label, generator, domain, split, group, …"""
    blocks: tuple[Float[np.ndarray, "n d"], ...]
    """float32, one array per part of the reference; conditions are fitted to each part on its own."""
    excluded: pd.DataFrame
    """Samples without features: path, generator, reason."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of columns of each block."""
        return tuple(block.shape[1] for block in self.blocks)

    @property
    def matrix(self) -> Float[np.ndarray, "n d"]:
        """All blocks side by side."""
        return self.blocks[0] if len(self.blocks) == 1 else np.concatenate(self.blocks, axis=1)
