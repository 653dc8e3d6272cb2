"""The seal: what a store must at least hold, so that what has no checksum is watched over too.

Every chunk carries a checksum, but a deleted chunk carries none, and neither does `zarr.json`. The seal has the
SHA-256 of each `zarr.json` and the number of rows of each tap. It is written with the store and again as the last step
of a fold; while a fold is under way, it promises only what the fold does not change, so a fold that was killed is no
damage. Within one generation rows are never removed, so their numbers hold at any time; `prune` makes a new generation,
which takes the place of the old one as a whole.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from probekit.errors import StoreCorruptError
from probekit.fingerprint import canonical_json, hash_bytes, plain
from probekit.paths import AnyPath, names_below
from probekit.store.files import write_whole

FILE = "journal/seal.json"
FIXED = ("zarr.json", "journal/zarr.json", "journal/*/zarr.json")
ARRAYS = "*/zarr.json"


@dataclass(frozen=True)
class Seal:
    """What the store promises."""

    rows: Mapping[str, int]
    """Tap → rows that are done or failed."""
    metadata: Mapping[str, str]
    """File → its SHA-256."""
    folding: bool
    """A fold is under way, or was killed."""
    stamp: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Different for every seal: another stamp tells that rows have moved."""
    generation: str = ""
    """Different once rows were removed: what was known of their places before holds no longer."""

    @classmethod
    def of(cls, store: AnyPath, rows: Mapping[str, int], *, folding: bool, generation: str = "") -> "Seal":
        """The seal that the store deserves now."""
        patterns: Sequence[str] = FIXED if folding else (*FIXED, ARRAYS)
        files = sorted({name for pattern in patterns for name in names_below(store, pattern)})
        digests = {name: hash_bytes((store / name).read_bytes()) for name in files}
        return cls(rows, digests, folding, generation=generation)

    @classmethod
    def read(cls, store: AnyPath) -> "Seal | None":
        """The seal as it was written; None for a store that has none.

        Raises:
            StoreCorruptError: it was changed.
        """
        try:
            data = (store / FILE).read_bytes()
        except FileNotFoundError:
            return None
        try:
            written = json.loads(data)
            if written["sha256"] == hash_bytes(canonical_json(written["seal"]).encode()):
                return cls(**written["seal"])
        except (ValueError, KeyError, TypeError):
            pass  # the same remedy
        raise StoreCorruptError(f"{store / FILE} is damaged: remove the store and extract again.")

    def write(self, store: AnyPath) -> None:
        """Put the seal in place of the one before."""
        write_whole(store / FILE, self.to_bytes())

    def to_bytes(self) -> bytes:
        """The seal as it is written, with the SHA-256 of itself."""
        seal = plain(self)
        return canonical_json({"seal": seal, "sha256": hash_bytes(canonical_json(seal).encode())}).encode()

    def broken(self, store: AnyPath) -> list[AnyPath]:
        """Metadata that is not what it was when the seal was written."""
        return [store / name for name, digest in self.metadata.items() if _hash(store / name) != digest]

    def missing(self, rows: Mapping[str, int]) -> list[str]:
        """Taps that have fewer rows than the seal promises."""
        return [tap for tap, count in self.rows.items() if rows.get(tap, 0) < count]


def _hash(file: AnyPath) -> str | None:
    try:
        return hash_bytes(file.read_bytes())
    except FileNotFoundError:
        return None
