"""Archives, small videos and buckets, made by the tests themselves."""

import io
import tarfile
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from probekit.remote import buckets, objects
from tests.extract.conftest import write_image
from tests.sources.faulty import faulty_s3

IMAGES = 60


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


@pytest.fixture
def s3(monkeypatch):
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "hidden"), ("REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    with faulty_s3() as (url, plan):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        buckets._store.cache_clear()
        objects._open.clear()
        yield plan
        buckets._store.cache_clear()


@pytest.fixture
def images(s3, tmp_path):
    """The names of images that are both in a bucket and on a disk."""
    import boto3

    client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{s3.port}")
    client.create_bucket(Bucket="faces")
    names = [f"real/{number:03d}.png" for number in range(IMAGES)]
    for number, name in enumerate(names):
        data = write_image(tmp_path / "images" / name, number, size=(96, 96)).read_bytes()
        client.put_object(Bucket="faces", Key=name, Body=data)
    return names
