"""The options of `probekit compare` that no other command has."""

from typing import Annotated

import typer

from probekit_cli.options import EVALUATION, FEATURES

Measure = Annotated[
    str | None,
    typer.Option(
        metavar="MEASURE[,…]",
        help="cka (between features), separability and distance (of generators). Default: all.",
    ),
]
Generators = Annotated[
    str | None,
    typer.Option(metavar="GEN[,GEN]", help="Compare these, and real images. Default: all.", rich_help_panel=FEATURES),
]
Condition = Annotated[
    str | None,
    typer.Option(
        help="How features are conditioned: raw, l2, zscore, layernorm or whiten. Default: raw for CKA, else zscore.",
    ),
]
Probe = Annotated[str, typer.Option(help="The probe that separability is measured with.", rich_help_panel=EVALUATION)]
Parts = Annotated[
    int,
    typer.Option(
        min=0,
        help="Parts of the groups, left out in turn for intervals of CKA and distances; 0 gives none.",
        rich_help_panel=EVALUATION,
    ),
]
Sample = Annotated[
    int | None,
    typer.Option(metavar="N", help="CKA of at most N images, one of each group.", rich_help_panel=EVALUATION),
]
KernelSample = Annotated[
    int,
    typer.Option(metavar="N", help="MMD of at most N images of each generator.", rich_help_panel=EVALUATION),
]
