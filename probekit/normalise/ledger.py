"""The ledger of a folder of copies: what each finished copy was made of, so that a second run keeps only those.

One line of JSON a copy, written when the copy is whole; of several lines for one copy the last counts. What a kill left
of a line counts for nothing: that copy is made again.
"""

import json
from collections.abc import Iterable
from os import stat_result
from pathlib import Path
from typing import NamedTuple

LEDGER = "copies.jsonl"


class Origin(NamedTuple):
    """What a copy was made of."""

    source: str
    """The full name of the sample, or the path of the mask."""
    size: int
    """Bytes of the file, archive or video."""
    mtime_ns: int

    @classmethod
    def of(cls, source: str, stat: stat_result) -> "Origin":
        """The source as it is."""
        return cls(source, stat.st_size, stat.st_mtime_ns)


class Ledger:
    """What the copies of one folder were made of."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._file = folder, folder / LEDGER
        self._origins = dict(_read(self._file))

    def holds(self, copy: str, source: str, file: Path) -> bool:
        """Whether an earlier run left a whole copy of this source as its file is now."""
        try:
            written, origin = (self._folder / copy).stat(), Origin.of(source, file.stat())
        except OSError:
            return False
        same = self._origins.get(copy) == origin
        return same and written.st_size > 0 and written.st_mtime_ns == origin.mtime_ns

    def add(self, copies: Iterable[tuple[str, Origin]]) -> None:
        """These copies are whole: a later run may keep them."""
        lines = [json.dumps({"copy": copy, **origin._asdict()}) + "\n" for copy, origin in copies]
        if lines:
            with self._file.open("a", encoding="utf-8") as file:
                file.writelines(lines)


def _read(file: Path) -> Iterable[tuple[str, Origin]]:
    if not file.is_file():
        return
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            found = json.loads(line)
            yield found.pop("copy"), Origin(**found)
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # cut off by a kill
