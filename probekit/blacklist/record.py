"""The one small file that says what a blacklist is now: `blacklist.json`.

Every change writes new files beside the old ones and then puts another record in the place of this one, in one step.
Whoever reads a record finds everything that it names; a change that was cut short has left its record unwritten.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import probekit
from probekit.errors import BlacklistError, UsageError
from probekit.files import whole
from probekit.fingerprint import JSONValue, canonical_json, hash_bytes, plain
from probekit.heads.saved import Block
from probekit.store import StoreSettings

KIND = "probekit blacklist"
FORMAT = 1
FILE = "blacklist.json"


@dataclass(frozen=True)
class Segment:
    """Examples that were written together; its files are never changed."""

    name: str
    rows: int
    removed: int
    """Rows that are registered no more."""
    files: Mapping[str, str]
    """Name in `segments/` → SHA-256."""


@dataclass(frozen=True)
class Pool:
    """Non-mated searches of one kind, and the threshold that they alone would set."""

    name: str
    """`real`: images of nobody's. `registered`: examples, each searched without its own generator."""
    searches: int
    threshold: float | None
    """None: too few of them for this FPIR."""


@dataclass(frozen=True)
class Calibration:
    """A threshold and what set it."""

    fpir: float
    """The share of searches for unregistered images that may reach the threshold."""
    threshold: float
    """A similarity: an image whose nearest example is less alike is `unknown`."""
    pool: str
    """Name of the pool that set it."""
    pools: tuple[Pool, ...]
    real: str
    """Where the real images came from; empty where there were none."""
    examples: int
    """Registered when it was set."""
    generators: tuple[str, ...]
    added: int
    """`Record.added` then."""
    removed: int
    """`Record.removed` then."""
    set_at: str
    """UTC."""


@dataclass(frozen=True)
class Record:
    """Everything about a blacklist but the examples themselves."""

    name: str
    blocks: tuple[Block, ...]
    """The features that are compared, part by part."""
    created: str
    """UTC."""
    version: int = 1
    segments: tuple[Segment, ...] = ()
    generators: Mapping[str, int] = field(default_factory=dict)
    """Generator → its examples, in the order of registration."""
    added: int = 0
    """Examples that were ever registered."""
    removed: int = 0
    """Those of them that are no more."""
    calibrations: tuple[Calibration, ...] = ()
    """One for each FPIR, the last one set last."""

    @property
    def examples(self) -> int:
        """Number of registered examples."""
        return sum(segment.rows - segment.removed for segment in self.segments)

    @property
    def references(self) -> str:
        """`clip#cls@20`, several parts joined by `+`."""
        return "+".join(block.name for block in self.blocks)

    @property
    def width(self) -> int:
        """Numbers in one vector."""
        return sum(block.width for block in self.blocks)

    @property
    def title(self) -> str:
        """Features and views, for headings: `srm#blocks · native512`."""
        views = dict.fromkeys(block.settings.view_name for block in self.blocks)
        return f"{self.references} · {', '.join(views)}"

    def changed_since(self, calibration: Calibration) -> tuple[int, int]:
        """Examples that were added, and removed, since the threshold was set; its FPIR holds for (0, 0) only."""
        return self.added - calibration.added, self.removed - calibration.removed

    def to_json(self) -> dict[str, JSONValue]:
        """The record as its file holds it, without its seal."""
        blocks: list[JSONValue] = [
            {"tap": block.tap, "width": block.width, "settings": plain(block.settings), "store": block.settings.address}
            for block in self.blocks
        ]
        fields = plain(self)
        assert isinstance(fields, dict)  # a dataclass becomes an object
        return {"kind": KIND, "format": FORMAT, "probekit": probekit.__version__, **fields, "blocks": blocks}


def require_examples(record: Record) -> None:
    """Nothing, if anything is registered.

    Raises:
        UsageError: nothing is.
    """
    if not record.examples:
        raise UsageError(f"blacklist {record.name} has no examples yet: register some.")


