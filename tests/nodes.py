"""A Ray cluster of two nodes on one machine, for tests."""

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from ray.cluster_utils import Cluster

os.environ.setdefault("RAY_DEDUP_LOGS_SKIP_REGEX", ".")  # as commands do it; Ray reads it when it is imported

ROOT = Path(__file__).parents[1]
OURS = b"PROBEKIT_TEST_CLUSTER=two nodes"
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}
MARKS = [
    pytest.mark.slow,
    pytest.mark.xdist_group("ray"),  # one cluster on one machine
    # sockets and files of Ray's own, which it leaves to the garbage collector when a node is removed
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]


@contextlib.contextmanager
def two_nodes() -> Iterator["Cluster"]:
    """A head and a second node, with one processor each; tests that remove the second put another in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), str(ROOT / "cli")]))
        patch.setenv("OMP_NUM_THREADS", "1")
        patch.setenv(*OURS.decode().split("="))  # nodes inherit it, and their workers from them
        from ray.cluster_utils import Cluster

        nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
        try:
            nodes.add_node(**NODE)
            yield nodes
        finally:
            nodes.shutdown()


def remove_second(nodes: "Cluster") -> None:
    """The second node gone, and the head aware of it."""
    import ray

    nodes.remove_node(nodes.worker_nodes.copy().pop(), allow_graceful=False)
    wait_until(lambda: sum(node["Alive"] for node in ray.nodes()) == 1, "the node did not die")


def workers() -> list[int]:
    """Process numbers of the workers on all nodes of our cluster; others may be on this machine."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name, environment = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:  # ended a moment ago, or nobody's of ours
            continue
        if name.startswith(b"ray::_Seat") and OURS in environment.split(b"\0"):
            found.append(int(process.name))
    return found


def wait_until(reached: Callable[[], bool], otherwise: str) -> None:
    """Nothing, once it is reached; within a minute."""
    until = time.monotonic() + 60
    while not reached():
        assert time.monotonic() < until, otherwise
        time.sleep(0.1)
