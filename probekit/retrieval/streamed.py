"""The rows of features that are larger than memory, read whenever they are searched or searched in.

The closed set is ranked through `ivf`, whose lists lie on disk; the open set is compared with every row, a block at a
time. Each row's vector is a function of that row alone, so that what is found is what is found in memory.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Features, Int
from probekit.errors import UsageError
from probekit.features import FeatureStream, spell_need
from probekit.neighbours import Indexed, Neighbours, RowsOnDisk, numbered_blocks, search_blocks
from probekit.probes.conditions import fit_condition
from probekit.projections import Projection
from probekit.protocols import require_finite
from probekit.retrieval.bank import Bank
from probekit.retrieval.rows import Turn
from probekit.retrieval.settings import RetrievalSettings

IVF = "ivf"
COPIES = 9  # of the float32 features, themselves among them: 5 to 8 were measured, whatever the folds

LEAST_SHARE = 1 << 20
QUERIES = 1 / 8  # of the memory, because rows take seven times as much while they are conditioned in float64
COLLECTED = 1 / 4  # beside a block that is conditioned


def memory_needed(samples: pd.DataFrame, width: int) -> int:
    """Bytes that searches take with features in memory: these, vectors, and copies of both while they are conditioned.

    Args:
        samples: all of them.
        width: columns of a sample's features.
    """
    return COPIES * 4 * len(samples) * width


def require_streamable(
    stream: FeatureStream, settings: RetrievalSettings, engine: str, projection: Projection | None
) -> None:
    """Nothing, if the question is answered over blocks.

    Args:
        stream: the features.
        settings: of the question.
        engine: what ranks a gallery of this size.
        projection: that is asked for.

    Raises:
        UsageError: it is not; what to do instead.
    """
    why = None
    if engine != IVF:
        why = f"--index {settings.index} needs them all: take --index {IVF}"
    elif settings.fitted:
        why = f"--condition {settings.condition} learns from them all: take l2, raw or layernorm"
    elif projection is not None:
        why = "a projection learns from them all: leave --project out"
    if why:
        sizes = spell_need(stream, memory_needed(stream.samples, sum(stream.widths)), stream.memory)
        raise UsageError(f"{sizes}, and {why}; or give more --memory.")


@dataclass(frozen=True)
class StreamedBank(Bank):
    """All samples, and where their vectors come from; `vectors` has none of them."""

    stream: FeatureStream
    condition: str
    folder: Path | None
    """Where lists lie while they are searched; the system's own for such things, unless given."""

    @classmethod
    def over(cls, stream: FeatureStream, turn: Turn, settings: RetrievalSettings, folder: Path | None) -> Bank:
        """Nothing read yet; the turn makes no difference, because nothing is learned from it."""
        nothing = np.empty((0, sum(stream.widths)), np.float32)
        return cls(stream.samples, nothing, None, stream, settings.condition, folder)

    def rows(self, numbers: Int[np.ndarray, " m"]) -> Features:
        """Read, conditioned, every part of length 1.

        Raises:
            ModelError: a feature is not finite.
        """
        found, widths = self.stream.read(numbers), self.stream.widths
        require_finite(self.samples.iloc[numbers], [found])
        for name in dict.fromkeys((self.condition, "l2")):
            found = fit_condition(name, found[:0], widths).apply(found)
        return found.astype(np.float32)

    def search(self, queries: Int[np.ndarray, " q"], gallery: Int[np.ndarray, " n"], k: int) -> Neighbours:
        """As that of a bank in memory, with a block of the gallery at a time."""
        parts = [np.empty((0, k), np.int64)], [np.empty((0, k), np.float32)]
        step = max(1, self._share(QUERIES) // (4 * self.width))
        for start in range(0, len(queries), step):
            some = queries[start : start + step]
            blocks = numbered_blocks(_Gallery(self, gallery), self.group[gallery])
            found = search_blocks(self.rows(some), blocks, k, self.group[some])
            parts[0].append(np.append(gallery, -1)[found.indices])
            parts[1].append(found.similarities)
        return Neighbours(np.concatenate(parts[0]), np.concatenate(parts[1]))

    @contextmanager
    def indexed(self, gallery: Int[np.ndarray, " n"], engine: str, seed: int) -> Iterator[Indexed]:
        """These rows in lists on disk, which are deleted afterwards."""
        blocks, groups = _Gallery(self, gallery), self.group[gallery]
        with tempfile.TemporaryDirectory(prefix="probekit-lists-", dir=self.folder) as lists:
            yield RowsOnDisk.of(blocks, groups, engine, Path(lists), at_once=self._share(COLLECTED), seed=seed)

    def _share(self, share: float) -> int:
        """Bytes of rows at one time, out of the memory; no fewer than cost no time to speak of."""
        return max(LEAST_SHARE, int(share * self.stream.memory))


@dataclass(frozen=True)
class _Gallery:
    """Some rows of a bank, a block at a time, as often as they are asked for."""

    bank: StreamedBank
    numbers: Int[np.ndarray, " n"]

    def __iter__(self) -> Iterator[Features]:
        step = max(1, self.bank.stream.block_bytes // (4 * self.bank.width))
        for start in range(0, max(1, len(self.numbers)), step):
            yield self.bank.rows(self.numbers[start : start + step])
