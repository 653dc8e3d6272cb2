"""The options of `probekit saliency` that no other command has."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli.options import FILES, on_a_disk

LOOKED_AT, HOW, MODEL_RUN = "What is looked at", "How maps are made", "How the model runs"
"""Panels of the help page."""

MANY_PAIRS = 8
"""Up to so many pairs get a sheet each unless it is asked for."""

Train = Annotated[
    str | None,
    typer.Option(
        help="Generator, comma list, or `all` (default): a probe each. a+b: one probe on both; all-a: on all but a.",
        rich_help_panel=LOOKED_AT,
    ),
]
Test = Annotated[
    str, typer.Option(help="The same, for the images that are looked at; test images only.", rich_help_panel=LOOKED_AT)
]
ProbeOption = Annotated[
    str,
    typer.Option(
        "--probe",
        metavar="NAME|FILE",
        help="logistic, ridge, svm or lda to train one; a saved probe's file, or its run's folder, to take that.",
        rich_help_panel=LOOKED_AT,
        callback=on_a_disk("probes"),
    ),
]
Task = Annotated[
    str,
    typer.Option(help="binary: what speaks for fake. attribution: what speaks for a class.", rich_help_panel=LOOKED_AT),
]
Of = Annotated[
    str | None,
    typer.Option(
        metavar="GENERATOR",
        help="The class that is explained, of attribution. Default: what each image is called.",
        rich_help_panel=LOOKED_AT,
    ),
]
Limit = Annotated[
    int,
    typer.Option(
        min=0, help="Images of each generator, and real ones of each domain; 0 for all.", rich_help_panel=LOOKED_AT
    ),
]
MethodOption = Annotated[
    str,
    typer.Option(
        "--method",
        metavar="METHOD[,METHOD]",
        help="grad-cam, decomposition (exact, of mean-pooled tokens) or rollout (of attention, not of the probe).",
        rich_help_panel=HOW,
    ),
]
Condition = Annotated[
    str,
    typer.Option(
        help="How features are conditioned: raw, l2, zscore, layernorm or whiten; best chooses.", rich_help_panel=HOW
    ),
]
InverseRegularisation = Annotated[
    float | None, typer.Option("--C", help="Inverse regularisation strength. Default: chosen.", rich_help_panel=HOW)
]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="[MODEL=]FILE",
        help="Local checkpoint of the model, not a hub's.",
        rich_help_panel=MODEL_RUN,
        callback=on_a_disk("checkpoints"),
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: a GPU if there is one.", rich_help_panel=MODEL_RUN)
]
BatchSize = Annotated[int, typer.Option(min=1, help="Images shown at once.", rich_help_panel=MODEL_RUN)]
Sheets = Annotated[
    bool | None,
    typer.Option(
        "--sheets/--no-sheets",
        help=f"Draw a contact sheet of each pair. Default: up to {MANY_PAIRS} of them.",
        rich_help_panel=FILES,
    ),
]
Overlays = Annotated[int, typer.Option(min=0, help="Draw so many images of each pair large.", rich_help_panel=FILES)]
MapsFolder = Annotated[
    Path | None,
    typer.Option(
        "--maps",
        metavar="FOLDER",
        help="Write every map there, as float32 .npy in the pixels of its image.",
        rich_help_panel=FILES,
        callback=on_a_disk("maps", "name a folder"),
    ),
]
