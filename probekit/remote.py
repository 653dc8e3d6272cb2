"""Objects in buckets, by URL: their bytes, and what tells whether they have changed.

    s3://BUCKET/KEY    gs://BUCKET/KEY    az://CONTAINER/KEY    memory://NAME/KEY (of this process alone, for tests)

The key is taken as it stands: nothing in it is escaped or is a query. Credentials, endpoints and regions come from the
environment (`AWS_…`, `GOOGLE_…`, `AZURE_…`), never from a URL, so that none ends in a manifest or a record. Nothing is
ever listed. obstore reads and repeats what failed; it is imported when the first object is asked for.
"""

import functools
import hashlib
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, NamedTuple, TypeVar

from probekit.errors import ImageError, RemoteError, UsageError

SCHEMES = ("s3", "gs", "az", "memory")
AT_ONCE = 64
"""Objects that are asked for at one time where nothing else is to be done with them."""
TIMEOUT = timedelta(seconds=60)  # of one request, its body read
CONNECT_TIMEOUT = timedelta(seconds=5)
RETRY_TIME = timedelta(seconds=120)  # after which a request is not sent again
RETRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=15)
BODIES = 4  # times that an object is read from the start because its bytes broke off

T = TypeVar("T")

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]*)/?(.*)", re.DOTALL | re.IGNORECASE)
_DENIED = ("PermissionDeniedError", "UnauthenticatedError")


class ObjectStatus(NamedTuple):
    """What a file's status is to a file: it changes when the object does."""

    st_size: int
    st_mtime_ns: int
    """No time, but 63 bits of a hash of the ETag, or of the time of the last change where there is no ETag."""


def is_url(path: str) -> bool:
    """Whether this names an object, or something else that is no path."""
    return "://" in path and _URL.fullmatch(path) is not None


def refusal(url: str) -> str:
    """Why a URL is not read; empty if it is. The answer quotes nothing that could be secret."""
    found = _URL.fullmatch(url)
    scheme, bucket, key = found.groups() if found else ("", "", "")
    if "@" in bucket or re.search(r"\?[^/]*=", key):
        return "it holds credentials or a query: they belong into the environment (docs/remote.md)."
    if scheme == "file":
        return "" if not bucket and key else "write file:///PATH."
    if scheme not in SCHEMES:
        return f"{scheme}:// is not read: it is one of {', '.join(f'{known}://' for known in SCHEMES[:-1])} or a path."
    if not bucket or not key:
        return f"write {scheme}://BUCKET/KEY."
    return ""


def local_path(path: str) -> str:
    """The path that a `file://` URL means; anything else as it is."""
    return path.removeprefix("file://")


def full_path(root: str, path: str) -> str:
    """A path below the root, if it is not absolute; a URL as it is, but for `file://`, which is a path."""
    if is_url(path):
        return local_path(path)
    return os.path.normpath(os.path.join(root, path))  # noqa: PTH118  # a Path object a row takes seconds


def without_secrets(text: str) -> str:
    """The text with userinfo and queries of the URLs in it left out."""
    text = re.sub(r"(?<=://)[^/@\s]*@", "", text)
    return re.sub(r"(://[^?\s]*)\?[^\s]*=[^\s]*", r"\1", text)


def read(url: str) -> tuple[bytes, ObjectStatus]:
    """An object's bytes and the status that they had.

    Raises:
        ImageError: there is no such object, or not for us; the message reads well after a URL.
        RemoteError: the bucket cannot be reached, or shows us nothing at all.
        UsageError: the URL is not one that is read, or obstore is not installed.
    """
    for attempt in range(1, BODIES + 1):
        try:
            return _ask(url, _get)
        except RemoteError:
            if attempt == BODIES:
                raise
            time.sleep(FIRST_PAUSE.total_seconds() * 2**attempt)
    raise AssertionError  # the last attempt returned or raised


def statuses(urls: Sequence[str]) -> Iterator[ObjectStatus | None]:
    """The status of each object, None for one that is not there; many are asked for at once.

    Raises:
        RemoteError: a bucket cannot be reached.
        UsageError: as `read`.
    """
    if not urls:
        return
    with ThreadPoolExecutor(min(AT_ONCE, len(urls)), thread_name_prefix="head") as pool:
        yield from pool.map(_status, urls)


def _status(url: str) -> ObjectStatus | None:
    try:
        return _ask(url, _head)
    except ImageError:
        return None


def _get(store: Any, key: str) -> tuple[bytes, ObjectStatus]:  # noqa: ANN401  # obstore is not imported here
    import obstore

    found = obstore.get(store, key)
    return bytes(found.bytes()), _status_of(found.meta)


def _head(store: Any, key: str) -> ObjectStatus:  # noqa: ANN401
    import obstore

    return _status_of(obstore.head(store, key))


def _status_of(meta: Any) -> ObjectStatus:  # noqa: ANN401
    version = meta["e_tag"] or meta["last_modified"].isoformat()
    number = int.from_bytes(hashlib.blake2b(version.encode(), digest_size=8).digest(), "big") >> 1
    return ObjectStatus(meta["size"], number)


_open: set[tuple[str, str]] = set()
"""Buckets that have shown an object to this process: what they deny is that object alone."""


def _ask(url: str, how: Callable[[Any, str], T]) -> T:
    if reason := refusal(url):
        raise UsageError(f"{without_secrets(url)}: {reason}")
    scheme, bucket, key = _URL.fullmatch(url).groups()  # type: ignore[union-attr]  # else it was refused
    store = store_of(scheme, bucket)
    from obstore.exceptions import BaseError

    try:
        answer = how(store, key)
    except FileNotFoundError as error:
        raise ImageError("there is no such object.") from error
    except (BaseError, OSError, ValueError) as error:
        denied = type(error).__name__ in _DENIED or isinstance(error, PermissionError)
        if denied and (scheme, bucket) in _open:
            raise ImageError("it may not be read, or is not there.") from error
        what = "may not be read: are the credentials in the environment?" if denied else _first_line(error)
        raise RemoteError(f"{scheme}://{bucket}/{key}: {what} What was finished before is kept.") from error
    _open.add((scheme, bucket))
    return answer


def _first_line(error: Exception) -> str:
    line = str(error).strip().partition("\n")[0]
    if "169.254.169.254" in line or "metadata.google.internal" in line:  # a machine's role was the last resort
        return "may not be read: there are no credentials in the environment (docs/remote.md)."
    return f"cannot be read ({without_secrets(line)}): try again when the bucket can be reached."


_opening = threading.Lock()


def store_of(scheme: str, bucket: str) -> Any:  # noqa: ANN401
    """The bucket, open; one object for all threads.

    Raises:
        UsageError: obstore is not installed.
    """
    with _opening:
        return _store(scheme, bucket)


@functools.cache
def _store(scheme: str, bucket: str) -> Any:  # noqa: ANN401
    try:
        from obstore import store as stores
    except ImportError as error:
        raise UsageError("s3://, gs:// and az:// are read by obstore: pip install 'probekit[remote]'.") from error
    if scheme == "memory":
        return stores.MemoryStore()
    plain = any(value.startswith("http://") for name, value in os.environ.items() if "ENDPOINT" in name)
    options = {
        "client_options": {"timeout": TIMEOUT, "connect_timeout": CONNECT_TIMEOUT, "allow_http": plain},
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": RETRY_TIME,
            "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": LONGEST_PAUSE, "base": 2},
        },
    }
    kinds = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}
    return kinds[scheme](bucket, **options)
