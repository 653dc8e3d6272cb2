"""A local-manipulation data set made on the spot: crops of real photographs, and the same crops refilled.

The photographs are those that scikit-image and scikit-learn carry in their packages. Four classical
inpainters refill the same hole of the same crop, so that generators differ in nothing but the inpainter;
outside the hole every pixel equals the original. All pictures are PNGs of one size, stored without
compression: neither format, nor size, nor number of bytes tells a class.

    root/real/coffee-03.png
    root/telea/coffee-03.png …      one folder a generator
    root/masks/coffee-03.png        255 = manipulated, the same for all generators
    root/recipe.json                written last: what the pictures were made from
"""

import io
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Bool, UInt8
from probekit.errors import UsageError
from probekit.fingerprint import fingerprint, hash_bytes, plain
from probekit.parallel import processors

Pixels = UInt8[np.ndarray, "h w 3"]
Hole = Bool[np.ndarray, "h w"]
Inpainter = Callable[[Pixels, Hole], Pixels]
"""(crop, True where to refill) → crop of the same size; what it does outside the hole is not used."""

RECIPE = 1  # raised when the same settings would give other pictures
TEXTURE = 3.0  # least standard deviation of what a hole removes, grey levels: refilling a flat area changes nothing
MARGIN = 8  # pixels between a hole and the border of its crop: an inpainter looks in from all sides
RADIUS = 5  # pixels around a pixel that OpenCV's two inpainters look at
ATTEMPTS = 20  # holes drawn before a crop is given up as flat
SMALLEST = 96  # pixels along a side of a crop

_SKIMAGE = Path("skimage", "data")
_SKLEARN = Path("sklearn", "datasets", "images")

PHOTOGRAPHS: Mapping[str, Path] = {
    "astronaut": _SKIMAGE / "astronaut.png",
    "brick": _SKIMAGE / "brick.png",
    "camera": _SKIMAGE / "camera.png",
    "chelsea": _SKIMAGE / "chelsea.png",
    "china": _SKLEARN / "china.jpg",
    "clock": _SKIMAGE / "clock_motion.png",
    "coffee": _SKIMAGE / "coffee.png",
    "coins": _SKIMAGE / "coins.png",
    "flower": _SKLEARN / "flower.jpg",
    "grass": _SKIMAGE / "grass.png",
    "gravel": _SKIMAGE / "gravel.png",
    "hubble": _SKIMAGE / "hubble_deep_field.jpg",
    "ihc": _SKIMAGE / "ihc.png",
    "moon": _SKIMAGE / "moon.png",
    "motorcycle_left": _SKIMAGE / "motorcycle_left.png",
    "motorcycle_right": _SKIMAGE / "motorcycle_right.png",
    "page": _SKIMAGE / "page.png",
    "retina": _SKIMAGE / "retina.jpg",
    "rocket": _SKIMAGE / "rocket.jpg",
    "text": _SKIMAGE / "text.png",
}
"""Name to file, from the folder of installed packages. Drawings and computed images are left out."""

SCENES: Mapping[str, str] = {"motorcycle_left": "motorcycle", "motorcycle_right": "motorcycle"}
"""Photographs of one scene are one group."""