def read_record(path: Path) -> Record:
    """What the blacklist in this folder is now.

    Raises:
        BlacklistError: there is none, or its record is damaged or newer than this probekit.
    """
    file = path / FILE
    try:
        return parse_record(file.read_bytes(), file)
    except (FileNotFoundError, NotADirectoryError):
        raise BlacklistError(f"there is no blacklist {path}: make it with `probekit blacklist create`.") from None
    except OSError as error:
        raise BlacklistError(f"{file}: cannot be read ({error.strerror or error}).") from error


def parse_record(data: bytes, source: object) -> Record:
    """The record in these bytes.

    Raises:
        BlacklistError: they are not those that were written; names the source.
    """
    try:
        sealed = json.loads(data)
        fields, seal = sealed["blacklist"], sealed["sha256"]
    except (ValueError, KeyError, TypeError):
        raise BlacklistError(
            f"{source}: damaged, or not the record of a blacklist: restore it from an export."
        ) from None
    if not isinstance(fields, dict) or fields.get("kind") != KIND:
        raise BlacklistError(f"{source}: not the record of a blacklist (it has no kind {KIND!r}).")
    version = fields.get("format")
    if not isinstance(version, int) or version > FORMAT:
        raise BlacklistError(
            f"{source}: of format {version}, written by probekit {fields.get('probekit')}; this one reads up to format "
            f"{FORMAT}: update probekit."
        )
    if seal != hash_bytes(canonical_json(fields).encode()):
        raise BlacklistError(
            f"{source}: changed since it was written (its SHA-256 differs): restore it from an export."
        )
    try:
        return _parsed(fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BlacklistError(f"{source}: damaged ({type(error).__name__}: {error}).") from error


def spell_record(record: Record) -> bytes:
    """The bytes of the record, sealed."""
    fields = record.to_json()
    sealed = {"blacklist": fields, "sha256": hash_bytes(canonical_json(fields).encode())}
    return (json.dumps(sealed, indent=1, allow_nan=False, ensure_ascii=False) + "\n").encode()


def write_record(path: Path, record: Record) -> None:
    """Make this the record of the folder: the step that a change consists of."""
    with whole(path / FILE) as draft:
        draft.write_bytes(spell_record(record))


def _parsed(fields: Mapping[str, Any]) -> Record:
    return Record(
        name=_text(fields["name"]),
        blocks=tuple(map(_block, fields["blocks"])),
        created=_text(fields["created"]),
        version=_count(fields["version"]),
        segments=tuple(map(_segment, fields["segments"])),
        generators={_text(name): _count(count) for name, count in fields["generators"].items()},
        added=_count(fields["added"]),
        removed=_count(fields["removed"]),
        calibrations=tuple(map(_calibration, fields["calibrations"])),
    )


def _block(fields: Mapping[str, Any]) -> Block:
    settings = StoreSettings(**fields["settings"])
    if settings.address != fields["store"]:
        raise ValueError(f"what it says of {settings.model} does not give the address of its store")
    return Block(_text(fields["tap"]), _count(fields["width"]), settings)


def _segment(fields: Mapping[str, Any]) -> Segment:
    files = {_text(name): _text(digest) for name, digest in fields["files"].items()}
    return Segment(_text(fields["name"]), _count(fields["rows"]), _count(fields["removed"]), files)


def _calibration(fields: Mapping[str, Any]) -> Calibration:
    pools = tuple(
        Pool(
            _text(pool["name"]),
            _count(pool["searches"]),
            None if pool["threshold"] is None else _number(pool["threshold"]),
        )
        for pool in fields["pools"]
    )
    return Calibration(
        fpir=_number(fields["fpir"]),
        threshold=_number(fields["threshold"]),
        pool=_text(fields["pool"]),
        pools=pools,
        real=_text(fields["real"]),
        examples=_count(fields["examples"]),
        generators=tuple(map(_text, fields["generators"])),
        added=_count(fields["added"]),
        removed=_count(fields["removed"]),
        set_at=_text(fields["set_at"]),
    )


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where words were expected")
    return value


def _count(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{value!r} where a count was expected")
    return value


def _number(value: object) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise TypeError(f"{value!r} where a number was expected")
    return float(value)
