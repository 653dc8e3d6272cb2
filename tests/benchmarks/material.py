"""What the benchmarks work on, made on the spot and the same everywhere: images, manifests, random checkpoints."""

import io
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from probekit.manifest import Manifest, validate
from tests.benchmarks.benchmark import NotMeasured

if TYPE_CHECKING:
    from torch.nn import Module

PHOTO_SIDE = 512
PICTURES = 1000
"""Different photographs; more files than that are the same pictures with another comment, so of other bytes."""
PER_FOLDER = 1000  # images in one folder, as data sets have them
TINY_SIDE = 8


def photographs(folder: Path, n: int) -> list[str]:
    """Names of `n` JPEG files of 512², quality 90, about 70 KB each: smooth fields, edges, texture and grain.

    Those that are there already are kept: number 7 is the same picture at every call.
    """
    names = [f"{number // PER_FOLDER:04d}/{number:06d}.jpg" for number in range(n)]
    pictures: dict[int, bytes] = {}
    for number, name in enumerate(names):
        if not (folder / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            which = number % PICTURES
            pictures[which] = pictures.get(which) or _photograph(which)
            (folder / name).write_bytes(_with_comment(pictures[which], f"picture {number}"))
    return names


def tiny_pngs(folder: Path, n: int) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of `n` PNG files of 8 × 8 random pixels, all different, each written when it is asked for."""
    rng = np.random.default_rng(0)
    for begin in range(0, n, PER_FOLDER):
        subfolder = f"{begin // PER_FOLDER:04d}"
        (folder / subfolder).mkdir(parents=True, exist_ok=True)
        scanlines = rng.integers(0, 256, (min(PER_FOLDER, n - begin), TINY_SIDE, 1 + 3 * TINY_SIDE), dtype=np.uint8)
        scanlines[:, :, 0] = 0  # each begins with its filter: none
        for number, pixels in enumerate(scanlines, start=begin):
            name, data = f"{subfolder}/{number:07d}.png", _png(pixels.tobytes())
            with open(folder / name, "wb") as file:  # noqa: PTH123  # a million times
                file.write(data)
            yield name, data


def manifest_of(root: Path, names: Iterable[str], name: str = "bench") -> Manifest:
    """A manifest over these files: real and fake in turn, ten generators, pairs in one group, 60/20/20."""
    paths = list(names)
    number = np.arange(len(paths))
    table = pd.DataFrame({"path": paths, "label": number % 2})
    table["generator"] = np.where(number % 2 == 0, "real", [f"generator-{n % 10}" for n in number])
    table["domain"] = "photographs"
    table["split"] = np.array(["train", "train", "train", "val", "test"])[number // 2 % 5]
    table["group"] = [f"source-{n // 2:07d}" for n in number]
    return Manifest(name, None, root, validate(table, name))


def checkpoint(path: Path, build: "Callable[[], Module]", prefix: str = "") -> Path:
    """A file with the random weights of a network, the same at every call.

    Args:
        path: where to write it, unless it is there already.
        build: makes the network.
        prefix: put before every name, as checkpoints of whole models have it.
    """
    import torch
    from safetensors.torch import save_file

    if not path.exists():
        require_room(path.parent, gigabytes=2)
        torch.manual_seed(0)
        state = {prefix + name: values.contiguous() for name, values in build().state_dict().items()}
        save_file(state, path)
    return path


def clip_checkpoint(folder: Path) -> Path:
    """CLIP ViT-L/14: the image tower of open_clip, which is all that features need."""
    return checkpoint(folder / "clip-vit-l-14.safetensors", clip_tower, prefix="visual.")


def clip_tower() -> "Module":
    """open_clip's image tower of ViT-L/14 with QuickGELU, random, in float32."""
    import open_clip
    from open_clip.model import _build_vision_tower

    config = open_clip.get_model_config("ViT-L-14-quickgelu")
    return _build_vision_tower(config["embed_dim"], dict(config["vision_cfg"]), quick_gelu=True).eval()


def dinov2_checkpoint(folder: Path) -> Path:
    """DINOv2 ViT-L/14 as transformers saves it."""
    return checkpoint(folder / "dinov2-vit-l-14.safetensors", dinov2_network)


def dinov2_network() -> "Module":
    """The network of transformers, random."""
    from transformers import Dinov2Config, Dinov2Model

    from probekit.models.dinov2 import CONFIG

    return Dinov2Model(Dinov2Config(**CONFIG)).eval()


def sam_checkpoint(folder: Path) -> Path:
    """SAM ViT-B as segment-anything saves it, without its decoder."""
    return checkpoint(folder / "sam-vit-b.safetensors", sam_encoder, prefix="image_encoder.")


def sam_encoder() -> "Module":
    """The image encoder of segment-anything, random."""
    from segment_anything import sam_model_registry

    return sam_model_registry["vit_b"]().image_encoder.eval()


def timm_checkpoint(folder: Path, arch: str) -> Path:
    """A model of timm without its classifier."""
    import timm

    return checkpoint(folder / f"{arch}.safetensors", lambda: timm.create_model(arch, num_classes=0))


def require_room(folder: Path, gigabytes: float, files: int = 0) -> None:
    """Nothing, if so much fits on the disk.

    Raises:
        NotMeasured: it does not.
    """
    free = shutil.disk_usage(folder).free / 1e9
    if free < gigabytes:
        raise NotMeasured(f"{folder} has {free:.0f} GB free, {gigabytes:.0f} GB are needed: set TMPDIR")
    inodes = os.statvfs(folder).f_favail if hasattr(os, "statvfs") else 0
    if files and 0 < inodes < files:
        raise NotMeasured(f"{folder} has room for {inodes:,} files, {files:,} are needed: set TMPDIR")


def _photograph(number: int) -> bytes:
    """JPEG of octaves of smooth noise, a few straight edges and grain: of a photograph's size and decoding time."""
    import cv2
    from PIL import Image

    rng = np.random.default_rng(number)
    picture = np.full((PHOTO_SIDE, PHOTO_SIDE, 3), 128, np.float32)
    for cells, strength in ((4, 60), (16, 26), (64, 12), (256, 6)):
        noise = rng.standard_normal((cells, cells, 3), dtype=np.float32)
        picture += strength * cv2.resize(noise, (PHOTO_SIDE, PHOTO_SIDE), interpolation=cv2.INTER_CUBIC)
    y, x = np.mgrid[-256:256, -256:256].astype(np.float32)
    for _ in range(4):
        angle, offset = rng.uniform(0, np.pi), rng.uniform(-200, 200)
        beyond = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle)) > offset
        picture += np.float32(rng.normal(0, 30)) * beyond[..., None]
    picture += 3 * rng.standard_normal((PHOTO_SIDE, PHOTO_SIDE, 1), dtype=np.float32)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def _with_comment(jpeg: bytes, comment: str) -> bytes:
    """The same picture with a comment after its first marker, so that its bytes are its own."""
    text = comment.encode()
    return jpeg[:2] + b"\xff\xfe" + struct.pack(">H", len(text) + 2) + text + jpeg[2:]


def _png(scanlines: bytes) -> bytes:
    return _PNG_BEGIN + _png_chunk(b"IDAT", zlib.compress(scanlines, 1)) + _PNG_END


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_HEADER = struct.pack(">IIBBBBB", TINY_SIDE, TINY_SIDE, 8, 2, 0, 0, 0)  # 8 bits, RGB
_PNG_BEGIN = b"\x89PNG\r\n\x1a\n" + _png_chunk(b"IHDR", _HEADER)
_PNG_END = _png_chunk(b"IEND", b"")
