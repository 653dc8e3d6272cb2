"""A Ray cluster: a worker in every place that computes, each given the next unit of work when it has finished one.

Nothing here trusts a worker or a node to live. The units that a lost worker had are given to others, a new worker is
started where one died, and nodes that join while the work goes on get workers too. The engine holds no results: each is
handed on as it comes.

Ray is imported when a cluster is connected to, and nowhere else in probekit.
"""

import contextlib
import logging
import math
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from probekit.errors import ModelError, ProbekitError, UsageError
from probekit.parallel.threads import processors

AT_HAND = 2  # units that a worker has: it reads the next one while it computes
DEATHS = 3  # of workers that had the same unit, at last nothing else: then it is the unit that kills them
FAILED_STARTS = 3  # of workers in one place without a finished unit between them: then the place is left alone
LOOK_SECONDS = 2.0  # how often to look for nodes without workers
WAIT_SECONDS = 0.5  # for an answer, before anything else is looked at
LONELY_SECONDS = 120.0  # without any place to compute: nodes may come back, but not for ever
CONNECT_SECONDS = 5.0
OBJECT_STORE = 128 << 20  # bytes of shared memory of a cluster that is started here: only small things travel

U = TypeVar("U")
R = TypeVar("R")


@dataclass(frozen=True)
class Place:
    """Where one worker computes: a GPU of a node, or a share of its processors."""

    node: str
    """Ray's name of the node."""
    host: str
    number: int
    """Of the place on its node."""
    cpus: float
    gpu: float = 0.0
    """The share of a GPU; 0 where the processors compute."""

    @property
    def threads(self) -> int:
        """How many threads may compute there."""
        return max(1, int(self.cpus))


class Worker(Protocol):
    """What computes in one place; it has `AT_HAND` threads that call `compute`."""

    def introduce(self) -> Any:  # noqa: ANN401  # whatever the caller of `Cluster` wants to know of its workers
        """What there is to know of it before it is given any work."""

    def compute(self, unit: Any) -> Any:  # noqa: ANN401  # a unit and a result of the caller's
        """The result of a unit; it must be safe to compute it again."""


@dataclass
class _Given(Generic[U]):
    unit: U
    deaths: int = 0


@dataclass
class _Hired(Generic[U]):
    """A worker as the driver knows it."""

    place: Place
    actor: Any
    starting: Any
    """The reference to its introduction; None once it has introduced itself."""
    units: dict[Any, _Given[U]] = field(default_factory=dict)
    """Reference → the unit that it has."""


@dataclass(frozen=True)
class _Failure:
    """An error that a worker ended with, as it travels."""

    kind: type[Exception]
    message: str


class Cluster:
    """An open connection to a Ray cluster."""

    def __init__(self, ray: ModuleType) -> None:
        self._ray = ray

    @property
    def has_gpus(self) -> bool:
        """Whether any node has a GPU."""
        return bool(self._ray.cluster_resources().get("GPU"))

    @contextlib.contextmanager
    def workers(
        self,
        build: Callable[[Place], Worker],
        *,
        on_worker: Callable[[Place, Any], None],
        gpus: bool,
        workers_per_node: int | None = None,
    ) -> "Iterator[Workers[Any, Any]]":
        """Workers on every node, ended at the end; none is started before there is a unit to compute.

        Args:
            build: makes the worker in its own process, so that it must be picklable.
            on_worker: told of each new worker and how it introduced itself, before it is given a unit.
            gpus: one worker for each GPU; otherwise one for each node, with all its processors.
            workers_per_node: so many workers share each node's GPUs or processors.
        """
        workers: Workers[Any, Any] = Workers(self._ray, build, on_worker, gpus, workers_per_node)
        try:
            yield workers
        finally:
            workers.close()


@contextlib.contextmanager
def connected(address: str | None) -> Iterator[Cluster]:
    """A connection to a Ray cluster, closed at the end.

    Args:
        address: `HOST:PORT` of a cluster's head; `auto` for the one that this machine belongs to; `local` for one of
            this machine alone, started now and ended with the connection. None: as `RAY_ADDRESS` says, else `auto` if
            there is one, else `local`.

    Raises:
        UsageError: Ray is not installed, or there is no such cluster.
    """
    ray = _import_ray()
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, address or os.environ.get("RAY_ADDRESS"))
    try:
        yield Cluster(ray)
    finally:
        if ours:
            ray.shutdown()


