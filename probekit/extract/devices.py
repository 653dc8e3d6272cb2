"""Several devices: one process each, all at the same stores; claims keep them out of each other's way."""

import multiprocessing
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from probekit.errors import ModelError
from probekit.extract.process import Job, extract_here
from probekit.extract.results import ExtractResult
from probekit.extract.work import Progress
from probekit.models import compute
from probekit.parallel import processors
from probekit.parallel.cluster import Failure, caught


@dataclass
class _Worker:
    """The process of one device, as its parent knows it."""

    device: str
    process: BaseProcess
    answers: Connection
    before: int = 0
    """Samples that were finished when it began."""
    progress: Progress | None = None
    result: ExtractResult | None = None


@dataclass(frozen=True)
class Shared:
    """What the processes of several devices brought back."""

    results: Sequence[ExtractResult]
    notes: Sequence[str] = field(default=())
    """One line for each process that died on the way; the others have done its work."""


def extract_on(devices: Sequence[str], job: Job, on_progress: Callable[[Progress], None] | None) -> Shared:
    """The results of one process per device, each of which ends when everything is done.

    Args:
        devices: one process each; a device may be named twice.
        job: what all of them do together.
        on_progress: told how far all of them are together.

    Raises:
        ProbekitError: what one of them ended with; the others are stopped, and what they committed is kept.
        ModelError: all of them died.
    """
    context = multiprocessing.get_context("spawn")  # a forked process cannot use the GPU
    workers = []
    try:
        for number, device in enumerate(devices):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=_work, args=(theirs, device, (number, len(devices)), job), daemon=True)
            process.start()
            theirs.close()
            workers.append(_Worker(device, process, ours))
        _listen(workers, on_progress)
    finally:
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()
    results = [worker.result for worker in workers if worker.result]
    dead = [worker for worker in workers if not worker.result]
    if not results:
        codes = ", ".join(f"{worker.device}: exit code {worker.process.exitcode}" for worker in dead)
        raise ModelError(f"all processes died ({codes}): run the command again with one --device to see why.")
    return Shared(
        results,
        [f"the process on {w.device} died (exit code {w.process.exitcode}); the others took over." for w in dead],
    )


def _listen(workers: Sequence[_Worker], on_progress: Callable[[Progress], None] | None) -> None:
    """Take in messages until every process has ended; one that dies closes its end."""
    open_ = {worker.answers: worker for worker in workers}
    while open_:
        for answers in wait(list(open_)):
            worker = open_[answers]  # type: ignore[index]  # wait() may give sockets and handles too; these are connections
            try:
                message = worker.answers.recv()
            except (EOFError, OSError):  # it ended, or died while it spoke
                del open_[worker.answers]
                continue
            if isinstance(message, Failure):
                raise message.error()
            if isinstance(message, Progress):
                worker.before = worker.before if worker.progress else message.done
                worker.progress = message
                _report(workers, on_progress)
            else:
                worker.result = message


def _report(workers: Sequence[_Worker], on_progress: Callable[[Progress], None] | None) -> None:
    """Progress of all: what was there at first, and what each has computed since."""
    if on_progress is None:
        return
    parts = [worker.progress for worker in workers if worker.progress]
    computed = sum(part.computed for part in parts)
    before = min(worker.before for worker in workers if worker.progress)
    done = max(before + computed, *(part.done for part in parts), 0)
    on_progress(Progress(min(done, parts[0].total), parts[0].total, max(part.failed for part in parts), computed))


def _work(answers: Connection, device: str, shard: tuple[int, int], job: Job) -> None:
    """The life of a worker process."""
    cores = max(1, processors() // shard[1])
    if device == "cpu":
        compute.limit_threads(cores)
    job = replace(job, workers=job.workers or cores)
    parent = multiprocessing.parent_process()

    def tell(progress: Progress) -> None:
        if parent is not None and not parent.is_alive():
            sys.exit(1)  # nobody waits for this any more
        answers.send(progress)

    try:
        answers.send(caught(lambda: extract_here(job, device, shard=shard, on_progress=tell)))
    except (KeyboardInterrupt, BrokenPipeError):
        sys.exit(130)  # the parent says what there is to say
