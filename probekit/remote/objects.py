"""Bytes of objects, and what tells whether they have changed. Nothing is ever listed here."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from probekit.errors import ImageError
from probekit.remote.buckets import DeniedError, answering, repeated, store_of
from probekit.remote.urls import parts_of

if TYPE_CHECKING:
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

AT_ONCE = 64
"""Objects that are asked for at one time where nothing else is to be done with them."""
QUEUE = 4096  # objects that wait for it: each takes two kilobytes, and there may be ten million

T = TypeVar("T")


class ObjectStatus(NamedTuple):
    """What a file's status is to a file: it changes when the object does."""

    st_size: int
    st_mtime_ns: int
    """No time, but 63 bits of a hash of the ETag, or of the time of the last change where there is no ETag."""


def read(url: str) -> tuple[bytes, ObjectStatus]:
    """An object's bytes and the status that they had.

    Raises:
        ImageError: there is no such object, or not for us; the message reads well after a URL.
        RemoteError: the bucket cannot be reached, or shows us nothing at all.
        UsageError: the URL is not one that is read, or obstore is not installed.
    """
    return repeated(lambda: _ask(url, _get))


def statuses(urls: Sequence[str]) -> Iterator[ObjectStatus | None]:
    """The status of each object, None for one that is not there; many are asked for at once.

    Raises:
        RemoteError: a bucket cannot be reached.
        UsageError: as `read`.
    """
    if not urls:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(urls)), thread_name_prefix="head") as pool:
        for start in range(0, len(urls), QUEUE):
            yield from pool.map(_status, urls[start : start + QUEUE])


def _status(url: str) -> ObjectStatus | None:
    try:
        return _ask(url, _head)
    except ImageError:
        return None


def _get(store: "ObjectStore", key: str) -> tuple[bytes, ObjectStatus]:
    from probekit.remote.library import obstore

    found = obstore.get(store, key)
    return bytes(found.bytes()), _status_of(found.meta)


def _head(store: "ObjectStore", key: str) -> ObjectStatus:
    from probekit.remote.library import obstore

    return _status_of(obstore.head(store, key))


def _status_of(meta: "ObjectMeta") -> ObjectStatus:
    version = meta["e_tag"] or meta["last_modified"].isoformat()
    number = int.from_bytes(hashlib.blake2b(version.encode(), digest_size=8).digest(), "big") >> 1
    return ObjectStatus(meta["size"], number)


_open: set[tuple[str, str]] = set()
"""Buckets that have shown an object to this process: what they deny is that object alone."""


def _ask(url: str, how: "Callable[[ObjectStore, str], T]") -> T:
    scheme, bucket, key = parts_of(url)
    store = store_of(scheme, bucket)
    try:
        with answering(f"{scheme}://{bucket}/{key}"):
            answer = how(store, key)
    except FileNotFoundError as error:
        raise ImageError("there is no such object.") from error
    except ValueError as error:
        raise ImageError("its key holds control characters, which obstore does not read.") from error
    except DeniedError as error:
        if (scheme, bucket) in _open:
            raise ImageError("it may not be read, or is not there.") from error
        raise
    _open.add((scheme, bucket))
    return answer
