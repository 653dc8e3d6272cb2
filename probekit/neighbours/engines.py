"""Engines: a gallery in a FAISS index that is built once, searched often, changed and kept in a file.

Rows are found by cosine under int64 ids that the caller gives. `flat` finds the nearest rows, to the rounding of
float32; the others find most of them, many times faster, and say how many: `Index.recall`.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from probekit.arrays import Features, Float, Int
from probekit.errors import StoreCorruptError, StoreError, UnknownNameError, UsageError
from probekit.files import whole
from probekit.neighbours import structures
from probekit.neighbours.blocks import Blocks
from probekit.neighbours.gpu import moved
from probekit.neighbours.ondisk import ListsOnDisk
from probekit.neighbours.recall import Trial
from probekit.neighbours.rows import normalised
from probekit.neighbours.structures import ENGINES, TRAINED, FaissIndex

AFFORDABLE = 1 << 28  # numbers that one query of flat reads: 1 GiB, about 0.1 s
SHARE = 0.5  # of the memory, for the index
ASSUMED_MEMORY = 4 << 30  # bytes, on systems that do not tell
AT_ONCE = 1 << 28  # bytes of rows in memory on their way to disk
TRIED = 256  # gallery rows at most that recall is measured on


def choose_engine(n: int, d: int, *, memory: int | None = None) -> str:
    """The engine for n rows of d features.

    flat while a query reads at most 2²⁸ numbers (350,000 rows of 768) and the rows fit half of the memory; ivf beyond
    that, while they fit; then ivfpq, a sixteenth of the size. Never hnsw, which cannot forget rows and is slow to
    build: it is chosen by name.

    Args:
        n: gallery rows.
        d: features of a row.
        memory: bytes; what the system has available now, unless given.
    """
    fits = 4 * n * d <= SHARE * (available_memory() if memory is None else memory)
    if not fits:
        return "ivfpq"
    return "flat" if n * d <= AFFORDABLE else "ivf"


def available_memory() -> int:
    """Bytes that can be had without swapping; 4 GiB where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.exists():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    names = getattr(os, "sysconf_names", {})
    if "SC_PHYS_PAGES" in names:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return ASSUMED_MEMORY


