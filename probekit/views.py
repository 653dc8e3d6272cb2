"""Views: how the pixels of an image reach a model.

A view is part of the store's address, because other pixels give other features. Normalisation (mean and standard
deviation) belongs to the view but is applied on the device, after the uint8 crops have travelled there.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from probekit.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

Policy = Literal["resize", "center", "squash", "native", "longest"]
Interpolation = Literal["bilinear", "bicubic"]

POLICIES: dict[str, str] = {
    "resize": "shorter side to `resize`, then the central `crop` × `crop`",
    "center": "the central `crop` × `crop` without resizing, zero-padded when the image is smaller",
    "squash": "both sides to `crop`, whatever the aspect ratio",
    "native": "no resizing; at most the central `crop` × `crop`, never padded",
    "longest": "longer side to `resize`, aspect ratio kept, not cropped; the model pads",
}


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
    """How pixels reach the model; see `POLICIES` for what each policy does with `resize` and `crop` (pixels)."""

    policy: Policy = "resize"
    resize: int | None = None
    crop: int | None = None
    interpolation: Interpolation = "bicubic"
    normalize: Normalize | None = None

    def __post_init__(self) -> None:
        if self.policy not in POLICIES:
            raise UsageError(f"unknown view {self.policy!r}: choose one of {', '.join(POLICIES)}.")

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
        """The same sizes and normalisation under another policy.

        Raises:
            UsageError: there is no such policy.
        """
        if policy not in POLICIES:
            raise UsageError(f"unknown view {policy!r}: choose one of {', '.join(POLICIES)}.")
        return replace(self, policy=policy)  # type: ignore[arg-type]  # membership was just tested

    def apply(self, image: "Tensor") -> "list[Tensor]":
        """The crops of one image: uint8 (3, H, W) → uint8 (3, h, w) each, in a fixed order."""
        raise NotImplementedError
