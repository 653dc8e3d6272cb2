"""Keys: the identity of an image is the SHA-256 of its bytes, wherever the file lies.

    digests.py  key of a sample
    names.py    what the index calls a file, an object or a member, in 128 bits each
    parts.py    the Parquet files of the index, which come and go while they are read
    index.py    the index: what is remembered of a file, and whether the file is still what it was

Reading a million files to learn their keys takes hours, so the cache remembers (path, size, mtime_ns) → SHA-256 in
`cache/keys/`. The index is only a memory: deleting it costs time, never a feature.
"""

from probekit.keys.digests import file_digest, sample_key
from probekit.keys.index import KeyIndex, KnownFiles, Status
from probekit.keys.names import NameHashes, entry_name, name_hashes

__all__ = [
    "KeyIndex",
    "KnownFiles",
    "NameHashes",
    "Status",
    "entry_name",
    "file_digest",
    "name_hashes",
    "sample_key",
]
