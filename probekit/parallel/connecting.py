"""Opening a Ray cluster: one that runs already, or one of this machine alone. Ray is imported when one is opened."""

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from probekit.errors import UsageError
from probekit.parallel.cluster import Cluster
from probekit.parallel.threads import processors

NO_CLUSTER = "this machine belongs to no Ray cluster: start one with `ray start --head`, or write local"
CONNECT_SECONDS = 5.0
OBJECT_STORE = 128 << 20  # bytes of shared memory of a cluster that is started here: only small things travel


@dataclass(frozen=True)
class ClusterSettings:
    """Which cluster, and how it is divided among workers."""

    address: str | None = None
    """As `connected` has it."""
    workers_per_node: int | None = None
    """One for each GPU, or one with all processors, unless given."""


def check_device(device: str | None) -> None:
    """Nothing, if every node can be told to compute there; nodes number their own GPUs.

    Raises:
        UsageError: it is none of `cpu` and `cuda`, or None.
    """
    if device not in (None, "cpu", "cuda"):
        raise UsageError(f"--device {device}: with --engine ray it is cpu or cuda, on every node.")


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
        _connect(ray, address)
    try:
        yield Cluster(ray)
    finally:
        if ours:
            ray.shutdown()


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
    """Connect to the cluster of an address, else RAY_ADDRESS's, else to this machine's, else to one of its own.

    Raises:
        UsageError: there is no such cluster, or it is of another version of Ray or Python.
    """
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    named = os.environ.get("RAY_ADDRESS")
    given = "RAY_ADDRESS=" if named and not address else "--address "
    address = address or named
    if address:
        _require_reachable(address, given)
    elif _is_dead(_last_cluster()):
        address = "local"
    for candidate in [address] if address else ["auto", "local"]:
        own = {"include_dashboard": False, "num_cpus": processors(), "object_store_memory": OBJECT_STORE}
        try:
            ray.init(address=candidate, **quiet, **(own if candidate == "local" else {}))
        except (ConnectionError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
            if isinstance(error, ConnectionError) and candidate == "auto" != address:
                continue  # no cluster here: the next candidate is a new one
            reason = " ".join(str(error).split()).rstrip(".")
            if candidate == "auto":
                reason = NO_CLUSTER
            elif candidate != "local" and not os.environ.get("RAY_AUTH_MODE"):  # Ray shows its token to others alone
                reason += ". If that cluster asks for a token (`ray start` says so): export RAY_AUTH_MODE=token"
            raise UsageError(f"{given}{candidate}: {reason}.") from error
        return


def _require_reachable(address: str, given: str = "--address ") -> None:
    """Nothing, if somebody listens at the address; Ray itself would try for minutes.

    Args:
        address: of the cluster.
        given: what stands before it where it was given.

    Raises:
        UsageError: nobody does, or probekit cannot work through it.
    """
    called = f"{given}{address}"
    if address == "auto" and _is_dead(last := _last_cluster()):
        raise UsageError(f"{called}: {NO_CLUSTER} (one at {last} has ended).")
    if address in ("auto", "local"):
        return
    if address.startswith("ray://"):
        raise UsageError(
            f"{called}: Ray's client is not supported, because features are written where the command runs. "
            "Run it on a node of the cluster, with --address auto."
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or "://" in address:
        raise UsageError(f"{called}: write HOST:PORT of the cluster's head (`ray start` prints it), auto or local.")
    try:
        _reach(host, port)
    except (OSError, OverflowError) as error:
        raise UsageError(
            f"{called}: no Ray cluster can be reached there ({error}): see what `ray status` says on its head."
        ) from error


def _last_cluster() -> str:
    """The address that Ray remembers of the last cluster of this machine, ended or not; empty if there was none."""
    file = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"
    try:
        return file.read_text().strip()
    except OSError:
        return ""


def _is_dead(address: str) -> bool:
    """Whether nobody listens there: Ray would wait for minutes."""
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        return False
    try:
        _reach(host, port)
    except (OSError, OverflowError):
        return True
    return False


def _reach(host: str, port: str) -> None:
    socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
