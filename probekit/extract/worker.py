"""A worker of a cluster: it brings whole units of work through the models of one device, each from first to last.

A unit travels as an `Order`: its samples and what is lacking of them. What comes back are keys, reasons and counts;
features go from the worker into the stores, whose folder every node sees.
"""

import socket
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path

import numpy as np

from probekit.arrays import Mask
from probekit.errors import StoreError, UsageError
from probekit.extract.lane import ImageCrops, Lane
from probekit.extract.loading import Loaded, stream
from probekit.extract.plan import Unit, status_in
from probekit.extract.process import Job, images_per_unit, open_targets
from probekit.extract.target import Target
from probekit.models import compute
from probekit.parallel.cluster import process_name
from probekit.paths import AnyPath
from probekit.records import public_version, versions
from probekit.remote import is_url
from probekit.sources import Sample
from probekit.store import ABSENT, DONE
from probekit.store.claims import CLAIMS


@dataclass(frozen=True)
class Order:
    """A unit of work as it travels to a worker."""

    name: str
    samples: Sequence[Sample]
    known: Mask
    """Samples whose key is known, so that `lacks` tells what to do."""
    lacks: Mask
    """(targets, n), of all targets of the job; none where another process has the claim."""
    retry: bool
    """Whether failures in the stores are to be tried again."""

    def __str__(self) -> str:
        first, last = self.samples[0], self.samples[-1]
        return f"the {len(self.samples)} images from {first.name} to {last.name}"


@dataclass(frozen=True)
class Outcome:
    """What a worker has done with a unit."""

    worker: str
    """Name of the worker."""
    samples: Sequence[Loaded]
    """Without pixels; `row` counts from the first of the unit."""
    images: int
    """Samples that went through models, failures counted."""
    failed: int
    """Samples that some model could not see."""
    computed: Sequence[int]
    """Images that went through each target's model."""
    seconds: Sequence[float]
    """Time in its forward passes."""
    batch_sizes: Sequence[int]
    """Of each target, by now."""


@dataclass(frozen=True)
class Introduction:
    """What a worker is."""

    name: str
    """HOST:PROCESS."""
    host: str
    device: str
    hardware: str
    """Name of the GPU, or the kind of the processor."""
    threads: int
    precision: str
    """The number format that it would choose itself."""
    versions: Mapping[str, str]
    addresses: Sequence[str]
    """Of the stores that it writes into."""


