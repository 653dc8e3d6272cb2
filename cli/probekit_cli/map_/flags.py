"""The options of `probekit map` that no other command has."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli.options import FILES, on_a_disk

LAYOUT, LOOK = "Where samples lie", "What is drawn"
"""Panels of the help page."""

Method = Annotated[
    str, typer.Option("--method", help="tsne; umap or pacmap, which are extras.", rich_help_panel=LAYOUT)
]
Perplexity = Annotated[
    str | None,
    typer.Option(
        metavar="P[,P]|multiscale",
        help="Of t-SNE; several are averaged, multiscale is 30 and n/100. Default: 30, fewer for a small set.",
        rich_help_panel=LAYOUT,
    ),
]
Size = Annotated[
    int | None,
    typer.Option(
        metavar="N", min=1, help="Map N of the samples, every generator in proportion.", rich_help_panel=LAYOUT
    ),
]
Onto = Annotated[
    Path | None,
    typer.Option(
        metavar="RUN",
        help="Place the samples on the map of this run, whose own stay put.",
        rich_help_panel=LAYOUT,
        callback=on_a_disk("run records", "name a folder"),
    ),
]
Colour = Annotated[
    str,
    typer.Option(
        "--colour",
        "--color",
        metavar="COLUMN",
        help="generator, split, domain or any column; outcome or attribution: what probes make of unseen samples.",
        rich_help_panel=LOOK,
    ),
]
Accuracy = Annotated[
    bool,
    typer.Option(
        "--accuracy",
        help="Train the attribution probe; put its accuracy by class in the caption.",
        rich_help_panel=LOOK,
    ),
]
Format = Annotated[
    str, typer.Option("--format", metavar="png[,svg]", help="Of the picture: png, svg or both.", rich_help_panel=LOOK)
]
Export = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE.parquet",
        help="Write the points for Embedding Atlas, too.",
        rich_help_panel=FILES,
        callback=on_a_disk("exported points"),
    ),
]
