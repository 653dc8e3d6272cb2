"""Archives and small videos, made by the tests themselves."""

import io
import tarfile
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np


def make_zip(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def make_tar(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def moving_pixels(number: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A picture that differs clearly for every number."""
    y, x = np.mgrid[:height, :width]
    return np.stack([(x * 3 + number * 11) % 256, (y * 4 + number * 7) % 256, (x + y + number * 29) % 256], -1).astype(
        np.uint8
    )


def make_video(path: Path, frames: int = 40, codec: str = "libx264", pts=None, **options: str) -> Path:
    """A video with B-frames where its codec has them; `pts` gives each frame's time in 1/1000 s."""
    import av

    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if pts is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(frames):
            frame = av.VideoFrame.from_ndarray(moving_pixels(number), format="rgb24")
            if pts is not None:
                frame.pts, frame.time_base = pts[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
