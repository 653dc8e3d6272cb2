"""The network behind a probe, opened so that it can be looked into: tokens, blocks, and where its map can be seen."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from probekit import models
from probekit.arrays import Bool, Float, Int
from probekit.errors import ProbeError, UsageError
from probekit.fingerprint import plain
from probekit.heads.saved import Block
from probekit.heads.saved_head import view_of
from probekit.models import Batch, ModelCard, compute
from probekit.models.taps import TappedNetwork
from probekit.perturbations import parse_chain
from probekit.views import View

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True, eq=False)
class Shown:
    """Crops of some images, as the network takes them."""

    batch: Batch
    owner: Int[np.ndarray, " c"]
    """The number of the image that each crop is of."""

    @property
    def images(self) -> int:
        """How many images there are."""
        return int(self.owner[-1]) + 1

    @property
    def counts(self) -> Int[np.ndarray, " i"]:
        """Crops of each image."""
        return np.bincount(self.owner)

    def means(self, features: Float[np.ndarray, "c d"]) -> Float[np.ndarray, "i d"]:
        """Features of each image: the mean over its crops, which is what probes learn from."""
        sums = np.add.reduceat(features.astype(np.float64), np.cumsum(self.counts) - self.counts, axis=0)
        means: Float[np.ndarray, "i d"] = sums / self.counts[:, None]
        return means


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen network and the tap that the probe reads."""

    card: ModelCard
    net: TappedNetwork
    tap: str
    view: View
    device: str

    @property
    def name(self) -> str:
        """`clip#mean@20`."""
        return f"{self.card.name}#{self.tap}"

    @property
    def tokens_tap(self) -> str | None:
        """The tap of the tokens that the probe's tap is the mean of; None where it is no such mean."""
        stem, at, block = self.tap.partition("@")
        tokens = f"patches{at}{block}"
        return tokens if stem == "mean" and tokens in self.card.taps else None

    @property
    def blocks(self) -> dict[int, str]:
        """The numbers of the transformer blocks up to the tap, and the tap of each one's patch tokens."""
        _, at, own = self.tap.partition("@")
        numbers = {int(tap.partition("@")[2]): tap for tap in self.card.taps if tap.startswith("patches@")}
        return {number: tap for number, tap in sorted(numbers.items()) if not at or number <= int(own)}

    def take(self, shown: Shown, taps: Sequence[str]) -> "Tensor":
        """The network's input.

        Raises:
            UsageError: the crops are not of the size that it takes.
        """
        return self.net.take(shown.batch, taps)

    def features(self, pixels: "Tensor", shown: Shown, taps: Sequence[str]) -> dict[str, Float[np.ndarray, "c ..."]]:
        """What `run` gives, without gradients; float32."""
        import torch

        with torch.no_grad():  # inference mode would leave tensors in caches that no gradient may pass later
            found = self.net.run(pixels, shown.batch.sizes, taps)
        return {tap: values.cpu().numpy() for tap, values in found.items()}

    def valid(self, pixels: "Tensor", shown: Shown, side: int) -> Bool[np.ndarray, "c g g"]:
        """Positions of the grid that show image, not padding; a patch counts if all of it does, as in SAM's mean."""
        cell = self.cell(pixels, side)
        found = np.zeros((len(shown.owner), side, side), dtype=bool)
        for crop, (height, width) in enumerate(shown.batch.sizes.tolist()):
            found[crop, : max(height // cell, 1), : max(width // cell, 1)] = True
        return found

    @staticmethod
    def cell(pixels: "Tensor", side: int) -> int:
        """Pixels along a side of a patch."""
        return max(int(pixels.shape[-1]) // side, 1)


def grid_side(name: str, tokens: int) -> int:
    """The side of the square grid of so many tokens.

    Raises:
        UsageError: they make no square.
    """
    side = math.isqrt(tokens)
    if side * side != tokens:
        raise UsageError(f"{name}: its {tokens} tokens are no square grid, so none has a place in the image.")
    return side


def open_network(block: Block, weights: Mapping[str, Path], device: str | None) -> Network:
    """The network that a block of features came from.

    Args:
        block: the tap and the settings of its store.
        weights: model → checkpoint, where it does not come from a hub.
        device: `cpu`, `cuda:1` …; the first GPU if there is one, else the CPU.

    Raises:
        UsageError: the features were imported, have neither patches nor convolutions, or come from pixels whose place
            in the image is not known.
        ProbeError: other weights or settings than those of the features.
        WeightsError: the weights cannot be had.
    """
    settings, where = block.settings, compute.devices(device)[0]
    view = view_of(settings)
    if view is None:
        raise UsageError(f"{block.name}: these features were imported, and how pixels reached the model is not known.")
    if any(operation.kind == "crop" for operation in parse_chain(view.perturb or "none").operations):
        raise UsageError(f"{block.name}: perturbation {view.perturb} cuts images at random: ask unperturbed features.")
    model = models.find(settings.model, weights.get(settings.model))
    if model.weights.sha256 != settings.weights_sha256:
        raise ProbeError(
            f"{block.name}: its features are of other weights than {model.weights.path}: give those that they were "
            f"extracted with, --weights {settings.model}=FILE."
        )
    needed = {name: value for name, value in settings.model_settings.items() if name != "compiled"}
    if plain(dict(model.card.settings)) != plain(needed):
        raise ProbeError(f"{block.name}: this probekit computes other features than those stored: extract again.")
    net = compute.load(model, where, settings.precision)
    if not isinstance(net, TappedNetwork):
        raise UsageError(
            f"{block.name} has neither patch tokens nor convolutions, so nothing says where it looks: name features of "
            "a network with --model, such as dinov2#mean."
        )
    return Network(model.card, net, block.tap, view, where)


# ── where a map can be seen ─────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, eq=False)
class Layer:
    """What a module puts out or takes in, seen as a map (b, channels, side, side)."""

    module: "torch.nn.Module"
    side: str
    """`output` or `input`."""
    tokens: int
    width: int
    title: str
    """`output of block 10`."""

    def through(self, lens: "Callable[[Tensor], Tensor]") -> "RemovableHandle":
        """Let the map pass through `lens`, which changes nothing, whenever the network runs; what ends that."""

        def output(module: object, args: object, out: object) -> object:
            return self._replaced(out, lens)

        def taken(module: object, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
            if args:
                return (self._replaced(args[0], lens), *args[1:]), kwargs
            first = next(iter(kwargs))
            return args, kwargs | {first: self._replaced(kwargs[first], lens)}

        if self.side == "input":
            return self.module.register_forward_pre_hook(taken, with_kwargs=True)
        return self.module.register_forward_hook(output)

    def _replaced(self, value: object, lens: "Callable[[Tensor], Tensor]") -> object:
        if isinstance(value, tuple):
            return (self._replaced(value[0], lens), *value[1:])
        return seen_through(cast("Tensor", value), lens, self.tokens, self.width)


def seen_through(value: "Tensor", lens: "Callable[[Tensor], Tensor]", tokens: int, width: int) -> "Tensor":
    """The same tensor after its patches, as a map (b, c, h, w), have passed through the lens.

    Args:
        value: tokens (b, n, c), of which the last are patches, or a map with channels first or last.
        lens: takes and gives the map.
        tokens: number of patches.
        width: number of channels.
    """
    import torch

    side = math.isqrt(tokens)
    if value.ndim == 3:
        prefix, patches = value[:, :-tokens], value[:, -tokens:]
        grid = lens(patches.transpose(1, 2).reshape(len(value), width, side, side))
        return torch.cat([prefix, grid.flatten(2).transpose(1, 2)], dim=1)
    if value.shape[1:] == (width, side, side):
        return lens(value)
    return lens(value.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


def find_layer(network: Network, pixels: "Tensor", shown: Shown) -> Layer:
    """The last place where the network holds a map that the probe's features depend on.

    Of a transformer the output of the tap's block, or, where the class token is read, what goes into that block: after
    it no patch can reach the class token any more. Of a convolutional network its last map.

    Raises:
        UsageError: there is none.
    """
    candidates = _blocks(network) or _maps(network, pixels, shown)
    found = next((layer for layer in candidates if _matters(network, layer, pixels, shown)), None)
    if found is None:
        raise UsageError(f"{network.name} depends on no map of patches or convolutions: nothing says where it looks.")
    return found


def _blocks(network: Network) -> list[Layer]:
    if not network.blocks:
        return []
    number, tap = list(network.blocks.items())[-1]
    tokens, width = network.card.taps[tap] or (0, 0)
    grid_side(network.name, tokens)
    module = network.net.taps[tap].source
    return [Layer(module, side, tokens, width, f"{side} of block {number}") for side in ("output", "input")]


def _maps(network: Network, pixels: "Tensor", shown: Shown) -> list[Layer]:
    """Modules that put out a square map, the last first; of the final map's shape, where the card has it."""
    import torch

    last = network.card.taps.get("patches")
    found: dict[Any, Layer] = {}

    def record(module: Any, args: object, out: Any) -> None:  # noqa: ANN401
        if not isinstance(out, torch.Tensor) or out.ndim != 4:
            return
        _, a, b, c = out.shape
        shapes = {(b * c, a) if b == c else None, (a * b, c) if a == b else None}
        shape = last if last in shapes else (b * c, a) if last is None and b == c > 1 else None
        if shape:
            found.pop(module, None)
            found[module] = Layer(module, "output", *shape, f"output of {type(module).__name__}")

    hooks = [module.register_forward_hook(record) for module in network.net.network.modules()]
    try:
        network.features(pixels[:1], _first(shown), [network.tap])
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.values())[::-1]


def _matters(network: Network, layer: Layer, pixels: "Tensor", shown: Shown) -> bool:
    """Whether the features of one crop change with the map."""
    import torch

    seen: list[Tensor] = []

    def keep(grid: "Tensor") -> "Tensor":
        seen.append(grid)
        return grid

    hook = layer.through(keep)
    try:
        with torch.enable_grad():
            crop = pixels[:1].detach().clone().requires_grad_()
            features = network.net.run(crop, shown.batch.sizes[:1], [network.tap])[network.tap]
            across = (
                torch.linspace(-1, 1, features.shape[-1], device=features.device) ** 3
            )  # no sum: a norm's is constant
            (gradient,) = torch.autograd.grad((features * across).sum(), seen[-1:], allow_unused=True)
    finally:
        hook.remove()
    return gradient is not None and bool(gradient.abs().max() > 0)


def _first(shown: Shown) -> Shown:
    return Shown(Batch(shown.batch.pixels[:1], shown.batch.sizes[:1]), shown.owner[:1])