@dataclass(eq=False)
class Index:
    """Rows that are found by cosine, under the ids they were given."""

    engine: str
    """One of `ENGINES`."""
    recall: float | None
    """Share of the 10 nearest rows that a sample of rows, held back until then, found when the index was built; None of
    flat, of an index that was read from a file, and of one that has too few rows."""
    device: str
    """`cpu`, or `cuda:0` …"""
    _faiss: FaissIndex = field(repr=False)
    mapped: bool = False
    """Its rows lie in its file, or in a folder, and it cannot be changed."""
    _lists: ListsOnDisk | None = field(default=None, repr=False)
    """What keeps the rows of a folder mapped."""

    @classmethod
    def build(
        cls,
        blocks: Features | Iterable[Features],
        ids: Int[np.ndarray, " n"],
        engine: str,
        *,
        seed: int = 0,
        device: str = "cpu",
        folder: Path | None = None,
        at_once: int = AT_ONCE,
    ) -> "Index":
        """An index of all rows. ivf and ivfpq learn their cells and codes from a seeded sample of them.

        Of all engines but flat, the effort of a search (cells read, or nodes walked) is the smallest with which
        a sample of the gallery's rows finds at least 95 % of its 10 nearest other rows.

        Args:
            blocks: all rows, or blocks of them, one of which is in memory at a time. They are gone through up to three
                times, so that an iterator, which can be gone through once, is not enough.
            ids: one for each row, each once, from 0.
            engine: one of `ENGINES`.
            seed: of the sample, k-means and the graph. A graph is the same again only on one thread.
            device: `cpu`, or `cuda:0` to search there.
            folder: an empty folder on whose disk the rows of ivf and ivfpq lie instead of in memory, for as long as the
                index is searched; on POSIX systems the files have no names. None keeps them in memory. What is found
                is the same.
            at_once: bytes of rows that are in memory on their way to the folder.

        Raises:
            UnknownNameError: there is no such engine.
            UsageError: no rows, too few to learn from, ids that do not fit them, no such device, or an engine whose
                rows cannot lie in a folder.
        """
        if engine not in ENGINES:
            raise UnknownNameError(f"there is no engine '{engine}': choose from {', '.join(ENGINES)}.")
        if folder is not None and engine not in TRAINED:
            raise UsageError(f"the rows of {engine} lie in memory: choose {' or '.join(TRAINED)} for a folder.")
        parts, ids = Blocks.of(blocks), _distinct(ids)
        rng = np.random.default_rng(seed)
        training = parts.take(_sample(rng, len(ids), structures.training_rows(engine, len(ids), parts.width)))
        tried = _sample(rng, len(ids), 0 if engine == "flat" else min(TRIED, len(ids) // 10))
        trial = Trial.of(parts.take(tried), np.delete(ids, tried))
        index = cls(engine, None, "cpu", structures.empty(engine, training, len(ids), seed))
        lists = None if folder is None else ListsOnDisk(index._faiss, folder, at_once)
        done = 0
        for start, block in parts:
            done = start + len(block)
            rows = np.delete(block, tried[(tried >= start) & (tried < done)] - start, axis=0)
            (lists.add if lists else index._add)(rows, trial.ids[trial.seen : trial.seen + len(rows)])
            trial.see(rows)
        if done != len(ids):
            raise UsageError(f"there are {len(ids):,} ids for {done:,} rows: give one for each row.")
        if lists:
            index._faiss = lists.whole()
        index.recall = trial.tune(index._faiss, exact_values=engine != "ivfpq")
        if lists:
            lists.add(trial.queries, ids[tried])
            index = replace(index, mapped=True, _faiss=lists.whole(effort=index.effort), _lists=lists)
        else:
            index._add(trial.queries, ids[tried])
        return index.to(device)

    @classmethod
    def read(cls, path: Path, *, device: str = "cpu", mapped: bool = False) -> "Index":
        """The index that `write` put there.

        Args:
            path: the file.
            device: as in `build`.
            mapped: leave the rows in the file, for what does not fit memory; the index cannot be changed then.

        Raises:
            StoreError: there is no such file.
            StoreCorruptError: it is no index of this module.
        """
        import faiss

        if not path.is_file():
            raise StoreError(f"there is no index at {path}: build one.")
        try:
            found = faiss.read_index(str(path), faiss.IO_FLAG_MMAP if mapped else 0)
        except RuntimeError as error:
            raise StoreCorruptError(f"{path} cannot be read as a FAISS index: build it anew.") from error
        engine = structures.engine_of(found)
        if engine is None:
            raise StoreCorruptError(f"{path} holds a FAISS index that is none of {', '.join(ENGINES)} by cosine.")
        return cls(engine, None, "cpu", found, mapped).to(device)

    def write(self, path: Path) -> None:
        """Put the index into one file, in FAISS's own format: the new one whole, or still the old one."""
        import faiss

        kept = self._faiss if self.device == "cpu" else faiss.index_gpu_to_cpu(self._faiss)
        with whole(path) as draft:
            faiss.write_index(kept, str(draft))

    def __len__(self) -> int:
        return int(self._faiss.ntotal)

    @property
    def width(self) -> int:
        """Features of a row."""
        return int(self._faiss.d)

    @property
    def effort(self) -> int | None:
        """What a query is compared with: `nprobe` of ivf and ivfpq, `efSearch` of hnsw; None of flat: all."""
        return structures.effort(self._faiss)

    def add(self, rows: Features, ids: Int[np.ndarray, " m"]) -> None:
        """Take in more rows, under ids that are not in use: FAISS would keep both.

        Cells and codes stay as they were learnt: an index that has grown by more than half is better built anew.

        Raises:
            UsageError: the widths differ, there is not one id for each row, or the index is mapped.
        """
        self._changeable()
        self._same_width(rows)
        self._add(normalised(rows), _distinct(ids))

    def remove(self, ids: Int[np.ndarray, " m"]) -> int:
        """Forget the rows of these ids; how many there were. Ids that are not in the index are passed over.

        Raises:
            UsageError: a graph cannot forget rows, nor can an index that is mapped or on a GPU.
        """
        self._changeable()
        if self.engine == "hnsw":
            raise UsageError(
                "hnsw cannot remove rows from its graph: build it anew without them, or choose flat or ivf."
            )
        if self.device != "cpu":
            raise UsageError(f"rows cannot be removed on {self.device}: move the index to the cpu, and back.")
        return int(self._faiss.remove_ids(np.ascontiguousarray(ids, dtype=np.int64)))

    def search(self, queries: Features, k: int) -> tuple[Float[np.ndarray, "q k"], Int[np.ndarray, "q k"]]:
        """Similarities (float32, highest first) and ids of the k rows nearest to each query.

        The similarities of ivfpq are those of the rows' codes, so that they can lie above 1. Where fewer rows are found
        than k, the rest are -inf and -1.

        Raises:
            UsageError: k is below 1, or the widths differ.
        """
        self._same_width(queries)
        if k < 1:
            raise UsageError(f"k is {k}: ask for at least 1 neighbour.")
        similarities, ids = self._faiss.search(normalised(queries), k)
        similarities[ids < 0] = -np.inf
        return similarities, ids

    def rows(self, ids: Int[np.ndarray, " m"]) -> Features:
        """The rows of these ids, of length 1, as ivf holds them; its ids must count from 0 without gaps."""
        return structures.reconstructed(self._faiss, ids)

    def to(self, device: str) -> "Index":
        """The same index on `cpu` or on a GPU (`cuda:0`), through faiss-gpu.

        Raises:
            UsageError: no such device, no faiss-gpu, or an engine that has no form for GPUs.
        """
        if device == self.device:
            return self
        return replace(self, device=device, _faiss=moved(self._faiss, self.engine, device), mapped=False)

    def _add(self, unit: Features, ids: Int[np.ndarray, " m"]) -> None:
        if len(ids) != len(unit):
            raise UsageError(f"there are {len(ids):,} ids for {len(unit):,} rows: give one for each row.")
        if len(unit):
            self._faiss.add_with_ids(unit, ids)

    def _changeable(self) -> None:
        if self.mapped:
            raise UsageError("an index that is mapped from its file cannot be changed: read it into memory.")

    def _same_width(self, rows: Features) -> None:
        if rows.shape[1] != self.width:
            raise UsageError(
                f"rows have {rows.shape[1]} features and the index {self.width}: use features of one model and tap."
            )


def _distinct(ids: Int[np.ndarray, " n"]) -> Int[np.ndarray, " n"]:
    """The ids as int64; all of them different, and none of them -1, which means nothing found."""
    ids = np.ascontiguousarray(ids, dtype=np.int64)
    if len(ids) and ids.min() < 0:
        raise UsageError(f"{ids.min()} is no id: ids count from 0.")
    if len(np.unique(ids)) < len(ids):
        raise UsageError("an id is given twice: give every row its own.")
    return ids


def _sample(rng: np.random.Generator, n: int, size: int) -> Int[np.ndarray, " m"]:
    """Different positions below n, ascending; all of them where there are not more."""
    return np.sort(rng.choice(n, min(size, n), replace=False))
