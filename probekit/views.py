"""Views: how the pixels of an image reach a model.

A view is part of the store's address, because other pixels give other features. Normalisation (mean and
standard deviation) belongs to the view but is applied on the device, after the uint8 crops have gone there.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from probekit.errors import ImageError, UsageError
from probekit.images import MAX_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

Policy = Literal["resize", "center", "squash", "native", "longest"]
Interpolation = Literal["bilinear", "bicubic"]


@dataclass(frozen=True)
class Normalize:
    """Channel means and standard deviations on the scale 0–1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


IMAGENET = Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
OPENAI_CLIP = Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
HALF = Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class View:
    """How pixels reach the model; `POLICIES` says what each policy does with `resize` and `crop` (pixels)."""

    policy: Policy = "resize"
    resize: int | None = None
    crop: int | None = None
    interpolation: Interpolation = "bicubic"
    normalize: Normalize | None = None

    def __post_init__(self) -> None:
        _check_policy(self.policy)
        for size in _POLICIES[self.policy].needs:
            if getattr(self, size) is None:
                raise UsageError(f"view {self.policy!r} needs the size {size!r} in pixels.")
        for size in ("resize", "crop"):
            pixels = getattr(self, size)
            if pixels is not None and pixels < 1:
                raise UsageError(f"view {self.policy!r}: {size} is {pixels}, expected at least 1 pixel.")

    @property
    def name(self) -> str:
        """A short name for people and file names: `resize256-crop224`, `center224`, `longest1024`."""
        match self.policy:
            case "resize":
                return f"resize{self.resize}-crop{self.crop}"
            case "longest":
                return f"longest{self.resize}"
            case policy:
                return f"{policy}{self.crop}" if self.crop else policy

    def with_policy(self, policy: str) -> "View":
        """The same normalisation and sizes under another policy; a size not given equals the other.

        Raises:
            UsageError: there is no such policy.
        """
        _check_policy(policy)
        sizes = {"resize": self.resize or self.crop, "crop": self.crop or self.resize}
        needed = {size: sizes[size] for size in _POLICIES[policy].needs}
        return replace(self, policy=policy, **needed)  # type: ignore[arg-type]  # the policy was just checked

    def apply(self, image: "Tensor") -> "list[Tensor]":
        """The crops of one image: uint8 (3, H, W) → uint8 (3, h, w) each, contiguous, in a fixed order.

        Raises:
            ImageError: the image is so narrow that it would be resized to more than `MAX_PIXELS`.
        """
        return [crop.contiguous() for crop in _POLICIES[self.policy].crops(self, image)]


def _check_policy(policy: str) -> None:
    if policy not in _POLICIES:
        raise UsageError(f"unknown view {policy!r}: choose one of {', '.join(_POLICIES)}.")


def _resize_then_crop(view: View, image: "Tensor") -> "list[Tensor]":
    """The long side becomes int(resize · long / short), as in torchvision's transform."""
    assert view.resize is not None
    short, long = sorted(image.shape[1:])
    target = int(view.resize * long / short)
    size = (view.resize, target) if image.shape[1] == short else (target, view.resize)
    return _center(view, _resize(view, image, size))


def _center(view: View, image: "Tensor") -> "list[Tensor]":
    assert view.crop is not None
    return [_crop(image, (view.crop, view.crop))]


def _squash(view: View, image: "Tensor") -> "list[Tensor]":
    assert view.crop is not None
    return [_resize(view, image, (view.crop, view.crop))]


def _native(view: View, image: "Tensor") -> "list[Tensor]":
    height, width = image.shape[1:]
    largest = view.crop or max(height, width)
    return [_crop(image, (min(height, largest), min(width, largest)))]


def _longest(view: View, image: "Tensor") -> "list[Tensor]":
    """Sides are rounded half up, as segment-anything's `ResizeLongestSide` does, but never to nothing."""
    assert view.resize is not None
    height, width = image.shape[1:]
    scale = view.resize / max(height, width)
    return [_resize(view, image, (max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))))]


def _resize(view: View, image: "Tensor", size: tuple[int, int]) -> "Tensor":
    from torchvision.transforms import InterpolationMode
    from torchvision.transforms.v2 import functional

    height, width = size
    if height * width > MAX_PIXELS:
        sizes = f"{image.shape[2]} × {image.shape[1]} pixels would be resized to {width} × {height}"
        raise ImageError(f"{sizes}: use another view, such as center or squash.")
    mode = InterpolationMode(view.interpolation)
    resized: Tensor = functional.resize(image, [height, width], interpolation=mode, antialias=True)
    return resized


def _crop(image: "Tensor", size: tuple[int, int]) -> "Tensor":
    """The centre, with zeros around an image that is smaller."""
    from torchvision.transforms.v2 import functional

    cropped: Tensor = functional.center_crop(image, list(size))
    return cropped


class _Rule(NamedTuple):
    meaning: str
    needs: tuple[str, ...]
    crops: "Callable[[View, Tensor], list[Tensor]]"


_POLICIES = {
    "resize": _Rule(
        "shorter side to `resize`, then the central `crop` × `crop`", ("resize", "crop"), _resize_then_crop
    ),
    "center": _Rule(
        "the central `crop` × `crop` without resizing, zero-padded when the image is smaller",
        ("crop",),
        _center,
    ),
    "squash": _Rule("both sides to `crop`, whatever the aspect ratio", ("crop",), _squash),
    "native": _Rule("no resizing; at most the central `crop` × `crop`, never padded", (), _native),
    "longest": _Rule("longer side to `resize`, aspect ratio kept, not cropped; the model pads", ("resize",), _longest),
}

POLICIES: dict[str, str] = {name: rule.meaning for name, rule in _POLICIES.items()}
"""What each policy does."""
