"""Frozen models: one file each, found by scanning this folder.

A model is a card (what it is) and a loader (how it is built). Families such as `timm:` make their cards
by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from probekit.errors import UsageError
from probekit.registry import Registry
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class ModelCard:
    """What a model is, before any of its weights are read."""

    name: str
    """As typed after --model: `clip`, `timm:vit_tiny_patch16_224`."""
    source: str
    """Where the weights come from: `hf:facebook/dinov2-large`, `none` for weight-free features."""
    license: str
    view: View
    taps: Mapping[str, tuple[int, ...] | None]
    """Tap → shape of one row: `(width,)`, or `(tokens, width)` of token taps; None where only a loaded model knows."""
    default_tap: str
    unit: int = 256
    """Images in one unit of work; small for models that take seconds an image."""
    per_image: bool = False
    """Each image is computed on its own, in float32, so that batches need no padding to one shape."""
    library: str = ""
    """What computes it beside torch and torchvision, as package indexes call it: `timm`."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """Whatever else changes the numbers (`quick_gelu`, the version of a feature); part of the address."""


@dataclass(frozen=True)
class Weights:
    """The weights of a model: a file or folder on this machine and its content hash, or none."""

    path: Path | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Batch:
    """Crops of several images, zero-padded at the bottom and right to one size."""

    pixels: "Tensor"  # uint8 (b, 3, H, W) on the compute device
    sizes: "Tensor"  # int64 (b, 2) on the CPU: height and width before padding


class FrozenModel(Protocol):
    """A loaded model: pixels in, features out, no gradient, no state."""

    def __call__(self, batch: Batch, taps: Sequence[str]) -> "dict[str, Tensor]":
        """Features per tap, float32 (b, width) or (b, tokens, width), row i of image i.

        Normalisation is the model's first step.
        """
        ...


@dataclass(frozen=True)
class Model:
    """A model that can be loaded: its card and its weights, found but not yet read into memory."""

    card: ModelCard
    weights: Weights
    build: "Callable[[ModelCard, Weights, str, str], FrozenModel]"
    """(card, weights, device, precision) → model; precision is `float32` or `bfloat16`."""

    def load(self, device: str, precision: str) -> FrozenModel:
        """Read the weights and put the model on the device, whole in that precision.

        Raises:
            WeightsError: the weights do not fit the model.
        """
        return self.build(self.card, self.weights, device, precision)


Finder = Callable[[str, Path | None], Model]
"""(name, weights file or None) → model; raises WeightsError when the weights cannot be had."""

_finders = Registry[Finder]("model", package=__name__, entry_points="probekit.models")

add = _finders.add
"""Register a finder under a full name (`clip`) or under a family with its colon (`timm:`)."""


def names() -> list[str]:
    """All model names and families (`timm:` stands for `timm:NAME`)."""
    return _finders.names()


def find(name: str, weights: Path | None = None) -> Model:
    """The model of that name with its weights located, not loaded.

    Raises:
        UnknownNameError: no such model or family.
        WeightsError: the weights cannot be had; the message names the file and the two ways to supply it.
    """
    family, colon, rest = name.partition(":")
    if colon and not rest:
        raise UsageError(f"--model {name}: a model's name must follow the colon, for example {name}NAME.")
    return _finders.get(family + colon)(name, weights)
