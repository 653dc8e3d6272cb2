"""Frames of videos, through PyAV: frame n is the same pixels in whatever order frames are asked for.

Frame n is the one with the n-th time of presentation, from 0; in a video that is not damaged, the n-th of those that
decoding from the start gives. Frames that an edit list leaves out, or that lie before the first key frame, do not
count. The times come from the packets, so nothing is decoded to find them. A container that does not record them, such
as AVI, is decoded from the start instead, and its frames are counted.

Each frame is decoded from its own key frame on, by one thread. Its pixels become RGB through FFmpeg's swscale, with
bilinear chroma, exact rounding, and the matrix and range that the video names, BT.601 and limited range where it names
none; more than 8 bits are narrowed. Rotation by right angles, as telephones record it, is undone.
"""

import contextlib
import importlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.arrays import Int
from probekit.errors import ImageError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

OPEN_VIDEOS = 2
"""Videos that each thread keeps open, with a decoder that stands where it stopped."""
TIMETABLES = 1024
"""Videos whose times of presentation are kept, 8 bytes a frame."""

_TIMED = {"matroska", "mov", "mp4", "webm"}  # FFmpeg's names of the containers that record times of presentation

Source = str | io.BytesIO
"""A path, or the bytes of a member of an archive."""
Version = tuple[int, ...]
"""What changes when a file does."""


@dataclass(frozen=True, eq=False)
class Timetable:
    """When the frames of a video are presented, in its own unit of time."""

    count: int
    times: Int[np.ndarray, " n"] | None
    """Of each frame; None where the container does not tell, so that frames must be counted."""
    keys: Int[np.ndarray, " k"]
    """Of each key frame, ascending; empty without `times`."""


class Video:
    """An open video, with a decoder that stands after the frame that was given last; for one thread.

    Raises:
        ImageError: it cannot be opened, or has no frames.
    """

    def __init__(self, source: Source, timetable: Timetable | None = None) -> None:
        self._source = source
        self._container = _open(source)
        if not self._container.streams.video:
            self.close()
            raise ImageError("it has no pictures, only other streams: is it a video?")
        self._frames: Iterator[Any] = iter(())
        self._key = -1  # the key frame from which the decoder began
        self._next = 0  # no earlier frame can still come from it
        self._last: tuple[int, Tensor] | None = None
        with _damage("it is damaged or no video"):
            self.timetable = timetable or self._read_timetable()
        if not self.timetable.count:
            self.close()
            raise ImageError("it has no frames: replace the video.")

    def frame(self, number: int) -> "Tensor":
        """uint8 (3, H, W) RGB, upright.

        Raises:
            ImageError: there is no such frame, or it cannot be decoded.
        """
        count = self.timetable.count
        if number >= count:
            raise ImageError(f"it has {count} frames, from 0 to {count - 1}: there is no frame {number}.")
        if self._last is None or self._last[0] != number:
            try:
                with _damage(f"frame {number} cannot be decoded"):
                    found = self._counted(number) if self.timetable.times is None else self._timed(number)
            except ImageError:
                self._key, self._frames = -1, iter(())
                raise
            self._next = number + 1
            self._last = number, _pixels(found)
        return self._last[1]

    def close(self) -> None:
        """Let go of the file."""
        self._container.close()

    def _timed(self, number: int) -> Any:  # noqa: ANN401  # PyAV is not imported here
        times, keys = self.timetable.times, self.timetable.keys
        assert times is not None
        wanted = int(times[number])
        key = int(np.searchsorted(keys, wanted, "right")) - 1
        landed = True
        if key != self._key or number < self._next:
            self._key = key
            landed = self._seek(int(keys[key]))
        if not landed:
            self._restart()
        found = self._forward(wanted)
        if found is None:
            raise ImageError(f"frame {number} cannot be decoded: the video is damaged there.")
        return found

    def _seek(self, key: int) -> bool:
        """Whether the decoder now stands at this key frame's time or before it: some containers land behind it."""
        stream = self._container.streams.video[0]
        self._container.seek(key, stream=stream, backward=True, any_frame=False)
        frames = self._decode()
        for frame in frames:  # those before the first key frame refer to what was not decoded
            if frame.pts is not None and (frame.key_frame or frame.pts >= key):
                self._frames = chain([frame], frames)
                return bool(frame.key_frame and frame.pts <= key)
        return False

    def _forward(self, wanted: int) -> Any:  # noqa: ANN401
        """The frame of that time, if the decoder still gives it."""
        for frame in self._frames:
            if frame.pts is not None and frame.pts >= wanted:
                return frame if frame.pts == wanted else None
        return None

    def _counted(self, number: int) -> Any:  # noqa: ANN401
        if self._key < 0 or number < self._next:
            self._restart()
            self._key = self._next = 0
        found = next(islice(self._frames, number - self._next, None), None)
        if found is None:
            raise ImageError(f"frame {number} cannot be decoded: the video is damaged there.")
        return found

    def _decode(self) -> Iterator[Any]:
        frames: Iterator[Any] = self._container.decode(self._container.streams.video[0])
        return frames

    def _restart(self) -> None:
        self.close()
        self._container = _open(self._source)
        self._frames = self._decode()

    def _read_timetable(self) -> Timetable:
        if not _TIMED & set(self._container.format.name.split(",")):
            return self._count_frames()
        times, keys = list[int](), list[int]()
        for packet in self._container.demux(self._container.streams.video[0]):
            if not packet.size or not (keys or packet.is_keyframe):
                continue  # the end, or frames that refer to what is not there
            if packet.pts is None:
                return self._count_frames()
            if packet.is_keyframe:
                keys.append(packet.pts)
            if packet.pts >= keys[0] and not packet.is_discard:
                times.append(packet.pts)
        found = np.unique(np.array(times, np.int64))
        if len(found) < len(times):
            return self._count_frames()
        return Timetable(len(found), found, np.array(sorted(keys), np.int64))

    def _count_frames(self) -> Timetable:
        self._restart()
        return Timetable(sum(1 for _ in self._frames), None, np.empty(0, np.int64))


