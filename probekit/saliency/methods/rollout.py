"""`rollout`: attention rollout, Abnar and Zuidema 2020, arXiv:2005.00928; it knows nothing of the probe.

    Ã_i = ½ (mean over heads of A_i) + ½ I        R = Ã_L … Ã_1

The map is the row of R of the token that is read: of the class token, or the mean over the patches where these are
averaged. Attention is recomputed beside the network from the queries and keys that it uses, so what the network itself
computes, fused kernels included, stays as it is.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.errors import UsageError
from probekit.saliency import methods
from probekit.saliency.linear import ProbeScore
from probekit.saliency.methods import Maps, Method, Scored
from probekit.saliency.network import Network, Shown, find_layer, grid_side

if TYPE_CHECKING:
    from torch import Tensor
    from torch.overrides import TorchFunctionMode

RESIDUAL = 0.5


@methods.add("rollout")
class Rollout(Method):
    """How attention could have carried patches to the token that is read."""

    title = "Attention rollout"
    about = "How much of each patch attention passes on to the tokens that are read: the same for every probe."
    of_the_probe = False

    def explain(self, network: Network, shown: Shown, probes: Sequence[Sequence[ProbeScore]]) -> Maps:
        """One map an image, the same for every probe; a crop's values sum to at most 1.

        Raises:
            UsageError: the network has no blocks with one attention over all tokens each.
        """
        pixels = network.take(shown, [network.tap])
        if not network.blocks:
            raise UsageError(f"rollout needs attention between all patches, and {network.name} has no such blocks.")
        tokens, _ = network.card.taps[list(network.blocks.values())[-1]] or (0, 0)
        side = grid_side(network.name, tokens)
        attention, features = _attention(network, pixels, shown)
        rolled = _roll(attention)
        averaged = find_layer(network, pixels, shown).side == "output"
        read = rolled[:, -tokens:].mean(1) if averaged else rolled[:, 0]
        grid = read[:, -tokens:].reshape(-1, side, side).cpu().numpy().astype(np.float64)
        grid[~network.valid(pixels, shown, side)] = np.nan
        scored = Scored.of(probes, shown.means(features))
        grids = np.broadcast_to(grid, (len(probes), *grid.shape))
        facts = {"reads": "mean over the patches" if averaged else "class token"}
        cell = network.cell(pixels, side)
        return Maps(grids, cell, scored.scores, scored.biases, scored.chosen, scored.predicted, facts)


def _roll(attention: "Sequence[Tensor]") -> "Tensor":
    """R (b, n, n) from the attention of every block, first to last."""
    import torch

    size = attention[0].shape[-1]
    identity = torch.eye(size, device=attention[0].device)
    rolled = identity.expand(len(attention[0]), size, size)
    for weights in attention:
        rolled = ((1 - RESIDUAL) * weights + RESIDUAL * identity) @ rolled
    return rolled


def _attention(network: Network, pixels: "Tensor", shown: Shown) -> "tuple[list[Tensor], np.ndarray]":
    """Attention (b, n, n) of every block up to the tap, mean over heads, float32; and the tap's features."""
    import torch

    found: dict[int, list[Tensor]] = {number: [] for number in network.blocks}
    now: list[int] = []
    hooks = []
    for number, tap in network.blocks.items():
        block = network.net.taps[tap].source
        hooks.append(block.register_forward_pre_hook(lambda *_, number=number: now.append(number)))
        hooks.append(block.register_forward_hook(lambda *_: now.clear()))
    try:
        with torch.no_grad(), _watching(lambda weights: found[now[-1]].append(weights.float()) if now else None):
            features = network.net.run(pixels, shown.batch.sizes, [network.tap])[network.tap]
    finally:
        for hook in hooks:
            hook.remove()
    count = len(pixels)
    for number, own in found.items():
        if len(own) != 1 or own[0].shape[0] != count or own[0].shape[1] != own[0].shape[2]:
            what = "attends within windows" if own and own[0].shape[0] != count else "shows no attention of its own"
            raise UsageError(
                f"rollout needs one attention over all tokens in each block, and block {number} of {network.card.name} "
                f"{what}: use --method grad-cam."
            )
    return [own[0] for own in found.values()], features.cpu().numpy()


def _watching(keep: "Callable[[Tensor], object]") -> "TorchFunctionMode":
    """A mode that calls `keep` with the head mean of every attention that is computed."""
    import torch
    from torch.nn import functional
    from torch.overrides import TorchFunctionMode

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self,
            function: Callable[..., Any],
            types: object,
            args: tuple[Any, ...] = (),
            kwargs: dict[str, Any] | None = None,
        ) -> object:
            given = dict(kwargs or {})
            if function is functional.multi_head_attention_forward:
                out, weights = function(*args, **given | {"need_weights": True, "average_attn_weights": True})
                keep(weights)
                return out, None
            if function is functional.scaled_dot_product_attention:
                keep(_weights(*args, **given))
            return function(*args, **given)

    def _weights(
        query: "Tensor",
        key: "Tensor",
        value: "Tensor",
        attn_mask: "Tensor | None" = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> "Tensor":
        logits = query.float() @ key.float().transpose(-2, -1) * (scale or query.shape[-1] ** -0.5)
        if attn_mask is not None:
            logits = logits.masked_fill(~attn_mask, -torch.inf) if attn_mask.dtype == torch.bool else logits + attn_mask
        return logits.softmax(-1).mean(1)

    return Watch()
