"""On what a command runs: the options of clusters, with Ray and without."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from probekit.parallel.connecting import ClusterSettings

CLUSTER = "On a cluster"
"""A panel of the help page."""

Engine = Annotated[
    str,
    typer.Option(
        metavar="local|ray",
        help="local: this machine; ray: the nodes of a Ray cluster, or this machine where there is none (docs/ray.md).",
        rich_help_panel=CLUSTER,
    ),
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT|auto|local",
        help="Of the cluster's head. Default: RAY_ADDRESS, else the cluster that this machine belongs to.",
        rich_help_panel=CLUSTER,
    ),
]
WorkersPerNode = Annotated[
    int | None,
    typer.Option(
        "--workers-per-node",
        min=1,
        help="Workers on each node. Default: one for each GPU, or one with all processors.",
        rich_help_panel=CLUSTER,
    ),
]
ShardOfAll = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="K/N",
        help="Only the K-th of N disjoint parts, from 1/N to N/N: for job arrays. When all have ended, run it "
        "once more without --shard (docs/scale.md).",
        rich_help_panel=CLUSTER,
    ),
]
MixedVersions = Annotated[
    bool,
    typer.Option(
        "--mixed-versions",
        help="Add to a store that other versions of torch, timm … have written, and let nodes have several.",
        rich_help_panel=CLUSTER,
    ),
]


def cluster_settings(engine: str, address: str | None, workers_per_node: int | None) -> "ClusterSettings | None":
    """The cluster that is meant; None for this machine.

    Raises:
        UsageError: an unknown engine, or an option of a cluster without one.
    """
    from probekit.errors import UsageError
    from probekit.parallel.connecting import ClusterSettings
    from probekit.registry import one_of

    if one_of("--engine", engine, ("local", "ray")) == "ray":
        return ClusterSettings(address, workers_per_node)
    for option, value in {"--address": address, "--workers-per-node": workers_per_node}.items():
        if value:
            raise UsageError(f"{option} is about a cluster: add --engine ray, or leave it out.")
    return None


def refuse_on_cluster(given: Mapping[str, object]) -> None:
    """Nothing, if none of these options was given, which the workers of a cluster cannot follow.

    Raises:
        UsageError: one was.
    """
    from probekit.errors import UsageError

    for option in (option for option, value in given.items() if value):
        raise UsageError(
            f"{option} is for this machine alone, --engine ray asks workers of a cluster: leave {option} or "
            "--engine ray out."
        )


def words(engine: str, address: str | None, workers_per_node: int | None) -> tuple[str, ...]:
    """The same options as they are typed after another command; none for this machine.

    Raises:
        UsageError: as `cluster_settings`.
    """
    if cluster_settings(engine, address, workers_per_node) is None:
        return ()
    given = {"--engine": engine, "--address": address, "--workers-per-node": workers_per_node}
    return tuple(word for option, value in given.items() if value is not None for word in (option, str(value)))


def device_there(device: str | None) -> str:
    """The device of every worker of a cluster: `cpu`, or `cuda:0`, the GPU that is its own.

    Raises:
        UsageError: another device.
    """
    from probekit.parallel.connecting import check_device

    check_device(device)
    return "cuda:0" if device == "cuda" else "cpu"
