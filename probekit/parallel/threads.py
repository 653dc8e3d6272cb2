"""Small computations side by side: each on one core, which small matrices use better than many cores do."""

import importlib
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")

_importing = threading.Lock()

AT_ONCE = 2 << 30
"""Bytes that tasks may hold together: matrices larger than this share keep all cores busy one by one."""


def side_by_side(tasks: Sequence[Callable[[], T]], *, workers: int, libraries: Sequence[str] = ()) -> Iterator[T]:
    """The result of each task, in their order, as they come.

    Threads are enough: NumPy, LAPACK and PyTorch compute without the interpreter's lock. While several run, each
    library computes on one thread.

    Args:
        tasks: independent of each other; an exception of one is raised in its turn.
        workers: how many run at once.
        libraries: modules that the tasks import to compute with. They are loaded before the first task: one that a task
            loads would use all cores in each.
    """
    count = min(len(tasks), workers)
    if count < 2:
        for task in tasks:
            yield task()
        return
    import_now(libraries)
    with _one_thread_each(), ThreadPoolExecutor(count, initializer=_one_thread_here) as pool:
        futures = [pool.submit(task) for task in tasks]
        try:
            for future in futures:
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def import_now(libraries: Sequence[str]) -> None:
    """Load modules before threads do: of two threads that load one package at once, one can meet it half loaded."""
    with _importing:
        for library in libraries:
            importlib.import_module(library)


def workers_for(bytes_each: int) -> int:
    """How many tasks that hold so much may run at once: one per processor, and no more than `AT_ONCE` holds."""
    return max(1, min(processors(), AT_ONCE // max(bytes_each, 1)))


def processors() -> int:
    """Processors that this process may use."""
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(there, _PROCESS.share)


def limit_processors(share: int) -> None:
    """Let this process use so many processors: others on this machine have the rest.

    It holds for `processors`, and for BLAS in this process; PyTorch, and libraries that compute by OpenMP, count for
    each thread that calls them.
    """
    from threadpoolctl import threadpool_limits

    _PROCESS.share = share
    threadpool_limits(limits=share)


@dataclass
class _Process:
    share: int = sys.maxsize
    """Processors that it may use, if there are so many."""


_PROCESS = _Process()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """BLAS on one thread a call, and PyTorch afterwards as before."""
    from threadpoolctl import threadpool_limits

    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else None
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        if torch and before is not None:
            torch.set_num_threads(before)


def _one_thread_here() -> None:
    """PyTorch, and libraries that compute by OpenMP, count threads for each thread that calls them."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    if "torch" in sys.modules:
        importlib.import_module("torch").set_num_threads(1)  # which waits, where a task has only begun to load it
