"""Images: the bytes of a file become uint8 RGB pixels, or one clear reason why not.

Pixels are those of PIL's `convert("RGB")` after its EXIF rotation, bit for bit, with two exceptions: 16-bit
colour is rounded to x / 257 (PIL cuts off the low byte), and so is 16-bit grey (PIL clips it at 255). Alpha
is dropped, not composited. Of animations and of files with several pages the first picture counts.

Running out of memory says nothing about the file, so it is never taken for damage: it ends the work.

Everything here is thread-safe. JPEG files, nearly all of most data sets, are decoded by torchvision, which
lets other threads run meanwhile. A reason reads well after a path: `a.jpg: the file is empty (0 bytes).`
"""

import contextlib
import importlib
import io
import re
import struct
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from probekit.errors import ImageError

if TYPE_CHECKING:
    from PIL.ImageFile import ImageFile
    from torch import Tensor

MAX_PIXELS = 178_956_970
"""Width × height beyond which an image is refused before it is decompressed: 512 MiB of RGB, PIL's limit."""

EXTENSIONS = frozenset({".avif", ".bmp", ".gif", ".jfif", ".jpe", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
"""How the names of image files end, in lower case. What a file is, its bytes alone decide."""

_SIGNATURES = (  # where in the file, which bytes, PIL's plug-in
    (0, b"\xff\xd8\xff", "Jpeg"),
    (0, b"\x89PNG\r\n\x1a\n", "Png"),
    (8, b"WEBP", "WebP"),
    (0, b"GIF87a", "Gif"),
    (0, b"GIF89a", "Gif"),
    (0, b"II*\0", "Tiff"),
    (0, b"MM\0*", "Tiff"),
    (0, b"II+\0", "Tiff"),
    (0, b"MM\0+", "Tiff"),
    (0, b"BM", "Bmp"),
    (4, b"ftypavif", "Avif"),
    (4, b"ftypavis", "Avif"),
)

_ORIENTATION = 0x0112  # EXIF and TIFF tag
_BITS_PER_SAMPLE = 258  # TIFF tags
_PHOTOMETRIC = 262

_PIL_WARNINGS = ("ignore", None, UserWarning, re.compile(r"PIL\."), 0)
"""A filter, as `warnings.filters` has it."""

_DAMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    TypeError,
    LookupError,
    ArithmeticError,
    RuntimeError,
    struct.error,
)
"""What PIL raises for damaged files. Only calls into it are guarded: the same from here would be a mistake of ours."""


@dataclass(frozen=True)
class ImageHeader:
    """What an image file says about itself, before any pixel is decompressed."""

    format: str
    """JPEG, PNG, WEBP, GIF, TIFF, BMP or AVIF."""
    mode: str
    """PIL's name for the pixels in the file: RGB, L, P, CMYK, RGBA, I;16 …"""
    width: int
    """As stored: EXIF rotation is not applied."""
    height: int


def read_bytes(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        ImageError: the file is missing, empty, a folder or not readable; the message begins with the path.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: {why_unreadable(error)}") from error
    if not data:
        raise ImageError(f"{path}: the file is empty (0 bytes).")
    return data


def decode(data: bytes, max_pixels: int = MAX_PIXELS, gpu: str | None = None) -> "Tensor":
    """uint8 (3, H, W) RGB, contiguous, turned upright by its EXIF orientation.

    Args:
        data: the bytes of a file.
        max_pixels: width × height beyond which it is refused.
        gpu: let nvJPEG decode JPEG files on that device, to pixels that differ from the CPU's by a few levels; files
            that it does not read are decoded on the CPU and put there.

    Raises:
        ImageError: the bytes are no image, are truncated or damaged, or exceed `max_pixels`. The message
            names no path and reads well after one.
    """
    with opened(io.BytesIO(data), max_pixels) as image:
        if image.format == "JPEG" and image.mode in ("RGB", "L"):
            pixels = _decode_jpeg(image, data, gpu)
        elif _is_16_bit(image, data):
            pixels = _decode_16_bit(image, data)
        else:
            pixels = _decode_pil(image)
    return pixels.to(gpu) if gpu else pixels


def load(path: Path, max_pixels: int = MAX_PIXELS) -> "Tensor":
    """`decode` of `read_bytes`.

    Raises:
        ImageError: one of theirs; the message begins with the path.
    """
    data = read_bytes(path)
    try:
        return decode(data, max_pixels)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def thumbnail(pixels: "Tensor", side: int) -> bytes:
    """A JPEG of uint8 (3, H, W) pixels, at most `side` pixels wide and high."""
    from PIL import Image

    small = Image.fromarray(pixels.permute(1, 2, 0).numpy())
    small.thumbnail((side, side))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def inspect(source: bytes | Path, max_pixels: int = MAX_PIXELS) -> ImageHeader:
    """The header of an image, from its bytes or from a file of which only the beginning is read.

    Raises:
        ImageError: as `decode`, as far as the header tells; the message begins with the path if it has one.
    """
    if isinstance(source, bytes):
        return _header(io.BytesIO(source), max_pixels)
    try:
        with source.open("rb") as file:
            return _header(file, max_pixels)
    except OSError as error:
        raise ImageError(f"{source}: {why_unreadable(error)}") from error
    except ImageError as error:
        raise ImageError(f"{source}: {error}") from error


def why_unreadable(error: OSError) -> str:
    """Why a file cannot be opened or read, to stand after its path."""
    match error:
        case FileNotFoundError() | NotADirectoryError():
            return "there is no such file."
        case IsADirectoryError():
            return "it is a folder, not an image."
        case PermissionError():
            return "the file may not be read: change its permissions."
        case _:
            return f"the file cannot be read ({error.strerror or error})."


def _header(file: IO[bytes], max_pixels: int) -> ImageHeader:
    with opened(file, max_pixels) as image:
        return ImageHeader(image.format or "", image.mode, *image.size)


@contextlib.contextmanager
def opened(file: IO[bytes], max_pixels: int) -> "Iterator[ImageFile]":
    """The image with its header read.

    PIL's readers are called directly: `Image.open` has a limit on pixels that is global, and warns below it.
    """
    plugin = _plugin(file.read(32))
    file.seek(0)
    reader = getattr(importlib.import_module(f"PIL.{plugin}ImagePlugin"), f"{plugin}ImageFile")
    _hush()
    with _damage():
        unread = reader(file)
    with unread as image:
        if image.width * image.height > max_pixels:
            size = f"{image.width} × {image.height}"
            raise ImageError(f"{size} pixels exceed the limit of {max_pixels:,}: make the image smaller.")
        yield image


@contextlib.contextmanager
def _damage() -> "Iterator[None]":
    """Around calls of PIL: what it raises for a damaged file becomes an `ImageError`."""
    try:
        yield
    except _DAMAGE as error:
        if "out of memory" in str(error).lower():  # how some of PIL's decoders put it
            raise MemoryError(str(error)) from error
        raise ImageError(f"the image is truncated or damaged ({_one_line(error)}): replace it.") from error


def _hush() -> None:
    """Keep PIL's remarks on odd metadata off stderr: what matters of them becomes an `ImageError`.

    One filter, for PIL's modules only, that stays: `warnings.catch_warnings` is not safe among threads, and when
    it ends elsewhere it may take the filter away again.
    """
    if _PIL_WARNINGS not in warnings.filters:
        warnings.filterwarnings("ignore", category=UserWarning, module=_PIL_WARNINGS[3].pattern)


def _plugin(start: bytes) -> str:
    """Name of PIL's plug-in for a file that begins with these bytes."""
    if not start:
        raise ImageError("the file is empty (0 bytes).")
    for offset, signature, plugin in _SIGNATURES:
        if start.startswith(signature, offset):
            return plugin
    known = ", ".join(dict.fromkeys(plugin for _, _, plugin in _SIGNATURES))
    raise ImageError(f"the file is no image, it begins with {_spelled(start[:8])}: replace it (known: {known}).")


def _spelled(start: bytes) -> str:
    """Bytes for people: words as words, others as numbers."""
    words = start.decode("ascii", "replace")
    return f'"{words}"' if words.isascii() and words.isprintable() else f"the bytes {start.hex(' ')}"


def _decode_jpeg(image: "ImageFile", data: bytes, gpu: str | None) -> "Tensor":
    """By torchvision, without the interpreter's lock; what it refuses is left to PIL: same pixels as on the CPU."""
    import torch
    from torchvision.io import ImageReadMode

    buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    pixels: Tensor
    try:
        # the bare operator: since 0.29 torchvision's function around it warns, at every call, of its removal
        if gpu:
            (pixels,) = torch.ops.image.decode_jpegs_cuda([buffer], ImageReadMode.RGB.value, torch.device(gpu))
        else:
            pixels = torch.ops.image.decode_jpeg(buffer, ImageReadMode.RGB.value, False)
    except torch.OutOfMemoryError as error:  # says nothing about the file
        raise MemoryError(str(error)) from error
    except RuntimeError:
        return _decode_pil(image)
    return _upright(pixels, _orientation(image))


def _decode_pil(image: "ImageFile") -> "Tensor":
    import numpy as np
    import torch

    with _damage():
        image.load()
    if image.mode in ("I", "F"):
        raise ImageError(f"pixels of mode {image.mode} have no fixed range: save them with 8 or 16 bits.")
    if image.mode == "P":
        image.info.pop("transparency", None)  # it is dropped in any case; PIL would warn
    orientation = _orientation(image)
    with _damage():
        rgb = image if image.mode == "RGB" else image.convert("RGB")
    pixels = np.array(rgb)
    return _upright(torch.from_numpy(pixels).permute(2, 0, 1), orientation)


def _decode_16_bit(image: "ImageFile", data: bytes) -> "Tensor":
    """All 16 bits: PIL has them for grey, OpenCV for colour, where PIL's high bytes must agree with it."""
    import numpy as np
    import torch

    if image.mode.startswith("I;16"):
        white_is_zero = image.format == "TIFF" and 0 in _tags(image, _PHOTOMETRIC)
        with _damage():
            image.load()
        grey = torch.from_numpy(np.asarray(image).astype(np.int32))[None]
        return _upright(_narrow(65535 - grey if white_is_zero else grey), _orientation(image))

    import cv2

    high_bytes = _decode_pil(image)
    orientation = _orientation(image)  # for PNG: both libraries turn a TIFF themselves
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if bgr is not None:
        wide = _upright(torch.from_numpy(bgr[..., ::-1].astype(np.int32)).permute(2, 0, 1), orientation)
        if torch.equal(wide >> 8, high_bytes.to(torch.int32)):
            return _narrow(wide)
    raise ImageError(f"this kind of 16-bit {image.format} is not read: save it as a 16-bit RGB PNG.")


def _is_16_bit(image: "ImageFile", data: bytes) -> bool:
    if image.format == "PNG":
        return data[24] == 16  # the header chunk's bit depth
    return image.format == "TIFF" and 16 in _tags(image, _BITS_PER_SAMPLE)


def _narrow(wide: "Tensor") -> "Tensor":
    """uint8 (3, H, W) of int32 (1 or 3, H, W): x / 257 rounded to nearest; there are no ties, 257 is odd."""
    import torch

    return ((wide + 128) // 257).to(torch.uint8).expand(3, -1, -1).contiguous()


def _upright(pixels: "Tensor", orientation: int) -> "Tensor":
    """Undo the camera's rotation, EXIF orientations 1 to 8; any other number means upright."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 2)
    flips = {2: [2], 3: [1, 2], 4: [1], 6: [2], 7: [1, 2], 8: [1]}.get(orientation, [])
    return (pixels.flip(flips) if flips else pixels).contiguous()


def _orientation(image: "ImageFile") -> int:
    """EXIF orientation; upright where there is none or it cannot be read, as every viewer has it."""
    try:
        found = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        return 1
    return found if isinstance(found, int) else 1


def _tags(image: "ImageFile", tag: int) -> tuple[int, ...]:
    """The values of a TIFF tag."""
    with _damage():
        values = image.tag_v2.get(tag, ())  # type: ignore[attr-defined]  # a TIFF image has them
    return values if isinstance(values, tuple) else (values,)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
