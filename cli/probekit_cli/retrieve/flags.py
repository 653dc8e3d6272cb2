"""The options of `probekit retrieve` that no other command has."""

from typing import Annotated

import typer

from probekit_cli.options import FEATURES, FILES

SEARCHED, ANSWERS, MORE = "What is searched for what", "How answers are found", "Further questions"
"""Panels of the help page."""

FEW_ANSWERS = 6
"""Up to so many answers get a contact sheet each unless it is asked for."""

Gallery = Annotated[
    str | None,
    typer.Option(
        help="Split whose images are registered: train (default), val, test or all.", rich_help_panel=SEARCHED
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        help="Split whose images are searched: test by default; all of another manifest.", rich_help_panel=SEARCHED
    ),
]
GalleryGenerators = Annotated[
    str,
    typer.Option(
        metavar="POOL[,POOL]",
        help="Register these only, with the real images of their domains: lama, lama@celeba, all-lama.",
        rich_help_panel=SEARCHED,
    ),
]
QueryGenerators = Annotated[
    str, typer.Option(metavar="POOL[,POOL]", help="The same for what is searched.", rich_help_panel=SEARCHED)
]
GalleryDomain = Annotated[
    str | None,
    typer.Option(metavar="DOMAIN[,DOMAIN]", help="Register images of these domains only.", rich_help_panel=SEARCHED),
]
QueryDomain = Annotated[
    str | None, typer.Option(metavar="DOMAIN[,DOMAIN]", help="The same for what is searched.", rich_help_panel=SEARCHED)
]
QueryManifest = Annotated[
    str | None,
    typer.Option(
        metavar="NAME|FILE",
        help="Search the images of another manifest; on this machine alone, without --engine ray.",
        rich_help_panel=FEATURES,
    ),
]
Unknown = Annotated[
    str | None,
    typer.Option(
        metavar="GEN[,GEN]|each",
        help="Generators that are searched but never registered; each: one after another.",
        rich_help_panel=SEARCHED,
    ),
]
Neighbours = Annotated[int, typer.Option("--k", min=1, help="Neighbours that vote.", rich_help_panel=ANSWERS)]
Vote = Annotated[
    str,
    typer.Option(
        help="Who says which generator it is: soft, sum (of similarities), majority, or prototype (nearest centroid).",
        rich_help_panel=ANSWERS,
    ),
]
ClassRank = Annotated[
    str,
    typer.Option(
        metavar="max|topM|centroid",
        help="What ranks the classes: their nearest image, the mean of their M nearest, their centroid.",
        rich_help_panel=ANSWERS,
    ),
]
Index = Annotated[
    str,
    typer.Option(
        help="What ranks: flat (exact), ivf, hnsw or ivfpq; auto: flat, or ivf for over 350,000 rows of 768.",
        rich_help_panel=ANSWERS,
    ),
]
Condition = Annotated[
    str,
    typer.Option(
        help="How features are conditioned: raw, l2, zscore, layernorm or whiten.",
        rich_help_panel=ANSWERS,
    ),
]
Project = Annotated[
    str | None,
    typer.Option(
        metavar="KIND[:COLUMNS]",
        help="Ask with a projection, too, learned from registered images of train: whiten, lda, supcon, triplet.",
        rich_help_panel=MORE,
    ),
]
Dimension = Annotated[
    int | None, typer.Option(min=1, help="Columns of the projection. Default: 128.", rich_help_panel=MORE)
]
Shots = Annotated[
    str | None,
    typer.Option(
        metavar="N,N,all",
        help="Register so many images of each generator and domain: 1,5,10,50,all.",
        rich_help_panel=MORE,
    ),
]
Seeds = Annotated[int, typer.Option(min=1, help="Draws of each number of --shots.", rich_help_panel=MORE)]
Sheets = Annotated[
    bool | None,
    typer.Option(
        help=f"Draw queries with their neighbours. Default: of up to {FEW_ANSWERS} answers.", rich_help_panel=FILES
    ),
]
