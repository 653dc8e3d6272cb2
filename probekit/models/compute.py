"""Running a frozen model: where, in which precision, a batch at a time. The part of extraction that is PyTorch's."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Float
from probekit.errors import UsageError
from probekit.models import Batch, FrozenModel, Model

if TYPE_CHECKING:
    from torch import Tensor


def check_device(name: str | None) -> str:
    """The device to compute on: the one that is named, else `cuda` where there is a GPU, else `cpu`.

    Raises:
        UsageError: there is no such device on this machine.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise UsageError(f"--device {name}: no such device; write cpu, cuda or cuda:N.") from None
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: PyTorch finds {torch.cuda.device_count()} GPUs here; leave --device out.")
    return name


def default_precision(device: str) -> str:
    """`bfloat16` on GPUs and on CPUs with AMX or AVX512-BF16, where whole models run several times faster in it."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16"
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def load(model: Model, device: str, precision: str) -> FrozenModel:
    """The model, ready to compute.

    Raises:
        WeightsError: the weights do not fit it.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False  # so that float32 means float32 on GPUs, in convolutions too
    return model.load(device, precision)


def forward(
    net: FrozenModel, crops: "Sequence[Tensor]", taps: Sequence[str], device: str
) -> dict[str, Float[np.ndarray, "b ..."]]:
    """Features of each crop, float32 on the CPU.

    Args:
        net: the model.
        crops: uint8 (3, h, w) each; smaller ones are zero-padded at the bottom and right to the largest.
        taps: what to read.
        device: where the model is.
    """
    import torch

    sizes = torch.tensor([crop.shape[1:] for crop in crops])
    height, width = sizes.amax(dim=0).tolist()
    pixels = torch.zeros((len(crops), 3, height, width), dtype=torch.uint8)
    for row, crop in enumerate(crops):
        pixels[row, :, : crop.shape[1], : crop.shape[2]] = crop
    with torch.inference_mode():
        features: Mapping[str, Tensor] = net(Batch(pixels.to(device, non_blocking=True), sizes), taps)
    return {tap: features[tap].float().cpu().numpy() for tap in taps}


def width(net: FrozenModel, tap: str, side: int, device: str) -> tuple[int, ...]:
    """Shape of one row of a tap, found by one black image of `side` × `side` pixels."""
    import torch

    return forward(net, [torch.zeros((3, side, side), dtype=torch.uint8)], (tap,), device)[tap].shape[1:]
