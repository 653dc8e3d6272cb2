"""LoRA: low-rank updates of the attention's weights, Hu et al. 2021, arXiv:2106.09685, through peft.

W x becomes W x + (α/r) B A x, with W fixed, A (r, d) random, B (k, r) zero at first and α = r. In the end
W + (α/r) B A takes the place of W, so that the network is timm's own again.
"""

from typing import TYPE_CHECKING

from probekit.errors import ModelError, UsageError
from probekit.models.taps import Foreign

if TYPE_CHECKING:
    from torch.nn import Module

ATTENTION = r".*attn\.(qkv|proj)"
"""Names of the linear maps of timm's attention: query, key and value together, and what follows the heads."""


def insert(network: "Module", rank: int, arch: str) -> None:
    """Updates put into the network, in place; nothing else of it is trained afterwards.

    Raises:
        UsageError: peft is not installed, or the network has no such attention.
    """
    try:
        import peft
    except ImportError as error:
        raise UsageError("--lora needs peft: pip install 'probekit[lora]'.") from error
    config = peft.LoraConfig(r=rank, lora_alpha=rank, lora_dropout=0.0, bias="none", target_modules=ATTENTION)
    try:
        peft.inject_adapter_in_model(config, network)
    except ValueError as error:
        raise UsageError(
            f"--lora: {arch} has no attention of timm's kind (attn.qkv, attn.proj): choose a ViT, or leave it out."
        ) from error


def require_gradients(network: "Module", arch: str) -> None:
    """Nothing, if the last backward pass reached every update: some attentions read the weights past their module.

    Raises:
        ModelError: it did not.
    """
    if any(p.grad is None for name, p in network.named_parameters() if "lora_" in name):
        raise ModelError(f"--lora: the attention of {arch} takes its weights without the updates: leave --lora out.")


def merge(network: "Module") -> None:
    """The updates added to the weights and gone, in place."""
    layers: list[tuple[str, Foreign]] = [
        (name, module) for name, module in network.named_modules() if hasattr(module, "get_base_layer")
    ]
    for name, layer in layers:
        layer.merge()
        parent, _, child = name.rpartition(".")
        setattr(network.get_submodule(parent), child, layer.get_base_layer())
    network.requires_grad_(True)
