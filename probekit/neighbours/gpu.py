"""Indexes on GPUs, where FAISS was built for them."""

import re

from probekit.errors import UsageError
from probekit.neighbours.structures import FaissIndex


def moved(index: FaissIndex, engine: str, device: str) -> FaissIndex:
    """A copy of an index on `cpu` or on `cuda:0`, `cuda:1` ….

    Raises:
        UsageError: no such device, no faiss-gpu, or an index that has no form for GPUs.
    """
    import faiss

    if device == "cpu":
        back: FaissIndex = faiss.index_gpu_to_cpu(index)
        return back
    number = _number(device)
    if not hasattr(faiss, "StandardGpuResources"):
        raise UsageError(f"this FAISS computes on the CPU only: install faiss-gpu for {device}, or search on cpu.")
    if number >= faiss.get_num_gpus():
        raise UsageError(f"FAISS sees no {device} ({faiss.get_num_gpus()} GPUs): search on cpu.")
    if engine == "hnsw":
        raise UsageError("hnsw searches on the cpu only: choose flat, ivf or ivfpq for a GPU.")
    try:
        there: FaissIndex = faiss.index_cpu_to_gpu(faiss.StandardGpuResources(), number, index)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UsageError(
            f"{engine} of {index.d} features has no form for {device} ({reason}): search on cpu."
        ) from error
    return there


def _number(device: str) -> int:
    named = re.fullmatch(r"cuda(?::(\d+))?", device)
    if named is None:
        raise UsageError(f"'{device}' is no device to search on: use cpu, or cuda:0.")
    return int(named[1] or 0)
