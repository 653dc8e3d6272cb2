"""Writers: with which versions of the libraries a store was written.

Those of its creation stand in its attributes. Others that were admitted later, by name, are small files of the
journal, each named by the SHA-256 of its bytes: any number of processes may add theirs at once.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

from probekit.errors import StoreCorruptError, StoreError
from probekit.fingerprint import canonical_json, hash_bytes
from probekit.paths import AnyPath
from probekit.records import public_version, versions
from probekit.store.files import write_whole

FILES = "journal/writer-*.json"


def admit(store: AnyPath, writers: Sequence[Mapping[str, str]], libraries: Sequence[str], *, mixed: bool) -> str:
    """Nothing, if this process may write rows beside those in the store; else what is different, accepted and recorded.

    Args:
        store: its folder.
        writers: library → version of everybody who has written.
        libraries: those that can change a feature.
        mixed: other versions are welcome: now, and from now on.

    Raises:
        StoreError: the store has rows of other versions of these libraries, and `mixed` does not welcome ours.
    """
    ours = versions()
    others = "; ".join(differences(writers, ours, libraries))
    if others and not mixed:
        raise StoreError(
            f"{store.name} was written with other versions ({others}): install the same, name another --cache, "
            "or add to it all the same with --mixed-versions."
        )
    if others:
        add_writer(store, {library: ours[library] for library in libraries if library in ours})
    return others


def add_writer(store: AnyPath, versions: Mapping[str, str]) -> None:
    """Keep library → version of somebody who writes into the store beside its creator.

    Raises:
        StoreError: the store cannot be written.
    """
    data = canonical_json(versions).encode()
    path = store / "journal" / f"writer-{hash_bytes(data)}.json"
    if not path.exists():
        write_whole(path, data)


def added_writers(store: AnyPath) -> list[dict[str, str]]:
    """Library → version of each writer that was admitted after the creation.

    Raises:
        StoreCorruptError: the bytes of a file are not those that were written.
    """
    found: list[dict[str, str]] = []
    for file in sorted(store.glob(FILES)):
        data = file.read_bytes()
        if hash_bytes(data) != file.stem.removeprefix("writer-"):
            raise StoreCorruptError(f"{file} is damaged: delete it; which versions wrote here is lost with it.")
        found.append(json.loads(data))
    return found


def differences(writers: Iterable[Mapping[str, str]], ours: Mapping[str, str], libraries: Iterable[str]) -> list[str]:
    """`torch 2.9.1 there, 2.10.0 here` for each library of which no writer has our version.

    Builds of one version (`2.10.0+cpu`, `2.10.0+cu130`) are alike, as heterogeneous machines need them; a library that
    one side has not recorded is not compared.
    """
    found = []
    for library in libraries:
        theirs = [public_version(writer[library]) for writer in writers if library in writer]
        if theirs and library in ours and public_version(ours[library]) not in theirs:
            found.append(f"{library} {', '.join(dict.fromkeys(theirs))} there, {public_version(ours[library])} here")
    return found
