"""What the environment says of buckets, looked at before obstore sees it: of an odd address it panics."""

import os
import re
from urllib.parse import urlsplit

FAMILIES = {"s3": "AWS_…", "gs": "GOOGLE_…", "az": "AZURE_…"}
"""Variables of the environment that a kind of bucket goes by."""
NEEDS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true for a public bucket",
    "gs": "GOOGLE_SERVICE_ACCOUNT, or GOOGLE_SKIP_SIGNATURE=true for a public bucket",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_SKIP_SIGNATURE=true for a public one",
}

_ENDPOINTS = {
    "s3": ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
    "gs": ("GOOGLE_BASE_URL",),
    "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
}
_SENT = {  # in addresses and headers, where a blank or the line break at the end of a file cannot be
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_DEFAULT_REGION"),
    "gs": (),
    "az": ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_TOKEN"),
}
_BLANK = re.compile(r"\s")


def fault(scheme: str) -> str:
    """What is wrong with the variables of a kind of bucket, and what to do; empty if nothing. No value is quoted."""
    for name in _ENDPOINTS.get(scheme, ()):
        if name in os.environ and not _is_address(os.environ[name]):
            return f"{name} is no address of a server: write https://HOST or http://HOST:PORT, or unset it."
    for name in _SENT.get(scheme, ()):
        if _BLANK.search(os.environ.get(name, "")):
            return f"{name} holds a blank or a line break: set it without."
    return ""


def is_plain(scheme: str) -> bool:
    """Whether an endpoint is named whose address begins with http://."""
    return any(os.environ.get(name, "").lower().startswith("http://") for name in _ENDPOINTS.get(scheme, ()))


def _is_address(text: str) -> bool:
    try:
        found = urlsplit(text)
        right = found.scheme in ("http", "https") and bool(found.hostname) and found.port != 0
    except ValueError:  # a port that is no number, or none that there is
        return False
    return right and not _BLANK.search(text)
