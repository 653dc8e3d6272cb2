"""Units of work on a cluster, whose results come in the order in which they were asked for."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from probekit.parallel.cluster import Failure, Place, Worker, Workers, caught
from probekit.parallel.connecting import ClusterSettings, connected

U = TypeVar("U")
R = TypeVar("R")

OnProgress = Callable[[int, int], None]
"""Called with (units done, all of them)."""


@contextlib.contextmanager
def ordered_workers(
    build: Callable[[Place], Worker],
    settings: ClusterSettings,
    *,
    on_worker: Callable[[Place, Any], None],
    gpus: bool = False,
    on_remark: Callable[[str], None] | None = None,
) -> "Iterator[OrderedWorkers[Any, Any]]":
    """Workers on every node of a cluster, ended at the end.

    Args:
        build: makes the worker in its own process, so that it must be picklable.
        settings: which cluster, and how it is divided.
        on_worker: told of each new worker and how it introduced itself, before it is given a unit.
        gpus: one worker for each GPU; otherwise one for each node, with all its processors.
        on_remark: told when the cluster has no room for a worker.

    Raises:
        UsageError: there is no such cluster.
    """
    with (
        connected(settings.address) as cluster,
        cluster.workers(
            _Build(build),
            on_worker=on_worker,
            gpus=gpus,
            workers_per_node=settings.workers_per_node,
            on_remark=on_remark,
        ) as workers,
    ):
        yield OrderedWorkers(workers)


class OrderedWorkers(Generic[U, R]):
    """The workers that compute for this process, and its units in their order."""

    def __init__(self, workers: "Workers[_Numbered[U], _Ended]") -> None:
        self._workers = workers

    @property
    def places(self) -> list[Place]:
        """Where workers can be, now."""
        return self._workers.places

    @property
    def notes(self) -> list[str]:
        """A line for each node on which workers were lost."""
        return self._workers.notes

    def map(self, units: Sequence[U], on_progress: OnProgress) -> Iterator[R]:
        """The result of each unit, in their order, as soon as those before it are there.

        Args:
            units: picklable, and safe to be computed again.
            on_progress: called after every unit.

        Raises:
            ProbekitError: what the first unit that failed ended with, in its own words, when its turn comes.
            ModelError: a unit kills its workers, or there is nowhere left to compute.
        """
        early: dict[int, _Ended] = {}
        following = 0
        numbered = (_Numbered(number, unit) for number, unit in enumerate(units))
        for done, (unit, answer) in enumerate(self._workers.results(numbered), start=1):
            early[unit.number] = answer
            on_progress(done, len(units))
            while following in early:
                found = early.pop(following)
                following += 1
                if isinstance(found.outcome, Failure):
                    raise found.outcome.error()
                yield found.outcome


@dataclass(frozen=True)
class _Numbered(Generic[U]):
    number: int
    unit: U

    def __str__(self) -> str:
        return str(self.unit)


@dataclass(frozen=True)
class _Ended:
    """A unit that ended well or badly: for the engine beneath, both are answers."""

    outcome: Any
    """The worker's result, or a `Failure`."""


@dataclass(frozen=True)
class _Build:
    """What makes a worker of the caller's on its node."""

    build: Callable[[Place], Worker]

    def __call__(self, place: Place) -> "_Unhurried":
        return _Unhurried(self.build(place))


class _Unhurried:
    """A worker whose errors wait for their turn: that of the first unit is told, as if one computed after the other."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    def introduce(self) -> Any:  # noqa: ANN401  # the worker's own words
        """As the worker does."""
        return self._worker.introduce()

    def compute(self, numbered: _Numbered[Any]) -> _Ended:
        """The worker's result, or how it failed."""
        return _Ended(caught(lambda: self._worker.compute(numbered.unit)))
