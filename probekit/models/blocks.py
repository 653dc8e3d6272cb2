"""Where the blocks of a network are and which of their norms is the second, seen in one run on the meta device.

Libraries call the second layer norm of a block `norm2`, `ln_2`, `layer_norm2`, `layernorm_after` …, and blocks that
norm after their MLP, or once for both branches, have modules of these names too. So no name is trusted: `ln2` is the
second layer norm that runs in a block, provided that what it puts out is what a module with a weight matrix, the MLP,
takes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from probekit.models.taps import Block, Foreign, first

if TYPE_CHECKING:
    from torch.nn import Module
    from torch.utils.hooks import RemovableHandle


@dataclass(frozen=True)
class Place:
    """Names of a block and of its second layer norm inside the network, and the shape that it puts out for an image."""

    path: str
    ln2: str | None
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Call:
    """One run of a module: what went in and what came out."""

    module: "Module"
    inputs: tuple[Any, ...]
    output: Any


def survey(
    network: "Module", blocks: "Sequence[Module]", run: Callable[[], Foreign]
) -> tuple[Foreign, dict[int, Place]]:
    """What the run gives, and the place of every block that ran once and put out one tensor.

    Args:
        network: on the meta device, so that nothing is computed.
        blocks: some of its modules, in their order.
        run: runs it on one crop.
    """
    from torch import Tensor

    calls: list[_Call] = []
    watched = {module for block in blocks for module in (block, *block.children())}
    hooks = [_record(module, calls) for module in watched]
    try:
        output = run()
    finally:
        for hook in hooks:
            hook.remove()
    paths = {module: path for path, module in network.named_modules()}
    places = {}
    for number, block in enumerate(blocks):
        outputs = [first(call.output) for call in calls if call.module is block]
        if len(outputs) == 1 and isinstance(outputs[0], Tensor):
            norm = _second_norm(block, calls)
            places[number] = Place(paths[block], paths[norm] if norm else None, tuple(outputs[0].shape[1:]))
    return output, places


def blocks_at(network: "Module", places: Mapping[int, Place]) -> dict[int, Block]:
    """The blocks of those places in another copy of the network."""
    return {
        number: Block(network.get_submodule(place.path), network.get_submodule(place.ln2) if place.ln2 else None)
        for number, place in places.items()
    }


def of_tokens(places: Mapping[int, Place], length: int, prefix: int) -> dict[int, Place]:
    """The blocks that put out a sequence of tokens laid out as the last one of that length.

    Where tokens precede the patches, a sequence of another length lacks some of them: CaiT's class token comes late.
    """
    return {
        number: place
        for number, place in places.items()
        if len(place.shape) == 2 and (prefix == 0 or place.shape[0] == length)
    }


def _record(module: "Module", calls: list[_Call]) -> "RemovableHandle":
    def record(module: "Module", args: tuple[Any, ...], kwargs: dict[str, Any], output: object) -> None:
        calls.append(_Call(module, (*args, *kwargs.values()), output))

    return module.register_forward_hook(record, with_kwargs=True)


def _second_norm(block: "Module", calls: list[_Call]) -> "Module | None":
    """The module `ln2` of a block, if it has one."""
    children = set(block.children())
    inside = [call for call in calls if call.module in children]
    norms = [call for call in inside if _is_layer_norm(call.module)]
    if len(norms) < 2:
        return None
    second = norms[1]
    readers = [call.module for call in inside if any(taken is second.output for taken in call.inputs)]
    reads_it = any(parameter.ndim > 1 for reader in readers for parameter in reader.parameters())
    return second.module if reads_it else None


def _is_layer_norm(module: "Module") -> bool:
    """Root-mean-square norms count: newer networks have them in the same place."""
    name = type(module).__name__.lower()
    return "layernorm" in name or "rmsnorm" in name
