"""URLs of objects: which are read, and what of them may be shown."""

import os
import re

from probekit.errors import UsageError

SCHEMES = ("s3", "gs", "az", "memory")
TAKEN = "a key is taken as it stands: write it without //, /./, /../ and a slash at its end."

_URL = re.compile(r"([a-z][a-z0-9+.-]*)://([^/]*)/?(.*)", re.DOTALL | re.IGNORECASE)
_BUCKET = re.compile(r"[A-Za-z0-9_$][A-Za-z0-9_.-]*")  # of others, no address of a server can be made
_ODD = re.compile(r"(?:^|/)\.{0,2}(?:/|$)")


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
    return _oddity(bucket, key)


def _oddity(bucket: str, key: str) -> str:
    if not _BUCKET.fullmatch(bucket):
        return "the name of a bucket is letters, digits, '-', '_' and '.' alone: correct it."
    return TAKEN if is_odd(key) else ""


def is_odd(key: str) -> bool:
    """Whether a key has parts that are empty, . or .., which obstore does not read."""
    return _ODD.search(key) is not None


def parts_of(url: str) -> tuple[str, str, str]:
    """Scheme, bucket and key.

    Raises:
        UsageError: the URL is not one that is read.
    """
    if reason := refusal(url):
        raise UsageError(f"{without_secrets(url)}: {reason}")
    scheme, bucket, key = _URL.fullmatch(url).groups()  # type: ignore[union-attr]  # else it was refused
    return scheme, bucket, key


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
