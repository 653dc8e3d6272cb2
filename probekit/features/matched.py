"""The rows of a manifest that have the features of a reference: which they are, and how many crops each has."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from probekit.arrays import Float, Int
from probekit.errors import UsageError
from probekit.features.sets import Source
from probekit.store import Store


@dataclass(frozen=True, eq=False)
class Matched:
    """Rows of a manifest, matched with every part of a reference."""

    reference: str
    table: pd.DataFrame
    """Of the manifest."""
    parts: Sequence[tuple[Store, str]]
    """Store and tap of each part."""
    kept: Int[np.ndarray, " n"]
    """Rows of the table that have features in all parts."""
    counts: Sequence[Int[np.ndarray, " n"]]
    """By part, how many crops of each of these the store has."""
    excluded: pd.DataFrame
    """As that of a `FeatureSet`."""

    @property
    def sources(self) -> tuple[Source, ...]:
        """Where each part comes from."""
        return tuple(_source(store, tap) for store, tap in self.parts)

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of columns of each part."""
        return tuple(store.taps[tap][0] for store, tap in self.parts)

    @property
    def identity(self) -> str:
        """As that of a `FeatureSet`."""
        named = [f"{store.settings.address}#{tap}".encode() for store, tap in self.parts]
        return _digest(*named, self.kept.tobytes(), *(count.tobytes() for count in self.counts))

    def samples(self, crops: str) -> pd.DataFrame:
        """The rows; with `all` crops one for each of them.

        Raises:
            UsageError: the parts have different numbers of crops, which are asked for one by one.
        """
        samples = self.table.iloc[self.kept].reset_index(drop=True)
        if crops != "all":
            return samples
        first, *others = self.counts
        if any((count != first).any() for count in others):
            raise UsageError(
                f"{self.reference}: its parts have different numbers of crops an image, so they cannot stand side by "
                "side crop by crop: take their means with --crops mean."
            )
        samples = samples.loc[np.repeat(samples.index, first)].reset_index(drop=True)
        samples["crop"] = numbered(first)
        return samples

    def rows_digest(self, crops: str) -> str:
        """Alike where `samples` are: the taps of one model have the same rows, as a rule."""
        return _digest(self.kept.tobytes(), *(count.tobytes() for count in self.counts if crops == "all"))


def numbered(counts: Int[np.ndarray, " n"]) -> Int[np.ndarray, " m"]:
    """0 … counts[0] - 1, 0 … counts[1] - 1, and so on."""
    numbers: Int[np.ndarray, " m"] = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return numbers


def means(features: Float[np.ndarray, "m d"], counts: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n d"]:
    """Mean over the crops of each image."""
    if (counts == 1).all():
        return features
    sums = np.add.reduceat(features, np.cumsum(counts) - counts, axis=0, dtype=np.float64)
    found: Float[np.ndarray, "n d"] = (sums / counts[:, None]).astype(np.float32)
    return found


def _digest(*pieces: bytes) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(hashlib.sha256(piece).digest())
    return digest.hexdigest()


def _source(store: Store, tap: str) -> Source:
    settings = store.settings
    return Source(settings.model, tap, settings.view_name, settings.precision, settings.address, store.path.name)