class Workers(Generic[U, R]):
    """The workers that compute for this process."""

    def __init__(
        self,
        ray: ModuleType,
        build: Callable[[Place], Worker],
        on_worker: Callable[[Place, Any], None],
        gpus: bool,
        workers_per_node: int | None,
    ) -> None:
        self._ray = ray
        self._build = build
        self._on_worker = on_worker
        self._gpus = gpus
        self._workers_per_node = workers_per_node
        self._actor = ray.remote(_Seat)
        self._hired: dict[Place, _Hired[U]] = {}
        self._failed_starts: Counter[Place] = Counter()
        self._lost: Counter[str] = Counter()
        self._looked = float("-inf")
        self._inhabited = time.monotonic()

    def map_units(
        self, units: Iterator[U], on_result: Callable[[U, R], None], on_wait: Callable[[], None] = lambda: None
    ) -> None:
        """Have every unit computed, by any worker, in any order.

        Args:
            units: taken one by one, as workers become free.
            on_result: told of each unit and its result once.
            on_wait: called at least every second or so, whether anything has come or not.

        Raises:
            ProbekitError: what a worker ended with, or `on_worker` or `on_result`.
            ModelError: a unit kills its workers, or there is nowhere left to compute.
        """
        waiting: deque[_Given[U]] = deque()
        following = map(_Given, units)
        while True:
            exhausted = not self._hand_out(waiting, following)
            if exhausted and not any(worker.units for worker in self._hired.values()):
                return
            for worker, reference in self._answered():
                if self._hired.get(worker.place) is not worker:
                    continue  # lost a moment ago
                given = worker.units.pop(reference, None)
                try:
                    answer = self._answer(worker, reference)
                except _LostWorkerError:
                    lost = [*([given] if given else []), *worker.units.values()]
                    self._dismiss(worker)
                    _blame(lost)
                    waiting.extendleft(reversed(lost))
                    continue
                if given is None:
                    worker.starting = None
                    self._on_worker(worker.place, answer)
                else:
                    self._failed_starts[worker.place] = 0
                    on_result(given.unit, answer)
            on_wait()

    @property
    def working(self) -> int:
        """Workers that have introduced themselves; others wait for their node's resources."""
        return sum(1 for worker in self._hired.values() if worker.starting is None)

    @property
    def notes(self) -> list[str]:
        """A line for each node on which workers were lost."""
        return [
            f"{'a worker' if count == 1 else f'{count} workers'} on {host} died; others took over."
            for host, count in self._lost.items()
        ]

    def close(self) -> None:
        """End every worker; what it has written stays."""
        for worker in self._hired.values():
            self._ray.kill(worker.actor)
        self._hired.clear()

    def _hand_out(self, waiting: deque[_Given[U]], following: Iterator[_Given[U]]) -> bool:
        """Fill the workers' hands, first the empty ones; False when there is nothing left to give.

        A unit whose worker died is given alone: should it kill the next one too, no other unit is suspected.
        """
        for load in range(AT_HAND):
            for worker in [w for w in self._hired.values() if w.starting is None and len(w.units) == load]:
                if any(given.deaths for given in worker.units.values()):
                    continue
                suspected = bool(waiting and waiting[0].deaths)
                given = waiting.popleft() if waiting and not (load and suspected) else next(following, None)
                if given is None:
                    return bool(waiting)
                worker.units[worker.actor.compute.remote(given.unit)] = given
        if not self._hired and not waiting:  # nobody is hired for nothing
            given = next(following, None)
            if given is None:
                return False
            waiting.append(given)
        self._hire()
        return True

    def _hire(self) -> None:
        """A worker for every place that has none.

        Raises:
            ModelError: there has been no place for long.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        every = list(self._places())
        places = [place for place in every if self._failed_starts[place] < FAILED_STARTS]
        if places or self._hired:
            self._inhabited = now
        elif every or not self._lost or now - self._inhabited > LONELY_SECONDS:
            raise ModelError(self._why_nowhere())
        for place in places:
            if place not in self._hired:
                self._hired[place] = self._start(place)

    def _places(self) -> Iterator[Place]:
        """Where workers can be, now."""
        for node in self._ray.nodes():
            if not node["Alive"]:
                continue
            cpus, gpus = (node["Resources"].get(kind, 0) for kind in ("CPU", "GPU"))
            count = self._workers_per_node or (int(gpus) if self._gpus else 1)
            if not (gpus if self._gpus else cpus):
                continue
            for number in range(count):
                share = 1 / math.ceil(count / gpus) if self._gpus else 0.0
                yield Place(node["NodeID"], node["NodeManagerHostname"], number, cpus / count, share)

    def _start(self, place: Place) -> _Hired[U]:
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        actor = self._actor.options(
            num_cpus=place.cpus,
            num_gpus=place.gpu,
            max_concurrency=AT_HAND,
            scheduling_strategy=NodeAffinitySchedulingStrategy(place.node, soft=False),
        ).remote()
        return _Hired(place, actor, actor.prepare.remote(self._build, place))

    def _answered(self) -> Iterator[tuple[_Hired[U], Any]]:
        """Workers with the reference of an answer that is there, or of a loss."""
        workers = {reference: worker for worker in self._hired.values() for reference in worker.units}
        workers |= {worker.starting: worker for worker in self._hired.values() if worker.starting is not None}
        if not workers:
            time.sleep(WAIT_SECONDS)
            return
        ready, _ = self._ray.wait(list(workers), timeout=WAIT_SECONDS)
        yield from ((workers[reference], reference) for reference in ready)

    def _answer(self, worker: _Hired[U], reference: Any) -> Any:  # noqa: ANN401  # a reference of Ray's, an answer of the caller's
        """What a worker returned.

        Raises:
            _LostWorkerError: it is gone.
            ProbekitError: it ended with that.
        """
        errors = self._ray.exceptions
        try:
            answer = self._ray.get(reference)
        except errors.RayTaskError:
            raise  # an error in probekit, with its traceback
        except errors.LocalRayletDiedError as error:
            raise ModelError("Ray has died on this machine: start it again, and run the command again.") from error
        except errors.RayError as error:
            raise _LostWorkerError from error
        if isinstance(answer, _Failure):
            raise answer.kind(f"{worker.place.host}: {answer.message}")
        return answer

    def _dismiss(self, worker: _Hired[U]) -> None:
        """Forget a worker that is lost, and see to it that it is."""
        self._ray.kill(worker.actor)
        del self._hired[worker.place]
        self._failed_starts[worker.place] += 1
        self._lost[worker.place.host] += 1

    def _why_nowhere(self) -> str:
        if self._failed_starts:
            return f"every worker died ({', '.join(self._lost)}): see Ray's logs there; what they finished is kept."
        kind = "GPUs" if self._gpus else "processors"
        return f"the Ray cluster has no {kind} to compute on: {'use --device cpu, or ' if self._gpus else ''}add nodes."


class _LostWorkerError(Exception):
    """A worker that does not answer any more."""


class _Seat:
    """What runs in the process of a worker."""

    _worker: Worker

    def prepare(self, build: Callable[[Place], Worker], place: Place) -> Any:  # noqa: ANN401  # the worker's own words
        """How the new worker introduces itself."""

        def start() -> Any:  # noqa: ANN401
            self._worker = build(place)
            return self._worker.introduce()

        return _caught(start)

    def compute(self, unit: Any) -> Any:  # noqa: ANN401  # the caller's
        """The worker's result."""
        return _caught(lambda: self._worker.compute(unit))


