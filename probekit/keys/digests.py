"""SHA-256 of files and of the parts of them that are samples."""

import hashlib
from collections.abc import Mapping


def file_digest(data: bytes) -> bytes:
    """SHA-256 of a file's bytes, 32 bytes."""
    return hashlib.sha256(data).digest()


def sample_key(digest: bytes, part: Mapping[str, int] | None = None) -> bytes:
    """Key of a sample: the file's digest, or with a frame or box the digest of both together.

    Args:
        digest: SHA-256 of the file's bytes.
        part: what of the file the sample is, `{"frame": 12}` or `{"x0": 0, "y0": 0, "x1": 64, "y1": 64}`.
    """
    if not part:
        return digest
    spelled = ",".join(f"{name}={part[name]}" for name in sorted(part))
    return hashlib.sha256(digest + spelled.encode()).digest()
