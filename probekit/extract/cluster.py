"""An extraction on a Ray cluster: this process plans and claims, workers on the nodes compute and commit.

The claims are this process's own, so that a worker may die without leaving any: its units are given to others. When
this process is killed, its workers end with it, and its claims are nobody's any more.
"""

import contextlib
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from probekit.errors import StoreError, UsageError
from probekit.extract.plan import Plan, Unit
from probekit.extract.process import (
    Job,
    check_versions,
    images_per_unit,
    largest_batch,
    list_failures,
    note_halved,
    open_targets,
    summarise,
)
from probekit.extract.results import ExtractResult, WorkerRecord
from probekit.extract.target import Target
from probekit.extract.work import INDEX_PART, LIFE_SECONDS, POLL_SECONDS, Progress
from probekit.extract.worker import Introduction, Order, Outcome, UnitWorker, require_alike
from probekit.keys import KeyIndex
from probekit.models import compute
from probekit.parallel.cluster import Place, Workers
from probekit.parallel.connecting import ClusterSettings, check_device, connected
from probekit.records import versions
from probekit.registry import one_of
from probekit.samples import Samples
from probekit.store.settings import PRECISIONS


def extract_over(
    job: Job,
    settings: ClusterSettings,
    *,
    device: str | None,
    on_progress: Callable[[Progress], None] | None,
    on_remark: Callable[[str], None] | None,
) -> ExtractResult:
    """The job done by the workers of a cluster; it ends when everything is done, by them or by other processes.

    Args:
        job: what to do.
        settings: where.
        device: `cpu` or `cuda`, on every node; None: the GPUs if the cluster has any.
        on_progress: called whenever a unit is done.
        on_remark: told of units that fill no batch, and when the cluster has no room for a worker.

    Raises:
        UsageError: no Ray, no cluster, or one whose nodes are not alike.
        StoreError: other versions have written into a store, and the job does not accept that.
        ProbekitError: what a worker ended with; what was committed is kept.
    """
    check_device(device)
    began = time.monotonic()
    with connected(settings.address) as cluster:
        gpus = cluster.has_gpus if device is None else device == "cuda"
        driver = _Driver(job, "cuda" if gpus else "cpu", on_progress)
        if on_remark and driver.remark:
            on_remark(driver.remark)
        with (
            contextlib.closing(driver),
            cluster.workers(
                driver.build,
                on_worker=driver.greet,
                gpus=gpus,
                workers_per_node=settings.workers_per_node,
                on_remark=on_remark,
            ) as workers,
        ):
            driver.until_complete(workers)
            return driver.result(workers.notes, time.monotonic() - began)


@dataclass(frozen=True)
class _Build:
    """What makes a worker on its node."""

    job: Job
    """Without the rows of the manifest: samples come with their orders."""
    folders: tuple[Path, ...]
    device: str
    token: str

    def __call__(self, place: Place) -> UnitWorker:
        return UnitWorker(self.job, self.folders, self.device, place.threads, self.token)


