"""Running a frozen model: where, in which precision, a batch at a time. The part of extraction that is PyTorch's."""

import contextlib
import platform
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Float
from probekit.errors import ModelError, UsageError
from probekit.models import Batch, FrozenModel, Model

if TYPE_CHECKING:
    import torch
    from torch import Tensor

GPU_DRIVERS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/dev/kfd")


def devices(names: str | None) -> tuple[str, ...]:
    """The devices to compute on, one process each: those that are named, else all GPUs, else the CPU.

    Args:
        names: `cpu`, `cuda` (the first GPU), `cuda:1` …, several with commas between; None to choose.

    Raises:
        UsageError: there is no such device on this machine.
    """
    if names is None and not _may_have_gpu():
        return ("cpu",)  # without torch, which takes seconds to import
    if names is not None:
        return tuple(_check_device(name.strip()) for name in names.split(","))
    import torch

    return tuple(f"cuda:{number}" for number in range(torch.cuda.device_count())) or ("cpu",)


def default_precision(device: str) -> str:
    """`bfloat16` on GPUs and on CPUs with AMX or AVX512-BF16, where whole models run several times faster in it."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16"
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def hardware(device: str) -> str:
    """What the device is: the name of a GPU, or the architecture of the processor."""
    if not device.startswith("cuda"):
        return platform.machine()
    import torch

    return torch.cuda.get_device_name(device)


def limit_threads(n: int) -> None:
    """Let torch use so many threads in this process."""
    import torch

    torch.set_num_threads(n)


def load(model: Model, device: str, precision: str, compiled: bool = False) -> FrozenModel:
    """The model, ready to compute.

    Args:
        model: as found.
        device: where.
        precision: in which number format.
        compiled: by torch.compile, at the first batch; other kernels round the last bits in another way.

    Raises:
        UsageError: it cannot be compiled.
        WeightsError: the weights do not fit it.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False  # so that float32 means float32 on GPUs, in convolutions too
    net = model.load(device, precision)
    if compiled:
        if not hasattr(net, "compile"):
            raise UsageError(f"--compile: {model.card.name} is no network of torch: leave it out.")
        net.compile()
    return net


@dataclass(frozen=True)
class Launched:
    """A forward pass under way: a GPU goes on with it while the next batch is made ready."""

    _features: "Mapping[str, Tensor]"  # on the CPU; filled once `_copied` has happened
    _copied: "torch.cuda.Event | None" = None

    def collect(self) -> dict[str, Float[np.ndarray, "b ..."]]:
        """Features per tap, float32, waited for."""
        if self._copied is not None:
            self._copied.synchronize()
        return {tap: features.numpy() for tap, features in self._features.items()}


def launch(net: FrozenModel, crops: "Sequence[Tensor]", taps: Sequence[str], device: str) -> Launched:
    """The forward pass of a batch, started.

    Args:
        net: the model.
        crops: uint8 (3, h, w) each; smaller ones are zero-padded at the bottom and right to the largest.
        taps: what to read.
        device: where the model is.

    Raises:
        MemoryError: the device has no room for the batch.
        ModelError: the network cannot be compiled.
    """
    import torch

    with device_errors(), torch.inference_mode():
        features = net(batch_of(crops, device), taps)
        if not device.startswith("cuda"):
            return Launched({tap: features[tap].float() for tap in taps})
        host = {}
        for tap in taps:
            host[tap] = torch.empty(features[tap].shape, dtype=torch.float32, pin_memory=True)
            host[tap].copy_(features[tap], non_blocking=True)
        copied = torch.cuda.Event()  # type: ignore[no-untyped-call]  # torch has no types here
        copied.record(torch.cuda.current_stream(device))
        return Launched(host, copied)


def forward(
    net: FrozenModel, crops: "Sequence[Tensor]", taps: Sequence[str], device: str
) -> dict[str, Float[np.ndarray, "b ..."]]:
    """`launch`, waited for."""
    return launch(net, crops, taps, device).collect()


def width(net: FrozenModel, tap: str, side: int, device: str) -> tuple[int, ...]:
    """Shape of one row of a tap, found by one black image of `side` × `side` pixels."""
    import torch

    return forward(net, [torch.zeros((3, side, side), dtype=torch.uint8)], (tap,), device)[tap].shape[1:]


def batch_of(crops: "Sequence[Tensor]", device: str) -> Batch:
    """Crops side by side on the device; from page-locked memory a GPU copies them while it computes."""
    import torch

    sizes = torch.tensor([crop.shape[1:] for crop in crops])
    height, width = sizes.amax(dim=0).tolist()
    there = crops[0].device
    pin = device.startswith("cuda") and there.type == "cpu"
    pixels = torch.zeros((len(crops), 3, height, width), dtype=torch.uint8, device=there, pin_memory=pin)
    for row, crop in enumerate(crops):
        pixels[row, :, : crop.shape[1], : crop.shape[2]] = crop
    return Batch(pixels.to(device, non_blocking=True), sizes)


@contextlib.contextmanager
def device_errors() -> Iterator[None]:
    """What torch raises when a device or this machine has no memory left, or cannot compile, as errors of ours."""
    import torch

    try:
        yield
    except RuntimeError as error:  # torch.OutOfMemoryError is one; the CPU's allocator has no class of its own
        if type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            reason = str(error).strip().partition("\n")[0]
            raise ModelError(f"the network cannot be compiled here ({reason}): leave --compile out.") from error
        if not isinstance(error, torch.OutOfMemoryError) and "can't allocate memory" not in str(error):
            raise
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        raise MemoryError(str(error)) from error


def _check_device(name: str) -> str:
    kind, _, number = name.partition(":")
    if not re.fullmatch(r"(cpu|cuda)(:\d+)?", name):  # before torch is imported, which takes seconds
        raise UsageError(f"--device {name}: only cpu, cuda and cuda:N are computed on.")
    if kind == "cpu":
        return name
    import torch

    if int(number or 0) >= torch.cuda.device_count():
        raise UsageError(f"--device {name}: PyTorch finds {torch.cuda.device_count()} GPUs here; leave --device out.")
    return name


def _may_have_gpu() -> bool:
    """Whether it is worth asking torch: on Linux, whether a driver (NVIDIA, WSL, AMD) shows itself."""
    return sys.platform != "linux" or any(Path(file).exists() for file in GPU_DRIVERS)
