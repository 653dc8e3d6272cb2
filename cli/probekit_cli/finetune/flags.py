"""The options of `probekit finetune` that no other command has."""

from pathlib import Path
from typing import Annotated

import typer

from probekit_cli.options import EVALUATION, FILES, on_a_disk

NETWORK, LEARNED, TRAINING, SPEED = "The network", "What it learns", "How it is trained", "Speed"
"""Panels of the help page."""

Model = Annotated[
    str,
    typer.Option(
        metavar="NAME", help="A network of timm: xception41, resnet50, vit_tiny_patch16_224 …", rich_help_panel=NETWORK
    ),
]
Scratch = Annotated[bool, typer.Option("--scratch", help="Start from random weights.", rich_help_panel=NETWORK)]
Weights = Annotated[
    str | None,
    typer.Option(
        metavar="[MODEL=]FILE",
        help="Start from this checkpoint. Default: pretrained, from a hub.",
        rich_help_panel=NETWORK,
        callback=on_a_disk("checkpoints"),
    ),
]
Input = Annotated[
    str, typer.Option("--input", help="rgb, or npr: what neighbouring pixels differ by.", rich_help_panel=NETWORK)
]
Size = Annotated[int | None, typer.Option(help="Pixels a side. Default: the network's own.", rich_help_panel=NETWORK)]
View = Annotated[
    str | None,
    typer.Option(help="resize, center (no resizing) or squash. Default: the network's own.", rich_help_panel=NETWORK),
]
Lora = Annotated[
    int | None,
    typer.Option(
        metavar="RANK", help="Train low-rank updates of a ViT's attention, and the head.", rich_help_panel=NETWORK
    ),
]
Name = Annotated[
    str | None,
    typer.Option(
        help="The network is tuned:NAME afterwards; of several, NAME-GENERATOR. Default: MODEL-GENERATOR.",
        rich_help_panel=NETWORK,
    ),
]
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Train anew, in place of a network of that name; typed again after an interruption, it goes on.",
        rich_help_panel=NETWORK,
    ),
]
Train = Annotated[
    str,
    typer.Option(
        help="Generator, comma list, or `all`: a network each, on the train split. a+b: one on both; all-a: on all "
        "but a. Of attribution: the classes of one network.",
        rich_help_panel=LEARNED,
    ),
]
Test = Annotated[str, typer.Option(help="The same, for testing.", rich_help_panel=LEARNED)]
Task = Annotated[str, typer.Option(help="binary: real or fake. attribution: which generator.", rich_help_panel=LEARNED)]
Balanced = Annotated[
    bool,
    typer.Option(
        "--balanced", help="Each epoch, as many images of every class as the rarest has.", rich_help_panel=LEARNED
    ),
]
Epochs = Annotated[int, typer.Option(min=1, help="At most.", rich_help_panel=TRAINING)]
BatchSize = Annotated[int, typer.Option(min=2, help="Images of a step.", rich_help_panel=TRAINING)]
Lr = Annotated[
    float | None, typer.Option(help="Learning rate. Default: 2e-4, with --lora 1e-3.", rich_help_panel=TRAINING)
]
Optimizer = Annotated[str, typer.Option(help="adam, adamw or sgd (momentum .9).", rich_help_panel=TRAINING)]
WeightDecay = Annotated[float, typer.Option(help="Of the optimiser.", rich_help_panel=TRAINING)]
Loss = Annotated[
    str,
    typer.Option(
        help="ce, supcon, ce+supcon or triplet; without ce a logistic probe of the features answers.",
        rich_help_panel=TRAINING,
    ),
]
Augment = Annotated[str, typer.Option(help="flip, crop, jpeg, blur: a comma list; or none.", rich_help_panel=TRAINING)]
Mix = Annotated[str, typer.Option(help="none, repmix or latent: mixes last representations.", rich_help_panel=TRAINING)]
Patience = Annotated[
    int,
    typer.Option(
        min=1, help="Stop after so many epochs without a lower val loss; the best is kept.", rich_help_panel=TRAINING
    ),
]
Amp = Annotated[
    bool | None,
    typer.Option("--amp/--no-amp", help="bfloat16 autocast. Default: on GPUs.", rich_help_panel=TRAINING),
]
Threshold = Annotated[
    str,
    typer.Option(
        help="Above what an image is called fake: 0.5, val-eer, val-youden or val-fpr5.", rich_help_panel=EVALUATION
    ),
]
Device = Annotated[
    str | None, typer.Option(help="cpu, cuda, cuda:1 … Default: a GPU if there is one.", rich_help_panel=SPEED)
]
Workers = Annotated[
    int | None,
    typer.Option(min=1, help="Threads that read and decode. Default: one per processor.", rich_help_panel=SPEED),
]
Curves = Annotated[
    bool, typer.Option("--curves", help="Draw ROC, DET and reliability curves too.", rich_help_panel=FILES)
]


def weights_file(given: str | None, arch: str) -> Path | None:
    """The checkpoint of FILE or MODEL=FILE, MODEL with timm: before it or not.

    Raises:
        UsageError: there is no such file.
    """
    from probekit.errors import UsageError

    if given is None:
        return None
    path = Path(given.removeprefix(f"timm:{arch}=").removeprefix(f"{arch}="))
    if not path.exists():
        raise UsageError(f"--weights {given}: no such file.")
    return path
