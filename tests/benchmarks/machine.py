"""What the figures were measured on."""

import contextlib
import os
import platform
import re
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

LIBRARIES = ("probekit", "torch", "torchvision", "zarr", "zarrs", "numpy", "pillow", "open_clip_torch", "timm")


def describe() -> dict[str, object]:
    """Processor, its matrix instructions, GPU, versions, and how busy the machine is now."""
    import torch

    import probekit

    versions = {"python": platform.python_version()}
    for library in LIBRARIES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[library] = metadata.version(library)
    versions["probekit"] = probekit.__version__
    return {
        "time": datetime.now(UTC).isoformat(timespec="minutes"),
        "processor": _processor(),
        "cores": cores(),
        "threads of torch": torch.get_num_threads(),
        "memory, GiB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "AMX": has_amx(),
        "AVX512-BF16": bool(torch.cpu._is_avx512_bf16_supported()),
        "GPU": torch.cuda.get_device_name() if torch.cuda.is_available() else "none",
        "load at start": [round(load, 2) for load in os.getloadavg()],
        "versions": versions,
    }


def has_amx() -> bool:
    """Whether the processor multiplies bfloat16 tiles, as Intel's do since 2023."""
    import torch

    return bool(torch.cpu._is_amx_tile_supported())


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    with contextlib.suppress(OSError):
        if found := re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()
