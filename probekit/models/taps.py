"""Taps: where features leave a network, and the one loop that every neural model shares.

    cls, mean     the class token, and the mean patch token, after the last block and the final norm
    registers     the mean register token there, of a network that has registers
    patches       the patch tokens there, (tokens, width): rows of the grid from top to bottom
    cls@7 …       the same after block 7 (counted from 0), before any norm: cls@i, mean@i, patches@i
    ln2@7         the class token as the MLP of block 7 reads it, put out by the block's second layer norm (the tap of
                  RINE, Koutlis and Papadopoulos 2024, arXiv:2402.19091); the mean patch token where no class token is

Whatever a network of another kind has on top (`proj`, `pool`, `pooler`) is said where its taps are listed.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from probekit.errors import UsageError
from probekit.models import Batch
from probekit.models.requests import check_taps
from probekit.views import Normalize

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module
    from torch.utils.hooks import RemovableHandle

Foreign: TypeAlias = Any
"""An object of a library that has no types."""

Read = Callable[[Any, "Tensor"], "Tensor"]
"""(what a module put out, sizes of the crops) → (b, width) or (b, tokens, width)."""

Norm = Callable[["Tensor"], "Tensor"]

Prepare = Callable[[Batch], "Tensor"]
"""Normalised input of a network from uint8 crops."""


@dataclass(frozen=True)
class Tap:
    """Features read from what one module of the network puts out."""

    source: "Module"
    read: Read
    tokens: bool = False
    """It gives as many vectors as the crops have patches."""


@dataclass(frozen=True)
class Tokens:
    """Where in a sequence of tokens what stands: the class token, others, registers, patches."""

    prefix: int
    """Tokens before the patches."""
    has_cls: bool
    registers: int = 0
    """The last of the prefix."""


@dataclass(frozen=True)
class Block:
    """A transformer block and its second layer norm, if it has one."""

    module: "Module"
    ln2: "Module | None"


@dataclass(frozen=True)
class TappedNetwork:
    """A frozen network that runs once a batch; taps read what their modules put out on the way."""

    name: str
    network: "Module"
    taps: Mapping[str, Tap]
    prepare: Prepare
    token_side: int | None = None
    """Side of the crops for which token taps have the shape on the card, of a network that takes any size."""

    def __call__(self, batch: Batch, taps: Sequence[str]) -> "dict[str, Tensor]":
        """Features per tap, float32 (b, width) or (b, tokens, width).

        Raises:
            UsageError: a tap that the model does not have, or crops that it does not take.
        """
        import torch

        with torch.inference_mode():
            return self.run(self.take(batch, taps), batch.sizes, taps)

    def take(self, batch: Batch, taps: Sequence[str]) -> "Tensor":
        """What the network is given for these crops.

        Raises:
            UsageError: as `__call__`.
        """
        check_taps(self.name, self.taps, taps)
        if self.token_side is not None and any(self.taps[tap].tokens for tap in taps):
            whole_crops(self.name, batch, self.token_side)
        return self.prepare(batch)

    def run(self, pixels: "Tensor", sizes: "Tensor", taps: Sequence[str]) -> "dict[str, Tensor]":
        """`__call__` of what `take` gives; with gradients, where torch records them."""
        features: dict[str, Tensor] = {}
        hooks = self._hooks(taps, sizes, features)
        try:
            self.network(pixels)
        finally:
            for hook in hooks:
                hook.remove()
        return {tap: features[tap] for tap in taps}

    def compile(self) -> None:
        """Let torch.compile translate what lies between the taps, at the first batch; taps are read outside of it."""
        _compile_between(self.network, {tap.source for tap in self.taps.values()})

    def _hooks(self, taps: Sequence[str], sizes: "Tensor", features: "dict[str, Tensor]") -> "list[RemovableHandle]":
        """Hooks that fill `features`, each tap as soon as its module has run.

        What is kept is a copy, so that no output of a block outlives the next ones for the sake of one token.
        """
        import torch

        by_source: dict[Module, list[str]] = {}
        for tap in taps:
            by_source.setdefault(self.taps[tap].source, []).append(tap)

        def reader(names: list[str]) -> Callable[[object, object, object], None]:
            def read(module: object, arguments: object, output: object) -> None:
                for tap in names:
                    features[tap] = self.taps[tap].read(output, sizes).to(torch.float32, copy=True)

            return read

        return [source.register_forward_hook(reader(names)) for source, names in by_source.items()]

    def shapes(self, size: int) -> dict[str, tuple[int, ...] | None]:
        """Shape of one row of every tap, found by running one blank crop of that size: free on the meta device."""
        import torch

        device = next(self.network.parameters()).device
        pixels = torch.zeros(1, 3, size, size, dtype=torch.uint8, device=device)
        blank = Batch(pixels, torch.tensor([[size, size]], device="cpu"))
        return {tap: tuple(rows.shape[1:]) for tap, rows in self(blank, list(self.taps)).items()}


def _compile_between(module: "Module", sources: "set[Module]") -> None:
    """Compile the largest modules in which no tap is read; a single layer gains nothing from it."""
    import torch

    children = list(module.children())
    if not any(inner in sources for inner in module.modules() if inner is not module):
        if children:
            module.forward = torch.compile(module.forward, dynamic=False)
        return
    for child in children:
        _compile_between(child, sources)


def final_taps(source: "Module", tokens: Tokens, hidden: "Callable[[Any], Tensor]", norm: Norm) -> dict[str, Tap]:
    """`cls`, `mean`, `registers` and `patches`, of those that the network has.

    Args:
        source: what puts out the last tokens.
        tokens: how they are laid out.
        hidden: takes them, (b, tokens, width), out of what the source puts out.
        norm: the final norm, if the source has not applied it.
    """
    prefix, first_register = tokens.prefix, tokens.prefix - tokens.registers
    taps = {
        "mean": Tap(source, lambda out, _: mean_token(norm(hidden(out)[:, prefix:]))),
        "patches": Tap(source, lambda out, _: norm(hidden(out)[:, prefix:]), tokens=True),
    }
    if tokens.has_cls:
        taps = {"cls": Tap(source, lambda out, _: norm(hidden(out)[:, 0]))} | taps
    if tokens.registers:
        taps["registers"] = Tap(source, lambda out, _: mean_token(norm(hidden(out)[:, first_register:prefix])))
    return taps


def block_taps(blocks: Mapping[int, Block], tokens: Tokens) -> dict[str, Tap]:
    """`cls@i`, `mean@i`, `ln2@i` and `patches@i` of every block, of those that the network has."""
    prefix = tokens.prefix

    def cls(out: Foreign, _: "Tensor") -> "Tensor":
        return first(out)[:, 0]

    def patches(out: Foreign, _: "Tensor") -> "Tensor":
        return first(out)[:, prefix:]

    def mean(out: Foreign, sizes: "Tensor") -> "Tensor":
        return mean_token(patches(out, sizes))

    taps = {f"cls@{i}": Tap(block.module, cls) for i, block in blocks.items() if tokens.has_cls}
    taps |= {f"mean@{i}": Tap(block.module, mean) for i, block in blocks.items()}
    taps |= {f"ln2@{i}": Tap(block.ln2, cls if tokens.has_cls else mean) for i, block in blocks.items() if block.ln2}
    return taps | {f"patches@{i}": Tap(block.module, patches, tokens=True) for i, block in blocks.items()}


def mean_token(tokens: "Tensor") -> "Tensor":
    """The mean of (b, tokens, width) over the tokens, summed in float32."""
    import torch

    if tokens.device.type == "cpu" and tokens.dtype != torch.float32:
        # The CPU sums only a float32 copy, and that of one image stays in its cache: same bits, six times as fast.
        return torch.stack([image.mean(0, dtype=torch.float32) for image in tokens])
    return tokens.mean(1, dtype=torch.float32)


def map_taps(source: "Module", channels_last: "Callable[[Any], Tensor]") -> dict[str, Tap]:
    """`mean` and `patches`, the positions of a feature map (b, h, w, c) from its top left to its bottom right."""
    import torch

    return {
        "mean": Tap(source, lambda out, _: channels_last(out).mean((1, 2), dtype=torch.float32)),
        "patches": Tap(source, lambda out, _: channels_last(out).flatten(1, 2), tokens=True),
    }


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