@dataclass(frozen=True)
class InpaintingSettings:
    """What decides the pictures."""

    size: int = 128
    """Side of a crop, pixels."""
    crops: int = 12
    """At most so many crops of one photograph; they may overlap by half."""
    area: tuple[float, float] = (0.05, 0.15)
    """Least and greatest share of a crop that is refilled."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.size < SMALLEST or self.crops < 1 or not 0 < self.area[0] < self.area[1] <= 0.25:
            need = f"size must be at least {SMALLEST}, crops at least 1, area rising within 0–0.25"
            raise UsageError(f"{self}: {need}.")


@dataclass(frozen=True)
class Crop:
    """One square of a photograph and the hole that every inpainter refills."""

    name: str
    group: str
    pixels: Pixels
    hole: Hole


def build(
    root: Path,
    settings: InpaintingSettings,
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> pd.DataFrame:
    """The manifest of the data set, after writing what is missing under `root`.

    A data set that is there with the same settings and library versions is not made again. Files appear whole
    or not at all, and the same settings give the same bytes whatever the number of threads.

    Args:
        root: folder of the data set; made if need be.
        settings: what decides the pictures.
        progress: called with (crops done, crops in all).
        workers: threads; all processors when None.

    Returns:
        path (relative to `root`), label, generator, domain, group, mask (relative path, empty for real).

    Raises:
        UsageError: `root` cannot be written, or a photograph is missing from its package.
    """
    crops = [crop for photo in PHOTOGRAPHS for crop in cut(photo, settings)]
    samples = pd.DataFrame([row for crop in crops for row in _rows(crop)])
    recipe = _recipe(settings)
    try:
        if not _is_complete(root, samples, recipe):
            (root / "recipe.json").unlink(missing_ok=True)
            for folder in ("real", "masks", *INPAINTERS):
                (root / folder).mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(workers or processors()) as pool:
                for done, _ in enumerate(pool.map(lambda crop: _write_crop(root, crop), crops), start=1):
                    if progress is not None:
                        progress(done, len(crops))
            _write(root / "recipe.json", recipe)
    except OSError as error:
        raise UsageError(f"{root} cannot be written ({error.strerror}): choose another folder.") from error
    return samples


def cut(photo: str, settings: InpaintingSettings) -> Iterator[Crop]:
    """Crops of one photograph in an order that the seed decides, less those without texture to remove."""
    pixels = _read_photograph(photo)
    size = settings.size
    corners = [(y, x) for y in _starts(pixels.shape[0], size) for x in _starts(pixels.shape[1], size)]
    number = 0
    for choice in _random(settings.seed, photo).permutation(len(corners)):
        y, x = corners[choice]
        crop = pixels[y : y + size, x : x + size]
        hole = _textured_hole(crop, settings, _random(settings.seed, photo, y, x))
        if hole is not None:
            yield Crop(f"{photo}-{number:02d}", SCENES.get(photo, photo), crop, hole)
            number += 1
        if number == settings.crops:
            return


def refill(crop: Crop, generator: str) -> Pixels:
    """The crop with its hole refilled by that inpainter, and untouched outside."""
    refilled: Pixels = np.where(crop.hole[..., None], INPAINTERS[generator](crop.pixels, crop.hole), crop.pixels)
    return refilled


# ── inpainters ──────────────────────────────────────────────────────────────────────────────────────────


def telea(pixels: Pixels, hole: Hole) -> Pixels:
    """Fast marching from the rim inwards, weighted means of known neighbours (Telea 2004)."""
    import cv2

    return np.asarray(cv2.inpaint(pixels, _as_mask(hole), RADIUS, cv2.INPAINT_TELEA))


def navier_stokes(pixels: Pixels, hole: Hole) -> Pixels:
    """Lines of equal brightness carried into the hole like vorticity in a fluid (Bertalmío et al. 2001)."""
    import cv2

    return np.asarray(cv2.inpaint(pixels, _as_mask(hole), RADIUS, cv2.INPAINT_NS))


def biharmonic(pixels: Pixels, hole: Hole) -> Pixels:
    """The smoothest surface through the rim: Δ²u = 0 in the hole (Damelin and Hoang 2018)."""
    from skimage.restoration import inpaint_biharmonic

    filled = inpaint_biharmonic(pixels, hole, channel_axis=-1)
    levels: Pixels = np.rint(np.clip(filled, 0.0, 1.0) * 255).astype(np.uint8)
    return levels


def shiftmap(pixels: Pixels, hole: Hole) -> Pixels:
    """Real texture copied from elsewhere in the crop along a few dominant shifts (He and Sun 2012).

    OpenCV's version wants CIELab, whose rounding alters pixels everywhere. In crops of 64 and 72 pixels its
    result was seen to change with the thread that runs it, in 96 and more never; hence `SMALLEST`.
    """
    import cv2

    lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2Lab)
    filled = np.zeros_like(lab)
    cv2.xphoto.inpaint(lab, _as_mask(~hole), filled, cv2.xphoto.INPAINT_SHIFTMAP)  # 0 = refill
    copied: Pixels = cv2.cvtColor(filled, cv2.COLOR_Lab2RGB)
    return copied


INPAINTERS: Mapping[str, Inpainter] = {
    "telea": telea,
    "navier-stokes": navier_stokes,
    "biharmonic": biharmonic,
    "shiftmap": shiftmap,
}
"""Generator to inpainter; each must be a function of its two arguments alone."""


# ── holes ───────────────────────────────────────────────────────────────────────────────────────────────


def ellipse(size: int, area: float, random: np.random.Generator) -> Hole:
    """One ellipse of about that share of the crop, at any angle and of aspect up to 1 : 2."""
    import cv2

    aspect = random.uniform(1.0, 2.0)
    minor = size * np.sqrt(area / (np.pi * aspect))
    axes = (round(minor * aspect), round(minor))
    room = axes[0] + MARGIN
    centre = [int(c) for c in random.integers(room, max(size - room, room + 1), 2)]
    mask = np.zeros((size, size), np.uint8)
    cv2.ellipse(mask, centre, axes, random.uniform(0, 180), 0, 360, 255, cv2.FILLED)
    return mask > 0


def free_form(size: int, area: float, random: np.random.Generator) -> Hole:
    """A brush that wanders until it has covered that share of the crop."""
    import cv2

    mask = np.zeros((size, size), np.uint8)
    width = int(random.integers(size // 12, size // 6))
    room = MARGIN + width // 2 + 1
    at = random.uniform(room, size - room, 2)
    direction = random.uniform(0, 2 * np.pi)
    while np.count_nonzero(mask) < area * size**2:
        direction += random.normal(0, 0.8)
        to = at + random.uniform(0.5, 1.5) * width * np.array([np.cos(direction), np.sin(direction)])
        if not room <= to.min() <= to.max() <= size - room:
            direction = np.arctan2(*(size / 2 - at)[::-1])  # turn back to the middle
            continue
        cv2.line(mask, np.rint(at).astype(int).tolist(), np.rint(to).astype(int).tolist(), 255, width)
        at = to
    return mask > 0


def _textured_hole(crop: Pixels, settings: InpaintingSettings, random: np.random.Generator) -> Hole | None:
    grey = crop.mean(axis=2)
    for _ in range(ATTEMPTS):
        draw = (ellipse, free_form)[random.integers(2)]
        hole = draw(settings.size, random.uniform(*settings.area), random)
        if grey[hole].std() >= TEXTURE:
            return hole
    return None


def _as_mask(hole: Hole) -> UInt8[np.ndarray, "h w"]:
    return np.where(hole, 255, 0).astype(np.uint8)


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────


def _read_photograph(photo: str) -> Pixels:
    from PIL import Image

    package, *rest = PHOTOGRAPHS[photo].parts
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise UsageError(f"the photograph {photo} comes with {package}, which is not installed: install it.")
    path = Path(spec.origin).parent.joinpath(*rest)
    if not path.is_file():
        raise UsageError(f"{path} is missing: the photographs of the demo come with {package}, install it again.")
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def _starts(length: int, size: int) -> list[int]:
    """Evenly spaced first pixels of crops that overlap by half at most; none in too small a photograph."""
    if length < size:
        return []
    count = (length - size) // (size // 2) + 1
    return [round(start) for start in np.linspace(0, length - size, count)]


def _random(*key: object) -> np.random.Generator:
    return np.random.default_rng(int(fingerprint(key), 16))


def _rows(crop: Crop) -> Iterator[dict[str, object]]:
    shared = {"domain": "demo", "group": crop.group}
    yield {"path": f"real/{crop.name}.png", "label": 0, "generator": "real", **shared, "mask": ""}
    for generator in INPAINTERS:
        path = f"{generator}/{crop.name}.png"
        yield {"path": path, "label": 1, "generator": generator, **shared, "mask": f"masks/{crop.name}.png"}


def _write_crop(root: Path, crop: Crop) -> None:
    _write(root / "real" / f"{crop.name}.png", _png(crop.pixels))
    _write(root / "masks" / f"{crop.name}.png", _png(_as_mask(crop.hole)))
    for generator in INPAINTERS:
        _write(root / generator / f"{crop.name}.png", _png(refill(crop, generator)))


def _png(pixels: np.ndarray) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=0)
    return file.getvalue()


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_bytes(data)
    draft.replace(path)


def _recipe(settings: InpaintingSettings) -> bytes:
    libraries = {name: metadata.version(name) for name in ("numpy", "opencv-contrib-python-headless", "scikit-image")}
    recipe = {"recipe": RECIPE, "settings": plain(settings), "libraries": libraries}
    return json.dumps(recipe, indent=2).encode() + b"\n"


def _is_complete(root: Path, samples: pd.DataFrame, recipe: bytes) -> bool:
    made = root / "recipe.json"
    if not made.is_file() or hash_bytes(made.read_bytes()) != hash_bytes(recipe):
        return False
    files = {*samples["path"], *samples["mask"]} - {""}
    return all((root / file).is_file() for file in files)
