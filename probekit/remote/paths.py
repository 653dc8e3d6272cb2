"""Objects as files: what `pathlib.Path` is to a disk, as far as a bucket can be one.

What a bucket cannot do is not imitated: there is no rename, no lock, no folder. It can do two things that a disk
cannot: create an object unless there is one, and replace an object unless it has changed.
"""

import contextlib
import fnmatch
import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeVar

from probekit.remote.buckets import answering, repeated, store_of
from probekit.remote.urls import parts_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from obstore import ObjectMeta
    from obstore.store import ObjectStore

BUFFER = 1 << 16  # bytes that are asked for at least, where an object is read here and there
WILD = frozenset("*?[")

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectFacts:
    """What a file's status is to a file, under the same names, and what the conditions of writes go by."""

    st_size: int
    st_mtime: float
    """Seconds since 1970 by the clock of the server."""
    tag: str
    """Another one after every change of the bytes."""
    version: str | None = None
    """Of the object, which Google's store goes by."""


@dataclass(frozen=True, order=True)
class BucketPath:
    """An object, or all whose keys begin with this one and a slash.

    Every method that asks the bucket raises RemoteError where it cannot be reached.
    """

    scheme: str
    bucket: str
    key: str

    @classmethod
    def parse(cls, url: str) -> "BucketPath":
        """The path that a URL names.

        Raises:
            UsageError: it is not one that is read.
        """
        return cls(*parts_of(url.removesuffix("/")))

    def __str__(self) -> str:
        return f"{self.scheme}://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "BucketPath":
        return self._at(f"{self.key}/{name}" if self.key else name)

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def stem(self) -> str:
        """The name without its ending."""
        return PurePosixPath(self.name).stem

    @property
    def suffix(self) -> str:
        """The ending of the name, with its point."""
        return PurePosixPath(self.name).suffix

    @property
    def parent(self) -> "BucketPath":
        """What it is in."""
        return self._at(self.key.rpartition("/")[0])

    def with_name(self, name: str) -> "BucketPath":
        """Another name in the same place."""
        return self.parent / name

    def exists(self) -> bool:
        """Whether there is an object of that name, or any below it."""
        return self.facts() is not None or self.is_dir()

    def is_dir(self) -> bool:
        """Whether there is any object below it."""
        from probekit.remote.library import obstore

        return repeated(lambda: self._ask(lambda store: any(map(len, obstore.list(store, self._prefix)))))

    def facts(self) -> ObjectFacts | None:
        """Size, time and tag of the object; None where there is none."""
        from probekit.remote.library import obstore

        try:
            meta = self._ask(lambda store: obstore.head(store, self.key))
        except FileNotFoundError:
            return None
        return ObjectFacts(meta["size"], meta["last_modified"].timestamp(), meta["e_tag"] or "", meta["version"])

    def stat(self) -> ObjectFacts:
        """Size, time and tag of the object.

        Raises:
            FileNotFoundError: there is none.
        """
        facts = self.facts()
        if facts is None:
            raise FileNotFoundError(str(self))
        return facts

    def read_bytes(self) -> bytes:
        """The whole object.

        Raises:
            FileNotFoundError: there is none.
        """
        from probekit.remote.library import obstore

        return repeated(lambda: self._ask(lambda store: bytes(obstore.get(store, self.key).bytes())))

    def read_text(self) -> str:
        """The whole object as text.

        Raises:
            FileNotFoundError: there is none.
        """
        return self.read_bytes().decode()

    def read_range(self, start: int, end: int) -> bytes:
        """Bytes from `start` to before `end`.

        Raises:
            FileNotFoundError: there is none.
        """
        from probekit.remote.library import obstore

        return repeated(
            lambda: self._ask(lambda store: bytes(obstore.get_range(store, self.key, start=start, end=end)))
        )

    def open_reader(self) -> BinaryIO:
        """The object as a file of which only what is read is sent.

        Raises:
            FileNotFoundError: there is none.
        """
        return io.BufferedReader(_Reader(self, self.stat().st_size), BUFFER)

    def write_bytes(self, data: bytes) -> None:
        """The object with these bytes; readers see what was there before, or all of it."""
        from probekit.remote.library import obstore

        repeated(lambda: self._ask(lambda store: obstore.put(store, self.key, data)))

    def upload(self, file: Path) -> None:
        """The object with the bytes of a file, whole or not at all."""
        from probekit.remote.library import obstore

        repeated(lambda: self._ask(lambda store: obstore.put(store, self.key, file)))

    def create(self, data: bytes) -> bool:
        """Whether the object is there with these bytes; False, and nothing changed, if there is another one."""
        from probekit.remote.library import exceptions

        try:
            self._put(data, "create")
        except exceptions.AlreadyExistsError:
            with contextlib.suppress(FileNotFoundError):
                return self.read_bytes() == data  # an answer was lost, and the write was repeated
            return False
        return True

    def replace_if(self, facts: ObjectFacts, data: bytes) -> bool:
        """Whether the object has these bytes now; False, and nothing changed, if it has changed since these facts."""
        from probekit.remote.library import exceptions

        condition = {"e_tag": facts.tag} | ({"version": facts.version} if facts.version else {})
        try:
            self._put(data, condition)
        except (exceptions.PreconditionError, FileNotFoundError):
            with contextlib.suppress(FileNotFoundError):
                return self.read_bytes() == data  # an answer was lost, and the write was repeated
            return False
        return True

    def unlink(self, missing_ok: bool = False) -> None:
        """Delete the object.

        Raises:
            FileNotFoundError: there was none, and that is not welcome.
        """
        from probekit.remote.library import obstore

        if not missing_ok and self.facts() is None:
            raise FileNotFoundError(str(self))
        with contextlib.suppress(FileNotFoundError):
            repeated(lambda: self._ask(lambda store: obstore.delete(store, self.key)))

    def mkdir(self, parents: bool = False, exist_ok: bool = False) -> None:
        """Nothing: buckets have no folders."""

    def glob(self, pattern: str) -> "Iterator[BucketPath]":
        """What there is below it whose parts fit those of the pattern, one for one; a wild part lists one level."""
        first, _, rest = pattern.partition("/")
        if not WILD & set(first):
            found = self / first
            if rest:
                yield from found.glob(rest)
            elif found.exists():
                yield found
            return
        for name in self._children(folders=bool(rest)):
            if fnmatch.fnmatchcase(name, first):
                yield from (self / name).glob(rest) if rest else (self / name,)

    def files(self) -> "Iterator[BucketPath]":
        """Every object below it, at any depth."""
        yield from (path for path, _ in self.sizes())

    def sizes(self) -> "list[tuple[BucketPath, int]]":
        """Every object below it, and its bytes."""
        from probekit.remote.library import obstore

        def everything(store: "ObjectStore") -> "list[ObjectMeta]":
            return [meta for page in obstore.list(store, self._prefix) for meta in page]

        metas = repeated(lambda: self._ask(everything))
        return [(self._at(meta["path"]), meta["size"]) for meta in metas]

    def delete_all(self, *, but: "Sequence[BucketPath]" = ()) -> None:
        """Delete every object below it, but for some."""
        from probekit.remote.library import obstore

        keys = [path.key for path in self.files() if path not in but]
        repeated(lambda: self._ask(lambda store: obstore.delete(store, keys)))

    def opened(self) -> "tuple[ObjectStore, str]":
        """This place, for a library that speaks to the bucket itself, and a key in it."""
        if self.scheme == "memory":  # knows no prefix
            return store_of(self.scheme, self.bucket), self.key
        return store_of(self.scheme, self.bucket, self.key), ""

    def answering(self) -> contextlib.AbstractContextManager[None]:
        """Errors of such a library as ours."""
        return answering(str(self))

    @property
    def _prefix(self) -> str | None:
        return f"{self.key}/" if self.key else None

    def _children(self, *, folders: bool) -> list[str]:
        """Names in it: of what has objects below it, and of objects unless only `folders` are asked for."""
        from probekit.remote.library import obstore

        level = repeated(lambda: self._ask(lambda store: obstore.list_with_delimiter(store, self._prefix)))
        below = {*level["common_prefixes"], *(() if folders else (meta["path"] for meta in level["objects"]))}
        return sorted(key.rstrip("/").rpartition("/")[2] for key in below)

    def _put(self, data: bytes, mode: "dict[str, str] | str") -> None:
        from probekit.remote.library import obstore

        repeated(lambda: self._ask(lambda store: obstore.put(store, self.key, data, mode=mode, use_multipart=False)))

    def _at(self, key: str) -> "BucketPath":
        return BucketPath(self.scheme, self.bucket, key)

    def _ask(self, how: "Callable[[ObjectStore], T]") -> T:
        store = store_of(self.scheme, self.bucket)
        with answering(str(self)):
            return how(store)


class _Reader(io.RawIOBase):
    """An object that nobody changes, read by ranges."""

    def __init__(self, path: BucketPath, size: int) -> None:
        super().__init__()
        self._path = path
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer)
        end = min(self._at + len(target), self._size)
        if end <= self._at:
            return 0
        data = self._path.read_range(self._at, end)
        target[: len(data)] = data
        self._at = end
        return len(data)
