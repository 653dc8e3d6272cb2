"""Pictures of a run folder as the page carries them: small enough to open at once, sharp enough to read."""

import io
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from probekit.errors import RunError

MEDIA = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}

MOST_WIDTH = 1500
"""Pixels; the widest column of the page has 860, and twice that on a fine screen is more than charts need."""
SMALL = 20_000
"""Bytes up to which a picture is carried as it is."""
DRAWN = 0.8
"""Share of neighbouring pixels that are equal, from which a picture is a drawing and not photographs."""
COLOURS = 256
"""Of a drawing: enough for its lines, edges and colour bars."""
QUALITY = 80
"""Of photographs."""
OPAQUE = 255
DOTS = 96
"""CSS pixels in an inch."""


@dataclass(frozen=True)
class Picture:
    """A picture inside the page."""

    uri: str
    """`data:image/webp;base64,…`."""
    width: int | None = None
    """In CSS pixels, as large as it was drawn; None where the file does not say, as an SVG."""
    height: int | None = None


def embedded(path: Path) -> Picture | None:
    """The picture in this file, re-encoded where that makes it smaller; None for a file that is no picture.

    Drawings keep their lines sharp, photographs become WebP of good quality; neither is wider than the page can show.

    Raises:
        RunError: it cannot be read.
    """
    media = MEDIA.get(path.suffix.lower())
    if media is None:
        return None
    try:
        original = path.read_bytes()
        if media == MEDIA[".svg"]:
            return Picture(_uri(media, original))
        with Image.open(io.BytesIO(original)) as image:
            image.load()
            dots = float(image.info.get("dpi", (2 * DOTS,))[0]) or 2 * DOTS
            width, height = (max(1, round(side * DOTS / dots)) for side in image.size)
            smaller = _small(image) if len(original) > SMALL else original
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise RunError(f"{path} cannot be read ({error}): run the command again.") from error
    best = (media, original) if len(original) <= len(smaller) else (MEDIA[".webp"], smaller)
    return Picture(_uri(*best), width, height)


def _small(image: Image.Image) -> bytes:
    """The picture as WebP."""
    drawn = _is_drawn(image)
    pixels = image.convert("RGBA")
    if np.asarray(pixels)[..., 3].min() == OPAQUE:
        pixels = pixels.convert("RGB")
    if pixels.width > MOST_WIDTH:
        pixels = pixels.resize((MOST_WIDTH, round(pixels.height * MOST_WIDTH / pixels.width)), Image.Resampling.LANCZOS)
    if drawn and pixels.mode == "RGB":
        pixels = pixels.quantize(COLOURS, dither=Image.Dither.NONE).convert("RGB")
    file = io.BytesIO()
    pixels.save(file, "WEBP", lossless=drawn, quality=QUALITY, method=4)
    return file.getvalue()


def _is_drawn(image: Image.Image) -> bool:
    """Whether flat ground and few lines make up most of it, before any resizing."""
    levels = np.asarray(image.convert("L"))
    return levels.shape[1] > 1 and float(np.mean(levels[:, 1:] == levels[:, :-1])) >= DRAWN


def _uri(media: str, data: bytes) -> str:
    return f"data:{media};base64,{b64encode(data).decode()}"