def open_video(name: str, version: Version, source: Callable[[], Source]) -> Video:
    """The video as this thread has it open already, else opened now; its times are read once in a process.

    Args:
        name: what the video is called, by which it is found again.
        version: what changes when its file does.
        source: where to read it, should it be opened.

    Raises:
        ImageError: it cannot be opened, or has no frames.
        UsageError: PyAV is not installed.
    """
    opened: OrderedDict[tuple[str, Version], Video] = _of_thread.__dict__.setdefault("videos", OrderedDict())
    if (name, version) not in opened:
        with _lock:
            timetable = _timetables.get((name, version))
        video = Video(source(), timetable)
        with _lock:
            _timetables[name, version] = video.timetable
            while len(_timetables) > TIMETABLES:
                _timetables.popitem(last=False)
        opened[name, version] = video
        while len(opened) > OPEN_VIDEOS:
            opened.popitem(last=False)[1].close()
    opened.move_to_end((name, version))
    return opened[name, version]


_of_thread = threading.local()
_lock = threading.Lock()
_timetables: OrderedDict[tuple[str, Version], Timetable] = OrderedDict()


def _pyav() -> ModuleType:
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise UsageError("frames of videos are read by PyAV: pip install 'probekit[video]'.") from error


def _open(source: Source) -> Any:  # noqa: ANN401
    if isinstance(source, io.BytesIO):
        source.seek(0)
    with _damage("it is damaged or no video"):
        container = _pyav().open(source, metadata_errors="ignore")
    for stream in container.streams.video[:1]:
        stream.codec_context.thread_count = 1  # many threads read videos already
    return container


@contextlib.contextmanager
def _damage(what: str) -> Iterator[None]:
    try:
        yield
    except _pyav().FFmpegError as error:
        raise ImageError(f"{what} ({error.strerror or error}): replace the video.") from error


def _pixels(frame: Any) -> "Tensor":  # noqa: ANN401
    import torch

    flags = importlib.import_module("av.video.reformatter").Interpolation
    exact = flags.BILINEAR | flags.ACCURATE_RND | flags.FULL_CHR_H_INT | flags.BITEXACT
    rgb = frame.reformat(format="rgb24", interpolation=exact, threads=1).to_ndarray()
    turns = round(frame.rotation / 90) % 4 if frame.rotation % 90 == 0 else 0
    return torch.rot90(torch.from_numpy(rgb).permute(2, 0, 1), turns, (1, 2)).contiguous()
