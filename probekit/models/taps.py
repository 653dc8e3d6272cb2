"""Taps: where features leave a network, and the one loop that every neural model shares.

`cls` and `mean` are the class token and the mean patch token after the last block and the final norm;
`cls@7` and `mean@7` leave after block 7 (counted from 0), before any norm.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from probekit.errors import ModelError, UsageError
from probekit.models import Batch, check_taps
from probekit.views import Normalize

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

Foreign: TypeAlias = Any
"""An object of a library that has no types."""

Read = Callable[[Any, "Tensor"], "Tensor"]
"""(what a module put out, sizes of the crops) → (b, width)."""


Prepare = Callable[[Batch], "Tensor"]
"""Normalised input of a network from uint8 crops."""


@dataclass(frozen=True)
class Tap:
    """Features read from what one module of the network puts out."""

    source: "Module"
    read: Read


@dataclass(frozen=True)
class TappedNetwork:
    """A frozen network that runs once a batch; taps read what their modules put out on the way."""

    name: str
    network: "Module"
    taps: Mapping[str, Tap]
    prepare: Prepare

    def __call__(self, batch: Batch, taps: Sequence[str]) -> "dict[str, Tensor]":
        """Features per tap, float32 (b, width).

        Raises:
            UsageError: a tap that the model does not have, or crops that it does not take.
        """
        import torch

        check_taps(self.name, self.taps, taps)
        kept: dict[Module, Any] = {}

        def keep(module: "Module", _: object, output: object) -> None:
            kept[module] = output

        sources = {self.taps[tap].source for tap in taps}
        hooks = [source.register_forward_hook(keep) for source in sources]
        try:
            with torch.inference_mode():
                self.network(self.prepare(batch))
                return {tap: self._features(tap, kept, batch) for tap in taps}
        finally:
            for hook in hooks:
                hook.remove()

    def _features(self, tap: str, kept: "Mapping[Module, object]", batch: Batch) -> "Tensor":
        read = self.taps[tap].read
        return read(kept[self.taps[tap].source], batch.sizes).float()

    def widths(self, size: int) -> dict[str, int]:
        """Width of every tap, found by running one blank crop of that size: free on the meta device."""
        import torch

        device = next(self.network.parameters()).device
        pixels = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device)
        blank = Batch(pixels, torch.tensor([[size, size]], device="cpu"))
        features = self(blank, list(self.taps))
        if wrong := [tap for tap, rows in features.items() if rows.ndim != 2]:
            raise ModelError(f"{self.name}: tap {wrong[0]} does not give one vector an image.")
        return {tap: rows.shape[1] for tap, rows in features.items()}


def token_taps(blocks: "Iterable[Module]", prefix: int, has_cls: bool) -> dict[str, Tap]:
    """`cls@i` and `mean@i` of every block; `prefix` tokens (class, registers) precede the patches."""
    taps: dict[str, Tap] = {}
    blocks = list(blocks)
    if has_cls:
        taps |= {f"cls@{i}": Tap(block, lambda out, _: first(out)[:, 0]) for i, block in enumerate(blocks)}
    read = mean_of_patches(prefix)
    return taps | {f"mean@{i}": Tap(block, read) for i, block in enumerate(blocks)}


def mean_of_patches(prefix: int) -> Read:
    """The mean over all tokens but the first `prefix`, summed in float32."""
    return lambda out, _: first(out)[:, prefix:].float().mean(1)


def first(output: Foreign) -> "Tensor":
    """The tensor itself, or the first of the several that some libraries' modules return."""
    found: Tensor = output[0] if isinstance(output, tuple) else output
    return found


def normalise(pixels: "Tensor", normalize: Normalize, dtype: "torch.dtype") -> "Tensor":
    """(x / 255 − mean) / std per channel, computed in float32 and then cast."""
    import torch

    mean, std = (
        torch.tensor(values, device=pixels.device).view(1, 3, 1, 1) for values in (normalize.mean, normalize.std)
    )
    return ((pixels.float() / 255 - mean) / std).to(dtype)


def whole_crops(name: str, batch: Batch, size: int | None) -> "Tensor":
    """The pixels of a batch whose crops are all of one size, `size` × `size` if that is given.

    Raises:
        UsageError: they are not.
    """
    import torch

    height, width = batch.pixels.shape[-2:]
    if (batch.sizes != torch.tensor([[height, width]], device="cpu")).any():
        raise UsageError(f"{name} takes crops of one size, not padded ones. Choose --view resize, center or squash.")
    if size is not None and (height, width) != (size, size):
        raise UsageError(
            f"{name} takes crops of {size} × {size} pixels, not {height} × {width}. "
            "Choose --view resize, center or squash."
        )
    return batch.pixels


def square(name: str, normalize: Normalize, dtype: "torch.dtype", size: int | None) -> Prepare:
    """How most networks take their crops: whole, of one size (any if None), normalised."""
    return lambda batch: normalise(whole_crops(name, batch, size), normalize, dtype)


def images_per_unit(network: "Module") -> int:
    """Images in one unit of work: at most a minute or so of a small CPU for a network of that size."""
    return 64 if sum(p.numel() for p in network.parameters()) > 200e6 else 256
