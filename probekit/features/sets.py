"""What a question is asked of: samples with their raw features, in memory or a block at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Int, Mask
from probekit.files import spell_size
from probekit.store import Store

BLOCK_BYTES = 64 << 20  # of float32 features in memory at a time, where they are streamed
FEWEST_BYTES = 1 << 14  # the least that are worth asking the store for


@dataclass(frozen=True)
class Source:
    """Where one block of features came from."""

    model: str
    tap: str
    view: str
    precision: str
    address: str
    """Fingerprint of the store."""
    name: str = ""
    """Name of the store's folder."""


@dataclass(frozen=True)
class FeatureSet:
    """Samples and their raw features, row by row; several blocks when the reference names several parts."""

    reference: str
    """As typed: `clip#cls@20` or `npr+srm`."""
    sources: tuple[Source, ...]
    samples: pd.DataFrame
    """Manifest rows in manifest order, index 0…n-1: path, label, generator, domain, split, group, …

    Where the crops of an image are kept apart, one row a crop, told apart by the column `crop`.
    """
    blocks: tuple[Float[np.ndarray, "n _"], ...]
    """float32, one array per part of the reference; conditions are fitted to each part on its own."""
    excluded: pd.DataFrame
    """Samples without features: path (with the member, frame or box that is meant), generator, reason."""
    identity: str = ""
    """Digest of the stores, the taps, the rows of the manifest and their crops: alike where two processes have the same
    features in the same order. Empty of features that were made otherwise."""

    @property
    def name(self) -> str:
        """Model and tap of each part, whether or not the reference spelled them: `npr#blocks+srm#blocks`."""
        return "+".join(f"{source.model}#{source.tap}" for source in self.sources)

    @property
    def title(self) -> str:
        """The name and the views, for headings: `npr#blocks · jpeg75-native512`."""
        return f"{self.name} · {', '.join(dict.fromkeys(source.view for source in self.sources))}"

    @property
    def widths(self) -> tuple[int, ...]:
        """Number of columns of each block."""
        return tuple(block.shape[1] for block in self.blocks)

    @property
    def matrix(self) -> Float[np.ndarray, "n d"]:
        """All blocks side by side."""
        return self.blocks[0] if len(self.blocks) == 1 else np.concatenate(self.blocks, axis=1)

    def without_rows(self) -> "FeatureSet":
        """The same names, sources and widths, and no samples: what an answer is labelled with costs no memory."""
        blocks = tuple(np.empty((0, width), np.float32) for width in self.widths)
        return replace(self, samples=self.samples[:0].copy(), blocks=blocks, excluded=self.excluded[:0].copy())


@dataclass(frozen=True, eq=False)
class FeatureStream:
    """Samples, and their features whenever they are asked for: what `FeatureSet` has, in the memory of a block."""

    reference: str
    sources: tuple[Source, ...]
    samples: pd.DataFrame
    """As those of a `FeatureSet`."""
    widths: tuple[int, ...]
    """Number of columns of each part, side by side in a block."""
    excluded: pd.DataFrame
    order: Int[np.ndarray, " n"]
    """The samples as they stand in the store, so that each shard is read once."""
    read: Callable[[Int[np.ndarray, " b"]], Features]
    """The features of some samples, in the order asked for."""
    memory: int = 1 << 30
    """Bytes that a question may hold, its blocks and matrices together."""
    identity: str = ""
    """As that of a `FeatureSet`."""

    @property
    def name(self) -> str:
        """As that of a `FeatureSet`."""
        return self.without_rows().name

    @property
    def title(self) -> str:
        """As that of a `FeatureSet`."""
        return self.without_rows().title

    @property
    def block_bytes(self) -> int:
        """Of float32 features at a time: a sixteenth of the memory, because what is computed of them is larger."""
        return min(BLOCK_BYTES, max(FEWEST_BYTES, self.memory // 16))

    def blocks(
        self, among: Mask | None = None, *, block_bytes: int | None = None
    ) -> Iterator[tuple[Int[np.ndarray, " b"], Features]]:
        """Numbers of samples and their features, float32, each sample once, in the order of the store.

        Args:
            among: the samples that are meant; all unless given.
            block_bytes: of features at a time, at least one sample; None leaves it to the memory.
        """
        rows = self.order if among is None else self.order[among[self.order]]
        size = max(1, (self.block_bytes if block_bytes is None else block_bytes) // (4 * sum(self.widths)))
        for start in range(0, len(rows), size):
            yield rows[start : start + size], self.read(rows[start : start + size])

    def without_rows(self) -> FeatureSet:
        """The same names, sources and widths, and no samples: what an answer is labelled with."""
        return replace(self.labelled(), samples=self.samples[:0].copy(), excluded=self.excluded[:0].copy())

    def labelled(self) -> FeatureSet:
        """The same samples without their features."""
        blocks = tuple(np.empty((0, width), np.float32) for width in self.widths)
        return FeatureSet(self.reference, self.sources, self.samples, blocks, self.excluded, self.identity)


@dataclass(frozen=True)
class Selector:
    """Which stores are meant where several hold features of one model."""

    view: str | None = None
    """Policy (`center`) or full name (`center224`) of the view."""
    precision: str | None = None
    store: str | None = None
    """The beginning of a store's address or folder name."""
    perturb: str | None = None
    """Canonical name of a perturbation; unperturbed images where neither it nor `store` says otherwise."""
    crops: Literal["mean", "all"] = "mean"
    """Of a view with several crops an image: their mean, or each as a sample of its own."""

    def admits(self, store: Store) -> bool:
        """Whether the store is one of those meant."""
        settings = store.settings
        named = self.store is not None or self.view == settings.view_name
        return (
            (settings.perturbation == (self.perturb or "") or (named and self.perturb is None))
            and (self.view is None or self.view in (settings.view_name, settings.view.get("policy")))
            and (self.precision is None or self.precision == settings.precision)
            and (
                self.store is None or settings.address.startswith(self.store) or store.path.name.startswith(self.store)
            )
        )


def spell_need(features: FeatureSet | FeatureStream, needed: int, memory: int) -> str:
    """What a question of features would take with all of them in memory, in bytes, and what there is."""
    shape = f"{len(features.samples):,} × {sum(features.widths):,}"
    return f"{shape} features would take {spell_size(needed)}, --memory is {spell_size(memory)}"
