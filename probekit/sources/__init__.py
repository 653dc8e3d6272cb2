"""Sources: the bytes and pixels of one sample, wherever they lie.

    archives.py   members of .zip and .tar files, read in place
    videos.py     frames of videos

A sample is a file, a member of an archive or a frame of a video, and perhaps a box of its pixels. Its identity is that
of its content: the key of an image is the SHA-256 of its bytes, in an archive or not; a frame's is that of the video's
bytes and its number. Nothing is unpacked, and no name inside an archive ever reaches the file system.

Everything here is thread-safe, with bounded memory and a bounded number of open files.
"""

import hashlib
import io
import os
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, NamedTuple

from probekit import images, remote
from probekit.errors import ImageError
from probekit.keys import Status, entry_name, file_digest, sample_key
from probekit.remote import is_url
from probekit.sources import archives, videos

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ARCHIVES", "VIDEOS", "Content", "Sample", "frame_numbers", "read", "thumbnail", "why_never_readable"]

ARCHIVES = frozenset({".tar", ".zip"})
"""How the names of archives end, in lower case."""
VIDEOS = frozenset({".avi", ".mkv", ".mov", ".mp4", ".webm"})
"""How the names of videos end, in lower case."""

_DIGESTS = 16_384  # videos whose SHA-256 is kept


class Sample(NamedTuple):
    """Where an image is: a file, perhaps a member of that archive, a frame of that video, a box of those pixels."""

    path: str
    member: str = ""
    frame: int | None = None
    """Number in the order of presentation, from 0."""
    box: tuple[int, int, int, int] | None = None
    """x0, y0, x1, y1: half-open, in pixels."""

    @property
    def entry(self) -> str:
        """What the key index calls the file, or the member."""
        return entry_name(self.path, self.member)

    @property
    def part(self) -> Mapping[str, int]:
        """What of the file or member the sample is, for its key; empty where it is the whole."""
        part = {} if self.frame is None else {"frame": self.frame}
        return part if self.box is None else part | dict(zip(("x0", "y0", "x1", "y1"), self.box, strict=True))

    @property
    def name(self) -> str:
        """How an error or a table calls it: its path, and its part if there is one."""
        part = {"member": self.member, **self.part} if self.member else self.part
        return self.path + "".join(f" {name}={value}" for name, value in part.items())


@dataclass(frozen=True)
class Content:
    """What a sample is made of."""

    sample: Sample
    digest: bytes
    """SHA-256 of the file's bytes, or of the member's."""
    stat: Status
    """Of the file, archive or object, taken before it was read."""
    data: bytes | None
    """The bytes of the image; None for a frame of a video."""
    damage: str = ""
    """Why the bytes are not those that were packed; then they have a key, as a damaged file has, but no pixels."""

    @property
    def key(self) -> bytes:
        """The identity of the sample."""
        return sample_key(self.digest, self.sample.part)

    def decode_whole(self, gpu: str | None = None) -> "Tensor":
        """uint8 (3, H, W): the upright image or frame; on that GPU, by nvJPEG where it can, if one is named.

        Raises:
            ImageError: it cannot be decoded; the message reads well after a path.
        """
        if self.damage:
            raise ImageError(self.damage)
        if self.data is not None:
            return images.decode(self.data, gpu=gpu)
        assert self.sample.frame is not None  # else there are bytes
        assert isinstance(self.stat, os.stat_result)  # objects are no videos
        frame = _video(self.sample, self.stat).frame(self.sample.frame)
        return frame.to(gpu) if gpu else frame

    def decode(self, gpu: str | None = None) -> "Tensor":
        """uint8 (3, H, W): the pixels inside the sample's box, or all of them.

        Raises:
            ImageError: as `decode_whole`, or the box reaches beyond the image.
        """
        pixels = self.decode_whole(gpu)
        if self.sample.box is None:
            return pixels
        x0, y0, x1, y1 = self.sample.box
        height, width = pixels.shape[1:]
        if x0 < 0 or y0 < 0 or x1 > width or y1 > height:
            raise ImageError(f"its box {x0},{y0},{x1},{y1} reaches beyond the image ({width} × {height}): correct it.")
        return pixels[:, y0:y1, x0:x1]


