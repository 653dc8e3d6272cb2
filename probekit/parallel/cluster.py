"""A Ray cluster: a worker in every place that computes, each given the next unit of work when it has finished one.

Nothing here trusts a worker or a node to live. The units that a lost worker had are given to others, a new worker is
started where one died, and nodes that join while the work goes on get workers too. The engine holds no results: each is
handed on as it comes.

Clusters are opened by `connecting.py`.
"""

import contextlib
import itertools
import math
import os
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, Generic, Protocol, TypeVar

from probekit.errors import ModelError, ProbekitError

AT_HAND = 2  # units that a worker has: it reads the next one while it computes
DEATHS = 3  # of workers that had the same unit, at last nothing else: then it is the unit that kills them
FAILED_STARTS = 3  # of workers in one place without a finished unit between them: then the place is left alone
LOOK_SECONDS = 2.0  # how often to look for nodes without workers
WAIT_SECONDS = 0.5  # for an answer, before anything else is looked at
LONELY_SECONDS = 120.0  # without any place to compute: nodes may come back, but not for ever
PATIENCE_SECONDS = 30.0  # without any worker, before it is said what is waited for

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
class Failure:
    """An error that a worker ended with, as it travels."""

    kind: type[Exception]
    message: str

    def error(self, where: str = "") -> Exception:
        """The error, after the name of where it happened."""
        return self.kind(f"{where}: {self.message}" if where else self.message)


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
        on_remark: Callable[[str], None] | None = None,
    ) -> "Iterator[Workers[Any, Any]]":
        """Workers on every node, ended at the end; none is started before there is a unit to compute.

        Args:
            build: makes the worker in its own process, so that it must be picklable.
            on_worker: told of each new worker and how it introduced itself, before it is given a unit.
            gpus: one worker for each GPU; otherwise one for each node, with all its processors.
            workers_per_node: so many workers share each node's GPUs or processors.
            on_remark: told when the cluster has no room for a worker.
        """
        workers: Workers[Any, Any] = Workers(self._ray, build, on_worker, gpus, workers_per_node, on_remark)
        try:
            yield workers
        finally:
            workers.close()


class Workers(Generic[U, R]):
    """The workers that compute for this process."""

    def __init__(
        self,
        ray: ModuleType,
        build: Callable[[Place], Worker],
        on_worker: Callable[[Place, Any], None],
        gpus: bool,
        workers_per_node: int | None,
        on_remark: Callable[[str], None] | None,
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
        self._inhabited = self._patient = time.monotonic()
        self._on_remark = on_remark

    def results(self, units: Iterator[U], on_wait: Callable[[], None] = lambda: None) -> Iterator[tuple[U, R]]:
        """Each unit and its result, once, by any worker, in the order in which they come.

        Args:
            units: taken one by one, as workers become free.
            on_wait: called at least every second or so while results are waited for, whether anything comes or not.

        Raises:
            ProbekitError: what a worker ended with, or `on_worker`.
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
                    yield given.unit, answer
            self._look_whether_any_has_started()
            on_wait()

    @property
    def places(self) -> list[Place]:
        """Where workers can be, now."""
        return list(self._places())

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

    def _look_whether_any_has_started(self) -> None:
        """Say so, once, when no worker finds room on the cluster."""
        if any(worker.starting is None for worker in self._hired.values()):
            self._patient = float("inf")
        elif time.monotonic() - self._patient >= PATIENCE_SECONDS:
            self._patient = float("inf")
            if self._on_remark:
                self._on_remark("no worker has started yet: its node's processors or GPUs may be in use (ray status).")

    def _hand_out(self, waiting: deque[_Given[U]], following: Iterator[_Given[U]]) -> bool:
        """Fill the workers' hands, first the empty ones, and hire; False when there is nothing left to give.

        A unit whose worker died is given alone: should it kill the next one too, no other unit is suspected. As many
        workers as there are such units get no second unit, so that a hand is empty soon.
        """
        left = True
        for load in range(AT_HAND):
            free = [w for w in self._hired.values() if w.starting is None and len(w.units) == load]
            free = [worker for worker in free if not any(given.deaths for given in worker.units.values())]
            for worker in free[len(waiting) if load else 0 :]:
                given = waiting.popleft() if waiting and not load else next(following, None)
                if given is None:
                    left = bool(waiting)
                    break
                worker.units[worker.actor.compute.remote(given.unit)] = given
        if not self._hired and not waiting:  # nobody is hired for nothing
            waiting.extend(itertools.islice(following, 1))
            left = bool(waiting)
        if left:
            self._hire()
        return left

    def _hire(self) -> None:
        """A worker for every place that has none.

        Raises:
            ModelError: there has been no place for long.
        """
        now = time.monotonic()
        if now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        every = self.places
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
        if isinstance(answer, Failure):
            raise answer.error(worker.place.host)
        return answer

    def _dismiss(self, worker: _Hired[U]) -> None:
        """Forget a worker that is lost, and see to it that it is."""
        self._ray.kill(worker.actor)
        del self._hired[worker.place]
        self._failed_starts[worker.place] += 1
        self._lost[worker.place.host] += 1

    def _why_nowhere(self) -> str:
        if self._failed_starts:
            return f"every worker died ({', '.join(self._lost)}): see Ray's logs there."
        kind = "GPUs" if self._gpus else "processors"
        return f"the Ray cluster has no {kind} to compute on: {'use --device cpu, or ' if self._gpus else ''}add nodes."


class _LostWorkerError(Exception):
    """A worker that does not answer any more."""


class _Seat:
    """What runs in the process of a worker."""

    _worker: Worker

    def prepare(self, build: Callable[[Place], Worker], place: Place) -> Any:  # noqa: ANN401  # the worker's own words
        """How the new worker introduces itself."""

        def start() -> Any:  # noqa: ANN401  # the worker's own words
            self._worker = build(place)
            return self._worker.introduce()

        return caught(start)

    def compute(self, unit: Any) -> Any:  # noqa: ANN401  # the caller's
        """The worker's result."""
        return caught(lambda: self._worker.compute(unit))


def process_name() -> str:
    """HOST:PROCESS, by which a worker is known."""
    return f"{socket.gethostname()}:{os.getpid()}"


def caught(work: Callable[[], Any]) -> Any:  # noqa: ANN401  # what the work returns, or a `Failure`
    """What it returns, or how it failed: an error of probekit's is an answer like others."""
    try:
        return work()
    except (ProbekitError, MemoryError) as error:
        return Failure(type(error), str(error))


def _blame(lost: list[_Given[Any]]) -> None:
    """Count the death of their worker against these units.

    Raises:
        ModelError: one of them has seen too many.
    """
    for given in lost:
        given.deaths += 1
        if given.deaths == DEATHS:
            raise ModelError(
                f"{DEATHS} workers died of {given.unit}: something in it may need more memory than a node has."
            )
