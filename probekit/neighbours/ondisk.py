"""Inverted lists on disk: the rows of an index that is larger than memory.

Rows are collected in memory up to a limit and written as a part; parts are mapped and searched as one, list by list.
Where the system allows it, a part loses its name once it is mapped: nothing is left of it when the process dies.
Within a list the rows stand in the order in which they came, as they do in memory, so that every search finds the same.
Parts are stacked rather than merged: adding to merged lists (`faiss.contrib.ondisk`) loses ids in FAISS 1.15.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from probekit.arrays import Features, Int
from probekit.neighbours.structures import FaissIndex, set_effort


@dataclass(eq=False)
class ListsOnDisk:
    """The rows of one index in the files of a folder."""

    collected: FaissIndex
    """Trained; it holds what is not written yet."""
    folder: Path
    """Where the parts lie as long as the index is searched; on POSIX systems they have no names there."""
    at_once: int
    """Bytes of rows that are collected in memory."""
    _parts: list[Any] = field(default_factory=list)
    """FAISS indexes, their lists mapped."""
    _stack: Any = None

    def add(self, unit: Features, ids: Int[np.ndarray, " n"]) -> None:
        """Take in rows of length 1."""
        most = max(1, self.at_once // (4 * self.collected.d))
        for start in range(0, len(unit), most):
            rows = unit[start : start + most]
            if self.collected.ntotal + len(rows) > most:
                self._write()
            self.collected.add_with_ids(rows, ids[start : start + most])

    def whole(self, effort: int | None = None) -> FaissIndex:
        """An index of all rows so far, which can be searched as long as this object and its folder are there.

        Args:
            effort: as `structures.effort`; as it comes unless given.
        """
        import faiss

        self._write()
        found: FaissIndex = faiss.clone_index(self.collected)
        lists = faiss.extract_index_ivf(found)
        pointers = faiss.InvertedListsPtrVector()
        for part in self._parts:
            pointers.push_back(faiss.extract_index_ivf(part).invlists)
        self._stack = faiss.HStackInvertedLists(pointers.size(), pointers.data())
        lists.replace_invlists(self._stack, False)
        found.ntotal = lists.ntotal = sum(part.ntotal for part in self._parts)
        if effort is not None:
            set_effort(found, effort)
        return found

    def _write(self) -> None:
        import faiss

        if self.collected.ntotal:
            path = self.folder / f"part-{len(self._parts)}.faiss"
            faiss.write_index(self.collected, str(path))
            self._parts.append(faiss.read_index(str(path), faiss.IO_FLAG_MMAP))
            if os.name == "posix":
                path.unlink()  # mapped, its bytes stay as long as this process lives, however that ends, and no longer
            self.collected.reset()
