"""Who is given which unit, and when, on a cluster whose clock the test sets; tests/extract has real ones."""

import itertools
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace

import pytest

from probekit.parallel import cluster
from probekit.parallel.cluster import AT_HAND, Workers


class LostError(Exception):
    """What this Ray says of an actor that is gone."""


@dataclass
class Actor:
    """A process on a node: it computes one unit after another, and starts for a second."""

    ray: "Simulated"
    node: str
    free: float
    ended: bool = False
    prepare: SimpleNamespace = field(init=False)
    compute: SimpleNamespace = field(init=False)

    def __post_init__(self) -> None:
        self.prepare = SimpleNamespace(remote=lambda build, place: self.call(1.0, None))
        self.compute = SimpleNamespace(remote=lambda unit: self.call(unit[1], unit))

    def call(self, seconds: float, answer: object) -> int:
        self.free = max(self.free, self.ray.now) + seconds
        self.ray.calls[number := len(self.ray.calls)] = (self.free, self, answer)
        return number


class Simulated:
    """As much of Ray as `Workers` calls, on two nodes of one processor; `events` happen at their time."""

    exceptions = SimpleNamespace(RayTaskError=ZeroDivisionError, LocalRayletDiedError=OSError, RayError=LostError)

    def __init__(self, events: dict[float, Callable[["Simulated"], None]]) -> None:
        self.now, self.events = 0.0, sorted(events.items())
        self.alive = {"A": True, "B": True}
        self.calls: dict[int, tuple[float, Actor, object]] = {}
        self.actors: list[Actor] = []

    def nodes(self) -> list[dict[str, object]]:
        return [
            {"NodeID": node, "NodeManagerHostname": node, "Alive": alive, "Resources": {"CPU": 1}}
            for node, alive in self.alive.items()
        ]

    def remote(self, _: object) -> SimpleNamespace:
        def start(node: str) -> Actor:
            self.actors.append(actor := Actor(self, node, self.now))
            return actor

        return SimpleNamespace(
            options=lambda scheduling_strategy, **_: SimpleNamespace(remote=lambda: start(scheduling_strategy.node))
        )

    def wait(self, references: list[int], timeout: float) -> tuple[list[int], list[int]]:
        until = self.now + timeout
        while self.events and self.events[0][0] <= until:
            self.events.pop(0)[1](self)
        there = {number: self.calls[number] for number in references}
        ready = {number: self.now if actor.ended else at for number, (at, actor, _) in there.items()}
        first = min(ready, key=lambda number: ready[number])
        self.now = min(until, max(self.now, ready[first]))
        return [first] if ready[first] <= until else [], []

    def get(self, number: int) -> object:
        _, actor, answer = self.calls[number]
        if actor.ended:
            raise LostError
        return answer

    def kill(self, actor: Actor) -> None:
        actor.ended = True

    def kill_on(self, node: str) -> None:
        """The worker there dies."""
        next(actor for actor in self.actors if actor.node == node and not actor.ended).ended = True

    def remove(self, node: str) -> None:
        """The node goes, with its worker, and does not come back."""
        self.alive[node] = False
        self.kill_on(node)


@pytest.fixture
def run(monkeypatch):
    """Runs units of so many seconds: (Ray, the number of each unit in the order in which they were done)."""
    strategies = ModuleType("ray.util.scheduling_strategies")
    strategies.NodeAffinitySchedulingStrategy = lambda node, soft: SimpleNamespace(node=node)
    for name in ("ray", "ray.util"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, "ray.util.scheduling_strategies", strategies)

    def compute(seconds, events=None):
        ray = Simulated(events or {})
        monkeypatch.setattr(cluster, "time", SimpleNamespace(monotonic=lambda: ray.now))
        workers = Workers(ray, None, lambda place, said: None, False, None, None)
        return ray, [unit[0] for unit, _ in workers.results(iter(enumerate(seconds)))]

    return compute


def test_workers_are_busy_from_the_first_unit_to_the_last(run):
    units = 200
    ray, done = run(itertools.repeat(10.0, units))
    assert sorted(done) == list(range(units))
    assert ray.now <= 1 + 10 * (units / 2 + AT_HAND), "a worker waited"


def test_the_units_of_a_lost_node_come_soon_though_workers_are_always_given_two(run):
    _, done = run(itertools.repeat(10.0, 200), {5.0: lambda ray: ray.remove("B")})
    assert sorted(done) == list(range(200))
    assert max(done.index(unit) for unit in range(2 * AT_HAND)) < 4 * AT_HAND


def test_a_worker_that_dies_at_the_end_has_a_successor_that_goes_on(run):
    ray, done = run([10.0, 1000.0, 20.0], {15.0: lambda ray: ray.kill_on("B")})
    assert done == [0, 2, 1]
    assert [actor.node for actor in ray.actors] == ["A", "B", "B"]
    assert ray.now < 1020


def test_a_unit_whose_worker_died_is_given_alone(run):
    ray, done = run(itertools.repeat(10.0, 20), {5.0: lambda ray: ray.kill_on("B")})
    assert sorted(done) == list(range(20))
    lost = [answer[0] for _, actor, answer in ray.calls.values() if actor.node == "B" and actor.ended and answer]
    again = [(number, at, actor) for number, (at, actor, answer) in ray.calls.items() if answer and answer[0] in lost]
    for number, ended, actor in (call for call in again if not call[2].ended):
        others = [at for other, (at, who, answer) in ray.calls.items() if who is actor and answer and other != number]
        assert all(at <= ended - 10 or at > ended for at in others)
    assert len(again) == 2 * len(lost)
