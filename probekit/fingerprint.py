"""Content addresses: SHA-256 of bytes, of files and of settings."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

JSONValue = None | bool | int | float | str | list[Any] | dict[str, Any]

ADDED_LATER = {"absent": "at its default"}
"""Metadata of a field that a settings class got after addresses had been made of it: it counts only when it is set, so
that settings without it keep the address they had."""


def hash_bytes(data: bytes) -> str:
    """Hexadecimal SHA-256 of the bytes."""
    return hashlib.sha256(data).hexdigest()


def hash_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file, read once in blocks."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(settings: object) -> str:
    """Hexadecimal SHA-256 of settings: equal settings have equal fingerprints on every machine.

    Dictionaries are compared without order. A float is written by `repr`, so 0.1 is 0.1 everywhere.
    """
    return hash_bytes(canonical_json(settings).encode())


def canonical_json(settings: object) -> str:
    """One spelling for equal settings: sorted keys, no white space, NaN refused."""
    return json.dumps(plain(settings), sort_keys=True, separators=(",", ":"), allow_nan=False, ensure_ascii=True)


def plain_object(value: object) -> dict[str, JSONValue]:
    """A dataclass or a mapping in JSON's own types, as `plain` makes it.

    Raises:
        TypeError: the value is something else, or has a part that JSON cannot hold.
    """
    found = plain(value)
    if not isinstance(found, dict):
        raise TypeError(f"{type(value).__name__} becomes no JSON object")
    return found


def plain(value: object) -> JSONValue:
    """The value in JSON's own types: dataclasses become objects, tuples lists, paths strings.

    A field that was `ADDED_LATER` is left out where it has its default.

    Raises:
        TypeError: the value has a part that JSON cannot hold.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if _counts(value, field)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=repr)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be part of settings: use numbers, strings, lists or dataclasses.")


def _counts(settings: object, field: "dataclasses.Field[Any]") -> bool:
    return field.metadata != ADDED_LATER or getattr(settings, field.name) != field.default
