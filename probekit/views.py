"""Views: how the pixels of an image reach a model.

A view is part of the store's address, because other pixels give other features. It first perturbs the image, if it is
asked to, and then crops it. Normalisation (mean and standard deviation) belongs to the view but is applied on the
device, after the uint8 crops have gone there.

    tencrop    The image is resized as by `resize`, then cut as torchvision's `TenCrop` does: top left, top right,
               bottom left, bottom right, centre, and the same five of the mirrored image. Where `crop` is larger than
               what `resize` leaves, it is zero-padded on all sides first, as by `center`.
    tile       Tiles of `crop` × `crop` pixels, row by row, that cover the image without resizing. The last column and
               row are shifted inwards, so that every pixel is seen and nothing is padded; a side shorter than `crop`
               is zero-padded at both ends, as by `center`. More than `MAX_TILES` are refused: thinned out they would
               not be what they are called.
    texture    Of those tiles, however many, the `top` with the highest texture, the highest first and equal ones row
               by row; all of them where there are fewer. Texture is the l_div of PatchCraft (Zhong et al. 2023,
               arXiv:2311.12397), the sum over pairs of neighbours within the tile (right, below, lower right, lower
               left) and over R, G and B of |x - neighbour|. The grid, its shifted border and the default of 10 crops
               are those of TextureCrop (Konstantinidou et al. 2024, arXiv:2407.15500); its code measures grey images
               and repeats crops where there are fewer.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

from probekit import perturbations, pixels
from probekit.errors import ImageError, UsageError
from probekit.fingerprint import ADDED_LATER

if TYPE_CHECKING:
    from torch import Tensor

Interpolation = pixels.Interpolation
Policy = Literal["resize", "center", "squash", "native", "longest", "tencrop", "tile", "texture"]

MAX_TILES = 256
"""Tiles of one image; 12 megapixels have 252 of 224 × 224."""

TOP = 10
"""Crops of `texture` when no number is given."""

LIBRARIES = ("PIL.Image", "cv2", "torchvision.io", "torchvision.transforms.v2.functional")
"""What images are decoded and cropped with: whoever does that in threads loads these first."""


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
    """How pixels reach the model; `POLICIES` says what each policy does with `resize` and `crop` (pixels) and `top`."""

    policy: Policy = "resize"
    resize: int | None = None
    crop: int | None = None
    interpolation: Interpolation = "bicubic"
    normalize: Normalize | None = None
    top: int | None = field(default=None, metadata=ADDED_LATER)
    """Number of crops, where the policy chooses among many."""
    perturb: str = field(default="", metadata=ADDED_LATER)
    """Canonical name of the chain of perturbations before the crop; empty for none."""
    decoder: Literal["", "nvjpeg"] = field(default="", metadata=ADDED_LATER)
    """What decodes JPEG files, where it is not libjpeg-turbo, whose pixels are PIL's; nvJPEG's differ a little."""

    def __post_init__(self) -> None:
        _check_policy(self.policy)
        needs = _POLICIES[self.policy].needs
        for number in needs:
            if getattr(self, number) is None:
                raise UsageError(f"view {self.policy!r} needs the {_NUMBERS[number]}.")
        for number in _NUMBERS:
            given = getattr(self, number)
            if given is not None and given < 1:
                raise UsageError(f"view {self.policy!r}: {number} is {given}, expected at least 1{_UNITS[number]}.")
        if self.top is not None and "top" not in needs:
            raise UsageError(f"view {self.policy!r} has no number of crops to choose: leave it out.")
        if self.perturb and self.perturb != (name := perturbations.parse_chain(self.perturb).name):
            raise UsageError(f"perturbation {self.perturb!r} is written {name!r}: use View.with_perturbation.")
        if self.perturb and self.decoder:
            raise UsageError(
                f"perturbation {self.perturb!r} is done on the CPU, but {self.decoder} decodes on the GPU: "
                "leave --perturb or --decoder out."
            )

    @property
    def name(self) -> str:
        """A short name for people and file names: `resize256-crop224`, `center224`, `jpeg75-texture224-top10`."""
        perturbed = perturbations.parse_chain(self.perturb).slug if self.perturb else ""
        return "-".join(part for part in (self.decoder, perturbed, self._policy_name) if part)

    @property
    def _policy_name(self) -> str:
        match self.policy:
            case "resize":
                return f"resize{self.resize}-crop{self.crop}"
            case "longest":
                return f"longest{self.resize}"
            case "tencrop":
                return f"resize{self.resize}-tencrop{self.crop}"
            case "texture":
                return f"texture{self.crop}-top{self.top}"
            case policy:
                return f"{policy}{self.crop}" if self.crop else policy

    @property
    def fewest_crops(self) -> int:
        """Crops of an image of common size; of `tile`, whose number depends on the image, one."""
        return {"tencrop": 10, "texture": self.top or 1}.get(self.policy, 1)

    def with_policy(self, policy: str) -> "View":
        """The same normalisation, perturbation and sizes under another policy; a size not given equals the other.

        Args:
            policy: a name of `POLICIES`; `texture:3` for three crops in place of `TOP`.

        Raises:
            UsageError: there is no such policy, or its number of crops is none.
        """
        name, colon, number = policy.partition(":")
        _check_policy(name)
        needs = _POLICIES[name].needs
        if colon and "top" not in needs:
            raise UsageError(f"view {policy!r}: {name} takes no number of crops, write {name}.")
        if colon and not (number.isascii() and number.isdigit()):
            raise UsageError(f"view {policy!r}: write the number of crops after the colon, {name}:3.")
        sizes = {"resize": self.resize or self.crop, "crop": self.crop or self.resize, "top": TOP}
        needed = {size: sizes[size] for size in needs} | ({"top": int(number)} if colon else {})
        return replace(self, **{"policy": name, "top": None} | needed)  # type: ignore[arg-type]  # the policy was just checked

    def with_perturbation(self, chain: str) -> "View":
        """The same view of the perturbed image.

        Args:
            chain: in the grammar of `probekit.perturbations`, in any spelling; `none` for none.

        Raises:
            UsageError: the chain is not understood.
        """
        found = perturbations.parse_chain(chain)
        return replace(self, perturb=found.name if found.operations else "")

    def apply(self, image: "Tensor", seed: bytes) -> "list[Tensor]":
        """The crops of one image, perturbed first: uint8 (3, H, W) → uint8 (3, h, w) each, in a fixed order.

        Args:
            image: RGB pixels on the CPU.
            seed: what random perturbations are drawn from, the sample's key.

        Raises:
            ImageError: the image cannot be shown in this view; the message says why and which view can.
        """
        return self.crops(self.perturbation.apply(image, seed))

    @property
    def perturbation(self) -> perturbations.Chain:
        """What is done to the image before it is cropped; views that share it can share its work."""
        return perturbations.parse_chain(self.perturb or perturbations.NONE)

    def crops(self, image: "Tensor") -> "list[Tensor]":
        """The crops of an image that is perturbed already, contiguous, at least one.

        Raises:
            ImageError: as `apply`.
        """
        return [crop.contiguous() for crop in _POLICIES[self.policy].crops(self, image)]

    def crop_at(self, image: "Tensor", down: float, right: float) -> "Tensor":
        """The crop at another place than the centre, of a view that takes the centre; of any other, the crop it takes.

        Args:
            image: RGB pixels on the CPU, perturbed already.
            down: where between the highest crop (0) and the lowest (1).
            right: where between the leftmost and the rightmost.

        Raises:
            ImageError: as `apply`.
        """
        if self.policy not in ("resize", "center"):
            return self.crops(image)[0]
        assert self.crop is not None
        whole = _at_least(_resize_shorter_side(self, image) if self.policy == "resize" else image, self.crop)
        top, left = (
            round(share * (length - self.crop)) for share, length in zip((down, right), whole.shape[1:], strict=True)
        )
        return whole[:, top : top + self.crop, left : left + self.crop].contiguous()


_NUMBERS = {"resize": "size 'resize' in pixels", "crop": "size 'crop' in pixels", "top": "number 'top' of crops"}
_UNITS = {"resize": " pixel", "crop": " pixel", "top": ""}


def _check_policy(policy: str) -> None:
    if policy not in _POLICIES:
        raise UsageError(f"unknown view {policy!r}: choose one of {', '.join(_POLICIES)}.")


def _resize_then_crop(view: View, image: "Tensor") -> "list[Tensor]":
    return _center(view, _resize_shorter_side(view, image))


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


def _tencrop(view: View, image: "Tensor") -> "list[Tensor]":
    from torchvision.transforms.v2 import functional

    assert view.crop is not None
    return list(functional.ten_crop(_at_least(_resize_shorter_side(view, image), view.crop), [view.crop, view.crop]))


def _tile(view: View, image: "Tensor") -> "list[Tensor]":
    assert view.crop is not None
    height, width = image.shape[1:]
    tiles = len(tile_starts(height, view.crop)) * len(tile_starts(width, view.crop))
    if tiles > MAX_TILES:
        raise ImageError(
            f"{width} × {height} pixels would be cut into {tiles} tiles of {view.crop} × {view.crop}, more than "
            f"{MAX_TILES}: use another view, such as texture or center."
        )
    return list(_tiles(image, view.crop))


def _most_textured(view: View, image: "Tensor") -> "list[Tensor]":
    assert view.crop is not None
    tiles = list(_tiles(image, view.crop))
    return sorted(tiles, key=texture, reverse=True)[: view.top]  # stable: equal ones stay row by row


def _tiles(image: "Tensor", side: int) -> "Iterator[Tensor]":
    """Squares that cover the image, row by row; parts of one tensor, not copies."""
    image = _at_least(image, side)
    height, width = image.shape[1:]
    for top in tile_starts(height, side):
        for left in tile_starts(width, side):
            yield image[:, top : top + side, left : left + side]


def tile_starts(length: int, side: int) -> list[int]:
    """Where tiles begin along a length; the last is shifted inwards."""
    return [min(start, max(0, length - side)) for start in range(0, length, side)]


def texture(tile: "Tensor") -> int:
    """Sum of the absolute differences between neighbours: right, below, lower right, lower left."""
    import cv2

    total = 0.0
    for x in tile.cpu().numpy():
        pairs = [(x[:, :-1], x[:, 1:]), (x[:-1], x[1:]), (x[:-1, :-1], x[1:, 1:]), (x[:-1, 1:], x[1:, :-1])]
        total += sum(cv2.norm(first, second, cv2.NORM_L1) for first, second in pairs if first.size)
    return int(total)  # whole numbers far below 2^53


def _at_least(image: "Tensor", side: int) -> "Tensor":
    """The image with zeros around it where a side is shorter."""
    height, width = image.shape[1:]
    return _crop(image, (max(height, side), max(width, side)))


def _resize_shorter_side(view: View, image: "Tensor") -> "Tensor":
    assert view.resize is not None
    return _resize(view, image, pixels.with_shorter_side(image, view.resize))


def _resize(view: View, image: "Tensor", size: tuple[int, int]) -> "Tensor":
    return pixels.resize(image, *size, view.interpolation, "use another view, such as center or squash.")


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
    "tencrop": _Rule(
        "shorter side to `resize`, then the corners and the centre, `crop` × `crop`, and the same five mirrored",
        ("resize", "crop"),
        _tencrop,
    ),
    "tile": _Rule("`crop` × `crop` tiles that cover the image without resizing", ("crop",), _tile),
    "texture": _Rule("the `top` of these tiles that have the highest texture", ("crop", "top"), _most_textured),
}

POLICIES: dict[str, str] = {name: rule.meaning for name, rule in _POLICIES.items()}
"""What each policy does."""
