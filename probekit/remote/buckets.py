"""Buckets, opened once, and one clear line where one cannot be reached."""

import asyncio
import contextlib
import functools
import re
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from probekit.errors import RemoteError, UsageError
from probekit.remote.settings import FAMILIES, NEEDS, fault, is_plain
from probekit.remote.urls import without_secrets

if TYPE_CHECKING:
    from obstore.store import ObjectStore

TIMEOUT = timedelta(seconds=60)  # of one request, its body read
CONNECT_TIMEOUT = timedelta(seconds=5)
RETRY_TIME = timedelta(seconds=120)  # after which a request is not sent again
RETRIES = 8
FIRST_PAUSE, LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=15)

TRIES = 4  # of a request of which the answer broke off
KEPT = "What was finished before is kept."
T = TypeVar("T")

_DENIED = ("PermissionDeniedError", "UnauthenticatedError")
_NO_BUCKET = re.compile("NoSuchBucket|ContainerNotFound")
_SENT_AGAIN = re.compile(r", after \d+ retries, max_retries: ")  # what obstore says of it; it has no error for that


_opening = threading.Lock()


def store_of(scheme: str, bucket: str, prefix: str = "") -> "ObjectStore":
    """The bucket, open, or what begins with a prefix in it; one object for all threads.

    Raises:
        UsageError: obstore is not installed, or cannot open it as the environment says.
    """
    with _opening:
        return _store(scheme, bucket, prefix)


@functools.cache
def _store(scheme: str, bucket: str, prefix: str) -> "ObjectStore":
    from probekit.remote.library import exceptions
    from probekit.remote.library import store as stores

    if scheme == "memory":
        return stores.MemoryStore()
    if reason := fault(scheme):
        raise UsageError(f"{scheme}://{bucket}: {reason}")
    options = {
        "client_options": {"timeout": TIMEOUT, "connect_timeout": CONNECT_TIMEOUT, "allow_http": is_plain(scheme)},
        "retry_config": {
            "max_retries": RETRIES,
            "retry_timeout": RETRY_TIME,
            "backoff": {"init_backoff": FIRST_PAUSE, "max_backoff": LONGEST_PAUSE, "base": 2},
        },
    }
    kinds = {"s3": stores.S3Store, "gs": stores.GCSStore, "az": stores.AzureStore}
    try:
        return kinds[scheme](bucket, prefix=prefix or None, **options)
    except exceptions.BaseError as error:
        reason = re.sub(r'"[^"]*"', "…", str(error).partition("\n")[0])  # what it quotes may be secret
        raise UsageError(
            f"{scheme}://{bucket}: cannot be opened ({reason}): correct {FAMILIES[scheme]} in the environment. "
            f"It needs {NEEDS[scheme]}."
        ) from error


class DeniedError(RemoteError):
    """A bucket that is not there, or does not let us do this."""


class GivenUpError(RemoteError):
    """A request that obstore has sent again and again."""


@contextlib.contextmanager
def answering(url: str) -> Iterator[None]:
    """Errors of a bucket as ours, but for what is no trouble: FileNotFoundError, and conditions that did not hold.

    Raises:
        DeniedError: there is no such bucket, or it is not allowed to us.
        GivenUpError: the bucket cannot be reached, and was tried again.
        RemoteError: the bucket cannot be reached.
    """
    from probekit.remote.library import exceptions

    try:
        yield
    except (exceptions.AlreadyExistsError, exceptions.PreconditionError):
        raise
    except (exceptions.BaseError, OSError) as error:
        if _has_no_bucket(error):
            family = FAMILIES[url.partition("://")[0]]
            raise DeniedError(
                f"{url}: there is no such bucket, or not for us: correct its name, or {family} in the environment."
            ) from error
        if isinstance(error, FileNotFoundError):
            raise
        if type(error).__name__ in _DENIED or isinstance(error, PermissionError):
            raise DeniedError(
                f"{url}: may not be read or written: are the credentials in the environment? {KEPT}"
            ) from error
        kind = GivenUpError if _was_sent_again(error) else RemoteError
        raise kind(f"{url}: {_first_line(error)} {KEPT}") from error


def repeated(ask: Callable[[], T]) -> T:
    """The answer, asked for once more where obstore does not: it broke off in the middle, or a condition went with it.

    What obstore has sent again is given up with it.
    """
    for attempt in range(1, TRIES):
        try:
            return ask()
        except (DeniedError, GivenUpError):
            raise
        except RemoteError:
            time.sleep(_pause(attempt))
    return ask()


async def repeated_async(ask: Callable[[], Awaitable[T]]) -> T:
    """The same of a library that speaks to a bucket itself."""
    from probekit.remote.library import exceptions

    for attempt in range(1, TRIES):
        try:
            return await ask()
        except exceptions.GenericError as error:
            if _was_sent_again(error):
                raise
            await asyncio.sleep(_pause(attempt))
    return await ask()


def _was_sent_again(error: Exception) -> bool:
    return _SENT_AGAIN.search(str(error)) is not None


def _pause(attempt: int) -> float:
    return FIRST_PAUSE.total_seconds() * float(2**attempt)


def _has_no_bucket(error: Exception) -> bool:
    if isinstance(error, FileNotFoundError):  # an object that is not there has it too: the answer tells them apart
        return _NO_BUCKET.search(str(error)) is not None
    return "status code: 404" in _said(error) and not _is_about_a_role(error)


def _is_about_a_role(error: Exception) -> bool:
    """Whether it tells how a machine's role was sought, which is the last resort."""
    return "169.254.169.254" in _said(error) or "metadata.google.internal" in _said(error)


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0].partition(": <?xml")[0]


def _first_line(error: Exception) -> str:
    if _is_about_a_role(error):
        return "may not be read or written: there are no credentials in the environment (docs/remote.md)."
    return f"cannot be reached ({without_secrets(_said(error))}): try again when the bucket can be reached."