def read(sample: Sample) -> Content:
    """The content of a sample: the bytes of its file or member, or the digest of its video.

    Raises:
        ImageError: there is nothing to read, or not an image's place; the message reads well after a path.
        RemoteError: a bucket cannot be reached.
        UsageError: a frame is meant, and PyAV is not installed; or an object, and obstore is not.
    """
    if is_url(sample.path):
        return _read_object(sample)
    if sample.frame is not None:
        status = _archive_or_file(sample)
        return Content(sample, _digests.of(sample, status), status, None)
    if sample.member:
        archive = archives.open_archive(sample.path)
        data, damage = archive.read_as_it_is(sample.member)
        return Content(sample, file_digest(data), archive.status, data, damage)
    _require_no_part(sample)
    status = _archive_or_file(sample)
    data = _read_file(sample.path)
    return Content(sample, file_digest(data), status, data)


def _read_object(sample: Sample) -> Content:
    if sample.member or sample.frame is not None:
        raise ImageError("archives and videos are read from disks alone: copy it to one.")
    _require_no_part(sample)
    data, status = remote.read(sample.path)
    return Content(sample, file_digest(data), status, data)


def why_never_readable(sample: Sample) -> str:
    """Why the sample has no key, as far as names and lists of members tell; empty if they do not. No image is read.

    Its file exists, so that only the manifest, or the archive, can be wrong.
    """
    try:
        if sample.member and not is_url(sample.path):
            archives.open_archive(sample.path).find(sample.member)
        elif sample.frame is None:
            _require_no_part(sample)
        elif is_url(sample.path):
            return "videos are read from disks alone: copy it to one."
    except ImageError as error:
        return str(error)
    return ""


def thumbnail(sample: Sample, side: int) -> bytes:
    """A JPEG of the sample's pixels, at most `side` pixels wide and high.

    Raises:
        ImageError: as `read` and `Content.decode`.
        UsageError: as `read`.
    """
    return images.thumbnail(read(sample).decode(), side)


def frame_numbers(sample: Sample, most: int) -> list[int]:
    """Numbers of at most so many frames of a video: the middle ones of as many equal spans, ascending.

    Args:
        sample: the video, a file or a member.
        most: how many; a shorter video gives all its frames.

    Raises:
        ImageError: it cannot be read as a video.
        UsageError: PyAV is not installed.
    """
    count = _video(sample, _archive_or_file(sample)).timetable.count
    n = min(most, count)
    return [(2 * i + 1) * count // (2 * n) for i in range(n)]


class _Digests:
    """SHA-256 of videos, each hashed once in a process however many of its frames are read."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[str, tuple[int, ...]], bytes] = OrderedDict()
        self._locks = [threading.Lock() for _ in range(16)]
        self._lock = threading.Lock()

    def of(self, sample: Sample, status: os.stat_result) -> bytes:
        key = sample.entry, archives.version(status)
        with self._locks[hash(key) % len(self._locks)]:  # of several threads that want one video, the first hashes it
            with self._lock:
                found = self._known.get(key)
            if found is None:
                found = _digest(sample)
                with self._lock:
                    self._known[key] = found
                    while len(self._known) > _DIGESTS:
                        self._known.popitem(last=False)
        return found


_digests = _Digests()


def _digest(sample: Sample) -> bytes:
    if sample.member:
        return file_digest(archives.open_archive(sample.path).read(sample.member))
    try:
        with Path(sample.path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise ImageError(images.why_unreadable(error)) from error


def _video(sample: Sample, status: os.stat_result) -> videos.Video:
    def source() -> videos.Source:
        if not sample.member:
            return sample.path
        return io.BytesIO(archives.open_archive(sample.path).read(sample.member))

    return videos.open_video(sample.entry, archives.version(status), source)


def _archive_or_file(sample: Sample) -> os.stat_result:
    """Status of the sample's file, or of the archive in which it lies."""
    if sample.member:
        return archives.open_archive(sample.path).status
    try:
        status = os.stat(sample.path)  # noqa: PTH116  # a Path object a file costs more than the call itself
    except OSError as error:
        raise ImageError(images.why_unreadable(error)) from error
    except ValueError as error:  # the name holds a zero byte
        raise ImageError(f"it cannot be opened ({error}).") from error
    if sample.frame is not None and not status.st_size:
        raise ImageError("the file is empty (0 bytes).")
    return status


def _require_no_part(sample: Sample) -> None:
    ending = PurePath(sample.path).suffix.lower()
    if ending in ARCHIVES:
        raise ImageError("it is an archive: name one of its images in column 'member'.")
    if ending in VIDEOS:
        raise ImageError("it is a video: name one of its frames in column 'frame'.")


def _read_file(path: str) -> bytes:
    try:
        return images.read_bytes(Path(path))
    except ImageError as error:
        raise ImageError(str(error).removeprefix(f"{path}: ")) from error
