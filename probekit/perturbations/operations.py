"""Operations: what one link of a chain of perturbations does to an image, and how it is spelled.

Their numbers, and how each is done:

    jpeg:75             JPEG by Pillow (libjpeg-turbo), quality 1 to 100, chroma halved (4:2:0), Pillow's default, at
                        every quality. Evaluations in the field draw Pillow or OpenCV for each image; one encoder,
                        always the same, makes a quality one level.
    webp:80             Lossy WebP by Pillow (libwebp, method 4), quality 1 to 100.
    blur:sigma=2        Gaussian as `scipy.ndimage.gaussian_filter` has it (UniversalFakeDetect's and SIDBench's): cut
                        off at 4σ, borders mirrored with the edge pixel repeated. Rounded to the nearest level.
    blur:k=9            `cv2.GaussianBlur` with a k × k kernel and OpenCV's own σ for it, 0.3·((k - 1)/2 - 1) + 0.8
                        (for k ≤ 7 OpenCV has fixed kernels); borders mirrored about the edge pixel.
    blur:k=9,sigma=3    The same with a σ of one's own.
    resize:0.5          Both sides times that, rounded half up; bicubic, antialiased.
    resize:to=512       The shorter side at 512 pixels, the aspect ratio kept; bicubic, antialiased.
    noise:var=10        Gaussian noise of that variance on the scale 0-255, independent for every pixel and channel;
                        the sum is rounded and clipped.
    crop:0.1            A part of the image at a random place, 10 % less high and less wide, resized to the size of
                        the image (bicubic).
"""

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from probekit.errors import ImageError, UsageError
from probekit.images import decode
from probekit.pixels import resize, with_shorter_side
from probekit.registry import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

_NUMBER = re.compile(r"\d+\.?\d*|\.\d+", re.ASCII)  # no exponents: `+` chains operations
_LONGEST_SIDE = {"JPEG": 65_500, "WEBP": 16_383}  # of the formats and their libraries


@dataclass(frozen=True)
class Operation:
    """One perturbation with its numbers."""

    kind: str
    values: tuple[tuple[str, float], ...]
    """(argument, number) in the order of the canonical spelling; a number on its own has the name ''."""

    @property
    def name(self) -> str:
        """The canonical spelling: `jpeg:75`, `blur:k=9,sigma=3`. Equal operations have equal names."""
        return f"{self.kind}:" + ",".join(f"{name}={_spell(n)}" if name else _spell(n) for name, n in self.values)

    @property
    def slug(self) -> str:
        """For names of files and stores: `jpeg75`, `blur-k9-sigma3`."""
        return self.kind + "".join(f"-{name}{_spell(n)}" if name else _spell(n) for name, n in self.values)

    def apply(self, image: "Tensor", generator: np.random.Generator) -> "Tensor":
        """The perturbed image: uint8 (3, H, W) → uint8 (3, H', W'), contiguous; the input is not changed.

        Args:
            image: RGB pixels on the CPU.
            generator: what random operations draw from.

        Raises:
            ImageError: the image is too large for the format, or would become too large.
        """
        form = _form(self.kind, [name for name, _ in self.values])
        assert form is not None
        return form.apply(image, generator, *(number for _, number in self.values)).contiguous()


def parse_operation(text: str) -> Operation:
    """The operation that is spelled like this.

    Raises:
        UnknownNameError: there is no such operation.
        UsageError: an argument is missing, superfluous or outside what is allowed, which the message names.
    """
    kind, _, rest = (part.strip() for part in text.partition(":"))
    if kind not in _FORMS:
        raise unknown_name("perturbation", kind, _FORMS)
    given: dict[str, str] = {}
    for argument in rest.split(","):
        name, equals, number = (part.strip() for part in argument.partition("="))
        name, number = (name, number) if equals else ("", name)
        if name in given:
            raise UsageError(f"perturbation {text!r} gives {name or 'its number'} twice: give it once.")
        given[name] = number
    form = _form(kind, given)
    if form is None:
        raise UsageError(f"perturbation {text!r} is not understood: write {_spellings(kind)}.")
    return Operation(kind, tuple((name, form.arguments[name].read(given[name], text)) for name in form.arguments))


class _Range(NamedTuple):
    """The numbers that an argument may have."""

    meaning: str
    least: float
    most: float
    whole: bool = False
    odd: bool = False
    above: bool = False
    """`least` itself is too small."""

    def read(self, text: str, within: str) -> float:
        value = float(text) if _NUMBER.fullmatch(text) else None
        if value is not None and self._holds(value):
            return int(value) if self.whole else value
        kind = "an odd number" if self.odd else "a whole number" if self.whole else "a number"
        bounds = f"{'above' if self.above else 'from'} {self.least} to {self.most}"
        found = f"is {text}" if text else "is missing"
        raise UsageError(f"perturbation {within!r}: {self.meaning} {found}, expected {kind} {bounds}.")

    def _holds(self, value: float) -> bool:
        fits = self.least < value if self.above else self.least <= value
        return fits and value <= self.most and not (self.whole and value % 1) and not (self.odd and value % 2 == 0)


