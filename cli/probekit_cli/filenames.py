"""Names of the files that a question writes: told apart by their features, and short enough for any file system."""

import hashlib
import re
from collections.abc import Iterator
from itertools import count

LONGEST = 120  # bytes of a file's name before the features: with these and an ending, file systems take 255


def candidates(name: str, features: str, view: str) -> Iterator[str]:
    """Names of a file of these features, the shortest first; stores of one view differ in precision or weights."""
    short = _shortened(name)
    yield f"{short}-{features}"
    full = "-".join((short, features, view))
    yield full
    yield from (f"{full}-{number}" for number in count(2))


def spell(name: str) -> str:
    """The name with what no file system takes replaced."""
    return re.sub(r"[^\w.+@=-]+", "-", name)


def _shortened(name: str) -> str:
    """The name; of one that a file system would not take, such as of many generators, the beginning and a digest."""
    whole = name.encode()
    if len(whole) <= LONGEST:
        return name
    return f"{whole[:LONGEST].decode(errors='ignore')}-{hashlib.sha256(whole).hexdigest()[:8]}"