class _Driver:
    """The plan, its claims and its counts; no image is read here."""

    def __init__(self, job: Job, device: str, on_progress: Callable[[Progress], None] | None) -> None:
        self._precision_given = job.settings.precision is not None
        job = _located(job, device)
        self._job, self._on_progress = job, on_progress
        self._targets = open_targets(job, device)
        self.remark = _remark_on_part_batches(job, self._targets)
        self._sizes = {target: target.batch_size for target in self._targets}
        self._index = KeyIndex.open(job.cache)
        self._plan = Plan(
            Samples.distinct(job.manifest),
            self._targets,
            self._index,
            unit_size=images_per_unit(job, self._targets),
            retry_failed=job.retry_failed,
            rehash=job.rehash,
        )
        self._claimed: dict[str, Unit] = {}
        self._workers: dict[str, Introduction] = {}
        self._units: Counter[str] = Counter()
        self._images: Counter[str] = Counter()
        self._before, self._done, self._failed = self._plan.finished(), 0, 0
        self._mixed_stores = check_versions(self._plan, mixed=job.mixed_versions)
        self._mixed_workers: list[str] = []
        self._alive = time.monotonic()
        self._token = f"cluster-{uuid.uuid4().hex}"
        root = job.manifest.root
        self.build = _Build(
            replace(job, manifest=replace(job.manifest, table=job.manifest.table.iloc[:0])),
            tuple(folder for folder in (job.cache, root) if isinstance(folder, Path) and folder.is_dir()),
            "cuda:0" if device == "cuda" else device,
            self._token,
        )
        self._hold()

    def until_complete(self, workers: "Workers[Order, Outcome]") -> None:
        """Have all computed that is lacking; wait for units of other processes and take over those of dead ones."""
        self._report()
        while True:
            for order, outcome in workers.results(self._orders(), self._wait):
                self._take_in(order, outcome)
            self._index.flush()
            if not self._plan.unfinished():
                break
            self._wait()
            time.sleep(POLL_SECONDS)
        self._before, self._done = self._plan.finished(), 0  # others have done their part meanwhile
        for target in self._targets:
            self._wait()
            target.store.fold()
        self._report()

    def greet(self, place: Place, worker: Introduction) -> None:
        """Take in a new worker.

        Raises:
            UsageError: it would compute other features than the others.
        """
        addresses = [target.store.settings.address for target in self._targets]
        if worker.addresses != addresses:
            raise UsageError(f"{place.host} has other weights or settings than this machine: install the same there.")
        networks = any(not target.model.card.per_image for target in self._targets)
        ours = compute.default_precision(worker.device)
        if networks and not self._precision_given and worker.precision != ours:
            raise UsageError(
                f"{place.host} is fast in {worker.precision} and this machine in {ours}: choose one with --precision."
            )
        self._workers[worker.name] = worker
        libraries = dict.fromkeys(library for target in self._targets for library in target.libraries)
        self._mixed_workers = require_alike(
            list(self._workers.values()), versions(), libraries, mixed=self._job.mixed_versions
        )

    def result(self, notes: list[str], seconds: float) -> ExtractResult:
        """What came of it."""
        return ExtractResult(
            models=tuple(summarise(target, self._plan) for target in self._targets),
            failed=list_failures(self._plan),
            seconds=seconds,
            images=self._images.total(),
            notes=(*self._mixed_stores, *self._mixed_workers, *notes, *note_halved(self._sizes)),
            workers=tuple(self._record(worker) for worker in self._workers.values()),
        )

    def close(self) -> None:
        """Give back what is claimed and remember the keys that were learnt."""
        for unit in list(self._claimed.values()):
            self._release(unit)
        for target in self._targets:
            target.store.claims.release(self._token)
        self._index.flush()

    def _hold(self) -> None:
        """Claim something in every store, by which workers know the folder and by which nobody prunes it meanwhile.

        Raises:
            StoreError: a store is being pruned or removed.
        """
        for target in self._targets:
            if not target.store.claims.take(self._token):
                self.close()
                raise StoreError(
                    f"{target.store.path} is being pruned or removed by another process: wait until that has ended."
                )

    def _orders(self) -> Iterator[Order]:
        """Units that lack something, claimed as workers become free for them."""
        for unit in self._plan.claim_units(everywhere=True):
            self._claimed[unit.name] = unit
            lacks = dict(zip(unit.targets, unit.lacks, strict=True))
            nothing = np.zeros(len(unit.rows), bool)
            yield Order(
                unit.name,
                [self._plan.samples[int(row)] for row in unit.rows],
                self._plan.known[unit.rows],
                np.stack([lacks.get(target, nothing) for target in self._targets]),
                self._job.retry_failed,
            )

    def _take_in(self, order: Order, outcome: Outcome) -> None:
        """Note what a worker has learnt and done, and give the claim back."""
        unit = self._claimed[order.name]
        for sample in outcome.samples:
            row = int(unit.rows[sample.row])
            if sample.key is None:
                self._plan.give_up(row, sample.reason or "cannot be read")
            else:
                self._plan.learn(row, sample.key)
                if sample.digest and sample.stat:
                    self._index.add(order.samples[sample.row].entry, sample.stat, sample.digest)
        self._plan.attempt(unit.rows)
        self._index.flush(at_least=INDEX_PART)
        self._release(unit)
        work = zip(self._targets, outcome.computed, outcome.seconds, outcome.batch_sizes, strict=True)
        for target, computed, seconds, batch_size in work:
            target.computed += computed
            target.seconds += seconds
            target.batch_size = min(target.batch_size, batch_size)
        self._units[outcome.worker] += 1
        self._images[outcome.worker] += outcome.images
        self._done += len(unit.rows)
        self._failed += outcome.failed
        self._report()

    def _wait(self) -> None:
        """Show that the claims are alive."""
        now = time.monotonic()
        if now - self._alive >= LIFE_SECONDS:
            self._alive = now
            for target in self._targets:
                target.store.claims.show_life(self._token)
            for unit in self._claimed.values():
                for target in unit.targets:
                    target.store.claims.show_life(unit.name)

    def _release(self, unit: Unit) -> None:
        for target in unit.targets:
            target.store.claims.release(unit.name)
        del self._claimed[unit.name]

    def _record(self, worker: Introduction) -> WorkerRecord:
        return WorkerRecord(
            name=worker.name,
            device=worker.device,
            hardware=worker.hardware,
            threads=worker.threads,
            precision={target.model.card.name: target.precision for target in self._targets},
            versions=worker.versions,
            units=self._units[worker.name],
            images=self._images[worker.name],
        )

    def _report(self) -> None:
        if self._on_progress:
            images = self._images.total()
            self._on_progress(Progress(self._before + self._done, len(self._plan.samples), self._failed, images))


def _located(job: Job, device: str) -> Job:
    """The job as every node understands it: absolute paths, and the precision that this machine would choose."""
    precision = job.settings.precision or one_of("precision", compute.default_precision(device), PRECISIONS)
    return replace(
        job,
        settings=replace(job.settings, precision=precision),
        cache=job.cache.absolute() if isinstance(job.cache, Path) else job.cache,
        weights={model: file.absolute() for model, file in job.weights.items()},
        manifest=replace(job.manifest, root=job.manifest.root.absolute()),
    )


def _remark_on_part_batches(job: Job, targets: Sequence[Target]) -> str:
    """What units cost that are smaller than a batch; empty where they are not, or where views make several crops."""
    largest = largest_batch(targets)
    if largest is None or not job.unit_size or job.unit_size * largest.view.fewest_crops >= largest.batch_size:
        return ""
    return (
        f"units of {job.unit_size} do not fill the batches of {largest.batch_size} of {largest.model.card.name}, which "
        f"are computed whole: leave --unit-size out, or give {largest.batch_size} or more."
    )
