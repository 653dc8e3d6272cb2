"""Members of archives, read in place: uncompressed .tar files, and .zip files with stored or deflated members.

The list of an archive's members is read once and kept as a few arrays, some 50 bytes a member; a member is then one
`pread` at a known place, by any number of threads at once. Names are looked up by 128 bits of their hash.

Of equal names the last counts, as when unpacking. A leading `./` is no part of a name.
"""

import contextlib
import io
import os
import stat
import struct
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import IO, TYPE_CHECKING, NamedTuple

import numpy as np

from probekit import images
from probekit.errors import ImageError
from probekit.keys import name_hashes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_MEMBER = 2**30
"""Bytes of a member beyond which it is refused before it is read, compressed or not."""
MAX_OPEN = 64
"""Archives that are open at one time."""
MAX_LISTED = 2**21
"""Members, in all archives together, whose places are kept; the archive in use is always kept."""

_STORED, _DEFLATED = 0, 8  # zip's numbers of the methods
_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, lengths of name and extra field
_BATCH = 4096  # members that are Python objects at one time
_NUMBERS = ("offset", "stored", "size", "crc")
_PLACE = np.dtype([*((name, "<i8") for name in _NUMBERS), ("method", "<i2"), ("refusal", "i1")])
_COMPRESSED = ((b"\x1f\x8b", "gzip"), (b"BZh", "bzip2"), (b"\xfd7zXZ", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"))

_REFUSALS = (
    "",
    "it is a folder, not an image.",
    "it is a link to another member: name that one.",
    "it is a special file, not an image.",
    "it is encrypted: unpack the archive with its password.",
    "it is compressed in a way that is not read: pack the archive anew with deflate, or as .tar.",
    f"it has more than {MAX_MEMBER:,} bytes, the limit of a member: unpack it.",
)
_FINE, _FOLDER, _LINK, _SPECIAL, _ENCRYPTED, _METHOD, _TOO_BIG = range(len(_REFUSALS))


class Member(NamedTuple):
    """One entry of an archive."""

    name: str
    offset: int
    """Of a tar's member the place of its bytes, of a zip's that of its header."""
    stored: int
    """Bytes in the archive."""
    size: int
    """Bytes of the member."""
    crc: int
    """CRC-32 of the member, or -1 where the format has none."""
    method: int
    refusal: int

    @property
    def is_folder(self) -> bool:
        """Whether it only names a folder."""
        return self.refusal == _FOLDER

    @property
    def reason(self) -> str:
        """Why it cannot be read; empty if it can."""
        return _REFUSALS[self.refusal]


class Archive:
    """An open archive and the places of its members.

    Raises:
        ImageError: the file is missing, or no archive that can be read in place.
    """

    def __init__(self, path: str) -> None:
        self._file = _open(path)
        weakref.finalize(self, os.close, self._file)
        self.status = os.fstat(self._file)
        """Of the archive, taken before its members were read."""
        self.damage = ""
        """Why members may be missing; empty if nothing is wrong."""
        self._hashes = np.empty((0, 2), np.uint64)
        self._places = np.empty(0, _PLACE)
        self._take_in(self.members())

    def members(self) -> Iterator[Member]:
        """Every entry in the archive's order, each name as it stands there; sets `damage` at the end."""
        found = 0
        try:
            for member in _members(self._file):
                found += 1
                yield member
        except ImageError as error:
            if not found:
                raise
            self.damage = str(error)

    def __len__(self) -> int:
        return len(self._places)

    def read(self, name: str) -> bytes:
        """The bytes of a member, checked against its CRC-32 where the format has one.

        Raises:
            ImageError: there is no such member, it is no file, too big, encrypted or damaged.
        """
        data, damage = self.read_as_it_is(name)
        if damage:
            raise ImageError(damage)
        return data

    def read_as_it_is(self, name: str) -> tuple[bytes, str]:
        """The bytes of a member (packed ones if they cannot be unpacked), and why they are wrong; empty if not.

        Raises:
            ImageError: there is no such member, or it is no file, too big or encrypted.
        """
        return self._read(self.find(name))

    def find(self, name: str) -> Member:
        """Where a member lies that can be read.

        Raises:
            ImageError: there is no such member, or it is no file, too big, encrypted or empty.
        """
        high, low = name_hashes([plain_name(name)])[0]
        first, last = (int(np.searchsorted(self._hashes[:, 0], high, side)) for side in ("left", "right"))
        for row in range(first, last):
            if self._hashes[row, 1] == low:
                member = Member(name, *self._places[row].item())
                if member.reason or not member.size:
                    raise ImageError(member.reason or "the member is empty (0 bytes).")
                return member
        raise ImageError(f"the archive has no such member. {self.damage}".rstrip())

    def _read(self, member: Member) -> tuple[bytes, str]:
        offset = member.offset
        if member.crc >= 0:
            signature, name, extra = _LOCAL_HEADER.unpack(_read_at(self._file, _LOCAL_HEADER.size, offset))
            if signature != b"PK\x03\x04":
                raise ImageError("the archive is damaged where the member should begin: copy it again.")
            offset += _LOCAL_HEADER.size + name + extra
        data = _read_at(self._file, member.stored, offset)
        if member.method == _DEFLATED:
            try:
                data = _inflate(data, member.size)
            except zlib.error as error:
                return data, f"the member is damaged ({error}): copy the archive again."
        if len(data) != member.size or (member.crc >= 0 and zlib.crc32(data) != member.crc):
            return data, "the member is damaged, its checksum differs: copy the archive again."
        return data, ""

    def _take_in(self, members: Iterator[Member]) -> None:
        hashes, places = [self._hashes], [self._places]
        while batch := list(islice(members, _BATCH)):
            hashes.append(name_hashes([plain_name(member.name) for member in batch]))
            places.append(np.array([member[1:] for member in batch], _PLACE))
        self._hashes, self._places = np.concatenate(hashes), np.concatenate(places)
        order = np.lexsort((self._hashes[:, 1], self._hashes[:, 0]))  # stable: of equal names the last comes last
        sorted_hashes = self._hashes[order]
        last = np.ones(len(order), bool)
        last[:-1] = (sorted_hashes[1:] != sorted_hashes[:-1]).any(axis=1)
        self._hashes, self._places = sorted_hashes[last], self._places[order[last]]


class _OpenArchives:
    """The archives used last, by path; a changed file is opened anew, the ones used longest ago are closed."""

    def __init__(self) -> None:
        self._archives: OrderedDict[str, Archive] = OrderedDict()
        self._lock = threading.Lock()
        self._listing = threading.Lock()

    def get(self, path: str) -> Archive:
        """The archive, with the places of its members as they are now."""
        with contextlib.suppress(OSError, ValueError):
            if found := self._current(path):
                return found
            with self._listing:  # of several threads that want one archive, the first lists it
                return self._current(path) or self._keep(path, Archive(path))
        return Archive(path)  # which says why not

    def _current(self, path: str) -> Archive | None:
        now = os.stat(path)  # noqa: PTH116  # a Path object a member costs more than the call itself
        with self._lock:
            found = self._archives.get(path)
            if found is None or version(found.status) != version(now):
                return None
            self._archives.move_to_end(path)
            return found

    def _keep(self, path: str, archive: Archive) -> Archive:
        with self._lock:
            self._archives.pop(path, None)
            self._archives[path] = archive
            while len(self._archives) > 1 and (
                len(self._archives) > MAX_OPEN or sum(map(len, self._archives.values())) > MAX_LISTED
            ):
                self._archives.popitem(last=False)  # a thread that is reading from it keeps it open until it is done
        return archive


_open_archives = _OpenArchives()


def open_archive(path: str) -> Archive:
    """The archive at a path, its members listed once however many are read.

    Raises:
        ImageError: the file is missing, or no archive that can be read in place.
    """
    return _open_archives.get(path)


def plain_name(name: str) -> str:
    """A member's name without the `./` that `tar` may put before it."""
    while name.startswith("./"):
        name = name[2:].lstrip("/")
    return name


def _members(file: int) -> Iterator[Member]:
    start = os.pread(file, 8, 0)
    if not start:
        raise ImageError("the archive is empty (0 bytes).")
    for signature, method in _COMPRESSED:
        if start.startswith(signature):
            raise ImageError(
                f"the archive is compressed as a whole ({method}), so its members cannot be found: "
                "decompress it to a plain .tar, or pack it as .zip."
            )
    stream = io.BufferedReader(_Bytes(file))
    yield from _zip_members(stream) if start.startswith(b"PK") else _tar_members(stream, file)


class _Bytes(io.RawIOBase):
    """An open file, read from a place of its own: several may read it at once."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: os.fstat(self._file).st_size}[whence]
        if start + offset < 0:
            raise OSError(f"a place before the beginning: {start + offset}")
        self._place = start + offset
        return self._place

    def readinto(self, buffer: "WriteableBuffer") -> int:
        found = os.preadv(self._file, [buffer], self._place)
        self._place += found
        return found


def _tar_members(stream: IO[bytes], file: int) -> Iterator[Member]:
    end = os.fstat(file).st_size
    try:
        archive = tarfile.open(fileobj=stream, mode="r:")  # noqa: SIM115  # the stream is closed by who opened it
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # it keeps what it gives: else a million of them would take a gigabyte
            refusal = _tar_refusal(info)
            if info.isfile() and info.offset_data + info.size > end:
                raise ImageError(f"the archive is cut off in {info.name}: copy it again.")
            yield Member(info.name, info.offset_data, info.size, info.size, -1, _STORED, refusal)
    except (tarfile.TarError, OSError, ValueError, EOFError, LookupError) as error:
        raise ImageError(f"the archive is cut off, damaged or no .tar or .zip ({error}): copy it again.") from error
    # tarfile takes a header that it cannot read for the end
    if any(os.pread(file, tarfile.BLOCKSIZE, archive.offset)):
        raise ImageError(f"the archive is damaged at byte {archive.offset:,}: copy it again.")


def _tar_refusal(info: tarfile.TarInfo) -> int:
    if info.isdir():
        return _FOLDER
    if info.issym() or info.islnk():
        return _LINK
    if not info.isreg() or info.issparse():
        return _SPECIAL
    return _TOO_BIG if info.size > MAX_MEMBER else _FINE


def _zip_members(stream: IO[bytes]) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(stream) as archive:
            entries = archive.filelist
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, struct.error, OverflowError) as error:
        raise ImageError(f"the archive is cut off or damaged ({error}): copy it again.") from error
    for info in entries:
        yield Member(
            info.filename,
            info.header_offset,
            info.compress_size,
            info.file_size,
            info.CRC,
            info.compress_type,
            _zip_refusal(info),
        )


def _zip_refusal(info: zipfile.ZipInfo) -> int:
    if info.is_dir():
        return _FOLDER
    if info.flag_bits & 1:
        return _ENCRYPTED
    if stat.S_ISLNK(info.external_attr >> 16):
        return _LINK
    if max(info.file_size, info.compress_size) > MAX_MEMBER:
        return _TOO_BIG
    return _FINE if info.compress_type in (_STORED, _DEFLATED) else _METHOD


def _inflate(data: bytes, size: int) -> bytes:
    """The inflated bytes; never more than one beyond `size`, whatever they claim."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1)


def _open(path: str) -> int:
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # a named pipe would wait for its writer
    except OSError as error:
        raise ImageError(images.why_unreadable(error)) from error
    except ValueError as error:
        raise ImageError(f"it cannot be opened ({error}).") from error
    if stat.S_ISREG(os.fstat(file).st_mode):
        return file
    os.close(file)
    raise ImageError("it is no file, so no archive.")


def _read_at(file: int, size: int, offset: int) -> bytes:
    """Exactly `size` bytes; one call of the system reads at most 2 GiB, and perhaps less."""
    blocks: list[bytes] = []
    while size:
        try:
            block = os.pread(file, size, offset)
        except OSError as error:
            raise ImageError(f"the archive cannot be read ({error.strerror or error}).") from error
        if not block:
            raise ImageError("the archive is cut off before the end of the member: copy it again.")
        blocks.append(block)
        size, offset = size - len(block), offset + len(block)
    return blocks[0] if len(blocks) == 1 else b"".join(blocks)


def version(status: os.stat_result) -> tuple[int, ...]:
    """What changes when a file does."""
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
