"""Why images could not be read: small files of the journal, each named by the SHA-256 of its bytes."""

import json
from collections.abc import Mapping

from probekit.errors import StoreCorruptError
from probekit.fingerprint import canonical_json, hash_bytes
from probekit.paths import AnyPath
from probekit.store.files import write_whole

FOLDER = "journal/reasons"


def write_reasons(store: AnyPath, reasons: Mapping[str, str]) -> None:
    """Keep reasons, key in hexadecimal → why; no file for none.

    Raises:
        StoreError: the store cannot be written.
    """
    if not reasons:
        return
    data = canonical_json(reasons).encode()
    write_whole(store / FOLDER / f"{hash_bytes(data)}.json", data)


def reason_files(store: AnyPath) -> list[AnyPath]:
    """The files of a store, by name."""
    return sorted((store / FOLDER).glob("[0-9a-f]*.json"))


def read_reasons(file: AnyPath) -> dict[str, str]:
    """What a file holds, checked against its name.

    Raises:
        FileNotFoundError: the store was pruned in the meantime.
        StoreCorruptError: its bytes are not those that were written.
    """
    data = file.read_bytes()
    if hash_bytes(data) != file.stem:
        raise StoreCorruptError(f"{file} is damaged: delete it; the reasons of some failed images are lost with it.")
    reasons: dict[str, str] = json.loads(data)
    return reasons