def _caught(work: Callable[[], Any]) -> Any:  # noqa: ANN401
    """What it returns, or how it failed: an error of probekit's is an answer like others."""
    try:
        return work()
    except (ProbekitError, MemoryError) as error:
        return _Failure(type(error), str(error))


def _blame(lost: list[_Given[Any]]) -> None:
    """Count the death of their worker against these units.

    Raises:
        ModelError: one of them has seen too many.
    """
    for given in lost:
        given.deaths += 1
        if given.deaths == DEATHS:
            raise ModelError(
                f"{DEATHS} workers died of {given.unit}: look for an image in it that takes all memory; what was "
                "finished before is kept."
            )


def _import_ray() -> ModuleType:
    for name, value in {
        "RAY_USAGE_STATS_ENABLED": "0",  # a cluster that is started here reports to nobody
        "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # what Ray has to say of dying nodes goes to stdout, which is ours
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'probekit[ray]'.") from error
    found: ModuleType = ray
    return found


def _connect(ray: ModuleType, address: str | None) -> None:
    """Connect to the cluster of an address, else to this machine's, else to one of its own.

    Raises:
        UsageError: there is no such cluster, or it is of another version of Ray or Python.
    """
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address:
        _require_reachable(address)
    for candidate in [address] if address else ["auto", "local"]:
        own = {"include_dashboard": False, "num_cpus": processors(), "object_store_memory": OBJECT_STORE}
        try:
            ray.init(address=candidate, **quiet, **(own if candidate == "local" else {}))
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            if isinstance(error, ConnectionError) and candidate != address:
                continue  # no cluster here: the next candidate is a new one
            reason = " ".join(str(error).split()).rstrip(".")
            if candidate == "auto":
                reason = "this machine belongs to no Ray cluster: start one with `ray start --head`, or write local"
            raise UsageError(f"--address {candidate}: {reason}.") from error
        return


def _require_reachable(address: str) -> None:
    """Nothing, if somebody listens at the address; Ray itself would try for minutes.

    Raises:
        UsageError: nobody does, or probekit cannot work through it.
    """
    if address in ("auto", "local"):
        return
    if "://" in address:
        raise UsageError(
            f"--address {address}: Ray's client is not supported, because features are written where the command runs. "
            "Run it on a node of the cluster, with --address auto."
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise UsageError(f"--address {address}: write HOST:PORT, auto or local.")
    try:
        socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"--address {address}: no Ray cluster can be reached there ({error}): see what `ray status` says on its "
            "head."
        ) from error