class _Form(NamedTuple):
    """One way of spelling an operation, and what it does: `apply(image, generator, *numbers)`."""

    arguments: Mapping[str, _Range]
    apply: "Callable[..., Tensor]"


def _encoded(image: "Tensor", _: np.random.Generator, quality: int, *, container: str) -> "Tensor":
    """The image after a lossy format."""
    from PIL import Image

    height, width = image.shape[1:]
    if max(height, width) > _LONGEST_SIDE[container]:
        raise ImageError(
            f"{width} × {height} pixels are more than {container} can hold ({_LONGEST_SIDE[container]} a side): "
            "make the image smaller."
        )
    buffer = io.BytesIO()
    Image.fromarray(image.permute(1, 2, 0).numpy()).save(buffer, container, quality=quality)
    return decode(buffer.getvalue())


def _blur_as_scipy(image: "Tensor", _: np.random.Generator, sigma: float) -> "Tensor":
    """Computed in float32: OpenCV's 8-bit Gaussian strays from the formula by more than a level."""
    import cv2
    import torch

    side = 2 * int(4 * sigma + 0.5) + 1
    blurred = np.empty(tuple(image.shape), np.uint8)
    for channel, plane in enumerate(image.numpy()):
        smooth = cv2.GaussianBlur(plane.astype(np.float32), (side, side), sigma, borderType=cv2.BORDER_REFLECT)
        blurred[channel] = np.rint(smooth)
    return torch.from_numpy(blurred)


def _blur_as_opencv(image: "Tensor", _: np.random.Generator, k: int, sigma: float = 0.0) -> "Tensor":
    """Exactly `cv2.GaussianBlur(pixels, (k, k), sigma)`: fixed-point, so it has the same bits on every machine."""
    import cv2
    import torch

    return torch.from_numpy(np.stack([cv2.GaussianBlur(plane, (k, k), sigma) for plane in image.numpy()]))


def _rescaled(image: "Tensor", _: np.random.Generator, scale: float) -> "Tensor":
    height, width = (max(1, int(side * scale + 0.5)) for side in image.shape[1:])
    return _bicubic(image, height, width)


def _resized_to(image: "Tensor", _: np.random.Generator, side: int) -> "Tensor":
    return _bicubic(image, *with_shorter_side(image, side))


def _noisy(image: "Tensor", generator: np.random.Generator, variance: float) -> "Tensor":
    """A channel at a time, in float32: a large image needs no more memory than it must."""
    import torch

    noisy = np.empty(tuple(image.shape), np.uint8)
    for channel, plane in enumerate(image.numpy()):
        noise = generator.standard_normal(plane.shape, dtype=np.float32)
        noise *= np.float32(variance**0.5)
        noisy[channel] = np.clip(np.rint(noise + plane, out=noise), 0, 255, out=noise)
    return torch.from_numpy(noisy)


def _cropped(image: "Tensor", generator: np.random.Generator, share: float) -> "Tensor":
    height, width = image.shape[1:]
    kept = [max(1, int(side * (1 - share) + 0.5)) for side in (height, width)]
    top, left = (int(generator.integers(side - part + 1)) for side, part in zip((height, width), kept, strict=True))
    return _bicubic(image[:, top : top + kept[0], left : left + kept[1]], height, width)


def _bicubic(image: "Tensor", height: int, width: int) -> "Tensor":
    return resize(image, height, width, "bicubic", "perturb it by less, or leave it out.")


_QUALITY = _Range("its quality", 1, 100, whole=True)
_KERNEL = _Range("k", 3, 401, whole=True, odd=True)
_SIGMA = _Range("sigma", 0, 100, above=True)

_FORMS: dict[str, tuple[_Form, ...]] = {
    "jpeg": (_Form({"": _QUALITY}, partial(_encoded, container="JPEG")),),
    "webp": (_Form({"": _QUALITY}, partial(_encoded, container="WEBP")),),
    "blur": (
        _Form({"sigma": _SIGMA}, _blur_as_scipy),
        _Form({"k": _KERNEL}, _blur_as_opencv),
        _Form({"k": _KERNEL, "sigma": _SIGMA}, _blur_as_opencv),
    ),
    "resize": (
        _Form({"": _Range("its scale", 0, 16, above=True)}, _rescaled),
        _Form({"to": _Range("to", 1, 16_384, whole=True)}, _resized_to),
    ),
    "noise": (_Form({"var": _Range("var", 0, 10_000, above=True)}, _noisy),),
    "crop": (_Form({"": _Range("its share", 0, 0.99, above=True)}, _cropped),),
}

KINDS = tuple(_FORMS)
"""The operations there are."""


def _form(kind: str, names: "list[str] | dict[str, str]") -> _Form | None:
    """The way of spelling that has these arguments."""
    return next((form for form in _FORMS[kind] if set(form.arguments) == set(names)), None)


def _spellings(kind: str) -> str:
    spelled = [
        f"{kind}:" + ",".join(f"{name}=NUMBER" if name else "NUMBER" for name in form.arguments)
        for form in _FORMS[kind]
    ]
    return " or ".join(spelled)


def _spell(number: float) -> str:
    """The shortest digits that give this number again, without exponent: 75, 0.1."""
    return str(number) if isinstance(number, int) else np.format_float_positional(number, trim="-")