class UnitWorker:
    """Models on one device. Of two units in its hands one is computed while the other one's images are read."""

    def __init__(self, job: Job, folders: Sequence[Path], device: str, threads: int, token: str) -> None:
        """The models loaded.

        Args:
            job: the whole job; its manifest is not looked at, because samples come with their orders.
            folders: what every node must see.
            device: `cpu`, or a GPU.
            threads: for computing and, unless the job says otherwise, for reading.
            token: a claim that the driver has in every store, by which a worker knows that it sees the same folder.

        Raises:
            ProbekitError: this node lacks something: the device, the weights, the images, the cache.
        """
        if device != "cpu":
            compute.devices(device)
        for folder in folders:
            if not folder.is_dir():
                raise StoreError(f"this node does not see {folder}: mount it there, or take the node out.")
        self._threads = threads
        self._loaders = job.workers or threads
        self._device = device
        compute.limit_threads(threads)
        self._mixed_versions = job.mixed_versions
        self._admitted: set[Target] = set()
        self._targets = open_targets(job, device)
        for target in self._targets:
            _require_claim(target.store.path, token)
            _ = target.net  # loaded now, so that what is wrong with it is known before there is work
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="write")
        commit_size = -(-images_per_unit(job, self._targets) // 2)
        self._lanes = {
            target: Lane(target, self._writer, commit_size, on_image=_ignore, on_committed=_ignore)
            for target in self._targets
        }
        self._computing = threading.Lock()

    def introduce(self) -> Introduction:
        """What and where it is."""
        return Introduction(
            process_name(),
            socket.gethostname(),
            self._device,
            compute.hardware(self._device),
            self._threads,
            compute.default_precision(self._device),
            versions(),
            [target.store.settings.address for target in self._targets],
        )

    def compute(self, order: Order) -> Outcome:
        """All of a unit safe in the stores, and what there is to know of it.

        Raises:
            ProbekitError: a feature does not fit the number format, or a store cannot be written, or only by others.
        """
        compute.limit_threads(self._threads)  # which PyTorch counts for each thread that computes
        chunks = self._load(order)
        first = list(next(chunks, ()))  # from here on its images are read, whoever computes
        samples: list[Loaded] = []
        images = failed = 0
        with self._computing:
            self._admit(order)
            before = [(target.computed, target.seconds) for target in self._targets]
            for target in self._targets:
                target.store.update()
            for chunk in chain([first], chunks):
                looked_at, unseen = self._take_in(chunk, order)
                images, failed = images + looked_at, failed + unseen
                samples += [replace(sample, crops={}, refused={}) for sample in chunk]
            commits: list[Future[None]] = [end for lane in self._lanes.values() for end in lane.run_out()]
            after = [(target.computed, target.seconds) for target in self._targets]
        for commit in commits:
            commit.result()
        return Outcome(
            process_name(),
            samples,
            images,
            failed,
            [now[0] - then[0] for now, then in zip(after, before, strict=True)],
            [now[1] - then[1] for now, then in zip(after, before, strict=True)],
            [target.batch_size for target in self._targets],
        )

    def _admit(self, order: Order) -> None:
        """See to it that this process may add to the stores that lack something, and that they know its versions.

        Raises:
            StoreError: other versions have written into one, and that is not accepted.
        """
        for target, lacks in zip(self._targets, order.lacks, strict=True):
            if lacks.any() and target not in self._admitted:
                target.require_same_versions(mixed=self._mixed_versions)
                self._admitted.add(target)

    def _load(self, order: Order) -> Iterator[list[Loaded]]:
        held: Mask = np.asarray(order.lacks.any(axis=1))
        targets = tuple(target for target, holds in zip(self._targets, held, strict=True) if holds)
        unit = Unit(order.name, np.arange(len(order.samples)), targets, order.lacks[held])
        wanted = _Wanted(order.samples, order.known, len(order.samples), self._device, order.retry)
        return (chunk for _, chunk in stream([unit], wanted, self._loaders))

    def _take_in(self, chunk: Sequence[Loaded], order: Order) -> tuple[int, int]:
        """Put samples where they are lacking; how many models look at, and how many some model cannot see."""
        lanes = self._lanes_of([sample for sample in chunk if sample.key is not None], order)
        failed = sum(1 for sample in chunk if sample.key is None)
        for sample, wanting in lanes:
            assert sample.key is not None
            reasons = [sample.reason or sample.refused.get(lane.target.view) for lane in wanting]
            failed += any(reasons)
            for lane, reason in zip(wanting, reasons, strict=True):
                crops = sample.crops.get(lane.target.view, ())
                name = order.samples[sample.row].name
                lane.put(ImageCrops(sample.key, name, order.name, 1 / len(wanting), crops, reason))
        return sum(1 for _, wanting in lanes if wanting), failed

    def _lanes_of(self, readable: Sequence[Loaded], order: Order) -> list[tuple[Loaded, list[Lane]]]:
        """The lanes that each sample goes into, by a fresh look into the stores."""
        lanes: list[tuple[Loaded, list[Lane]]] = [(sample, []) for sample in readable]
        if not readable:
            return lanes
        keys = np.stack([np.frombuffer(sample.key or b"", np.uint8) for sample in readable])
        for target, lane in self._lanes.items():
            status = status_in(target, keys)
            lacks: Mask = np.asarray(status != DONE if order.retry else status == ABSENT, bool)
            for (sample, wanting), lacking in zip(lanes, lacks, strict=True):
                assert sample.key is not None
                if lacking and sample.shows(target.view) and lane.reserve(sample.key):
                    wanting.append(lane)
        return lanes


@dataclass(frozen=True)
class _Wanted:
    """An order as loading sees it."""

    samples: Sequence[Sample]
    known: Mask
    unit_size: int
    device: str
    retry: bool

    @property
    def remote(self) -> bool:
        """Whether any of them is in a bucket."""
        return any(is_url(sample.path) for sample in self.samples)

    def has(self, target: Target, key: bytes) -> bool:
        """Whether the store has it, so that it need not be decoded."""
        return not self.retry and bool(status_in(target, np.frombuffer(key, np.uint8)[None])[0] != ABSENT)


def _ignore(_: object) -> None:
    """What a lane reports as it goes is told by the outcome as a whole."""


def _require_claim(store: AnyPath, token: str) -> None:
    """Nothing, if the driver's claim is in this store: otherwise it is a folder of the same name on another disk."""
    if not (store / CLAIMS / token).exists():
        raise StoreError(
            f"this node does not see the others' {store}: the cache must be in a bucket or on a disk that all nodes "
            "share."
        )


def require_alike(
    workers: Sequence[Introduction], ours: Mapping[str, str], libraries: Iterable[str], *, mixed: bool
) -> list[str]:
    """A line for each library of which the workers, or this process, have several versions; none where all agree.

    Args:
        workers: as they introduced themselves.
        ours: library → version of this process.
        libraries: those that can change a feature.
        mixed: accept it.

    Raises:
        UsageError: there are several versions, and `mixed` does not accept them.
    """
    found = []
    for library in libraries:
        where: dict[str, list[str]] = {}
        for host, known in [("this process", ours), *((worker.host, worker.versions) for worker in workers)]:
            where.setdefault(public_version(known.get(library, "none")), []).append(host)
        if len(where) > 1:
            spelled = ", ".join(f"{version} ({', '.join(dict.fromkeys(hosts))})" for version, hosts in where.items())
            found.append(f"{library} {spelled}")
    if found and not mixed:
        raise UsageError(
            f"the cluster has mixed versions: {'; '.join(found)}. Install the same everywhere, or accept that features "
            "agree within rounding at best with --mixed-versions."
        )
    return [f"mixed versions: {line}; features agree within rounding at best." for line in found]
