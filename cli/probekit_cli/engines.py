"""On what an extraction runs: the options of clusters, with Ray and without."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from probekit.extract import ClusterSettings

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
        help="Only the K-th of N disjoint parts, from 1/N to N/N: for job arrays (docs/scale.md).",
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
    from probekit.extract import ClusterSettings
    from probekit.registry import one_of

    if one_of("--engine", engine, ("local", "ray")) == "ray":
        return ClusterSettings(address, workers_per_node)
    for option, value in {"--address": address, "--workers-per-node": workers_per_node}.items():
        if value:
            raise UsageError(f"{option} is about a cluster: add --engine ray, or leave it out.")
    return None
