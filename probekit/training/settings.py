"""What decides a trained network, beside the images."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from probekit.errors import UsageError
from probekit.fingerprint import JSONValue, plain_object
from probekit.models.tuned import INPUTS, Input
from probekit.registry import unknown_name

Optimizer = Literal["adam", "adamw", "sgd"]
Loss = Literal["ce", "supcon", "ce+supcon", "triplet"]
Mix = Literal["none", "repmix", "latent"]
Precision = Literal["float32", "bfloat16"]

OPTIMIZERS: tuple[Optimizer, ...] = ("adam", "adamw", "sgd")
LOSSES: tuple[Loss, ...] = ("ce", "supcon", "ce+supcon", "triplet")
MIXES: tuple[Mix, ...] = ("none", "repmix", "latent")
AUGMENTATIONS = ("flip", "crop", "jpeg", "blur")
NO_AUGMENTATION = "none"
VIEWS = ("resize", "center", "squash")
"""Policies that give one whole square."""

LEARNING_RATE, LEARNING_RATE_OF_LORA = 2e-4, 1e-3


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained; all of it decides the weights. What it learns from stands beside it."""

    arch: str
    """timm's name: `xception41`, `resnet50.a1_in1k`."""
    scratch: bool = False
    """Random weights at the start, not pretrained ones."""
    epochs: int = 1
    """At most."""
    batch_size: int = 32
    lr: float | None = None
    """Learning rate, constant; None: 2e-4, of LoRA 1e-3."""
    optimizer: Optimizer = "adam"
    """β = .9, .999 of `adam` and `adamw`; momentum .9 of `sgd`."""
    weight_decay: float = 0.0
    loss: Loss = "ce"
    augment: tuple[str, ...] = ("flip", "crop")
    mix: Mix = "none"
    lora: int | None = None
    """Rank of the low-rank updates of the attention's weights, which alone are then trained beside the head."""
    input: Input = "rgb"
    size: int | None = None
    """Pixels a side; None takes what timm evaluates the network with."""
    view: str | None = None
    """A policy of `VIEWS`; None takes timm's."""
    precision: Precision = "float32"
    """`bfloat16`: autocast; weights, optimiser and loss stay in float32."""
    patience: int = 3
    """Epochs without a lower val loss after which the training ends; the best epoch's weights are kept."""
    balanced: bool = False
    """Each epoch takes as many images of every class as the rarest has, drawn anew; else every image once."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("optimizer", self.optimizer, OPTIMIZERS),
            ("loss", self.loss, LOSSES),
            ("mix", self.mix, MIXES),
            ("input", self.input, INPUTS),
            ("view", self.view or "resize", VIEWS),
            ("precision", self.precision, ("float32", "bfloat16")),
        ):
            if value not in known:
                raise unknown_name(name, value, known)
        for name in self.augment:
            if name not in AUGMENTATIONS:
                raise unknown_name("augmentation", name, (*AUGMENTATIONS, NO_AUGMENTATION))
        self._check_numbers()
        if self.mix != "none" and "ce" not in self.loss:
            raise UsageError(f"--mix {self.mix} mixes what cross-entropy classifies, --loss {self.loss} has none.")
        if self.scratch and self.lora is not None:
            raise UsageError("--lora updates pretrained weights: leave --scratch out.")

    def _check_numbers(self) -> None:
        for flag, number, least in (
            ("--epochs", self.epochs, 1),
            ("--batch-size", self.batch_size, 2),
            ("--patience", self.patience, 1),
            ("--lora", self.lora, 1),
            ("--size", self.size, 8),
        ):
            if number is not None and number < least:
                raise UsageError(f"{flag} {number}: at least {least}.")
        if not (math.isfinite(self.learning_rate) and self.learning_rate > 0):
            raise UsageError(f"--lr {self.learning_rate:g}: the learning rate is a positive number.")
        if not (math.isfinite(self.weight_decay) and self.weight_decay >= 0):
            raise UsageError(f"--weight-decay {self.weight_decay:g}: it is 0 or more.")

    def check_start(self, weights: Path | None) -> None:
        """Nothing, unless weights are given for a network that starts from random ones.

        Raises:
            UsageError: they are.
        """
        if self.scratch and weights is not None:
            raise UsageError(
                f"--scratch starts from random weights, --weights {weights} from these: leave one of the two out."
            )

    @property
    def learning_rate(self) -> float:
        """The one given, else the default."""
        return self.lr if self.lr is not None else LEARNING_RATE_OF_LORA if self.lora else LEARNING_RATE

    @property
    def has_head(self) -> bool:
        """Whether the network learns to classify, so that it needs no probe."""
        return "ce" in self.loss

    def record(self) -> dict[str, JSONValue]:
        """All of it in JSON's own types, with the learning rate spelled out."""
        return plain_object(replace(self, lr=self.learning_rate))


def parse_augmentations(text: str) -> tuple[str, ...]:
    """`flip,crop` as names, in the order in which they are listed everywhere; none of `none`.

    Raises:
        UnknownNameError: there is no such augmentation.
    """
    given = [part.strip() for part in text.split(",")]
    if given == [NO_AUGMENTATION]:
        return ()
    for name in given:
        if name not in AUGMENTATIONS:
            raise unknown_name("augmentation", name, (*AUGMENTATIONS, NO_AUGMENTATION))
    return in_order(given)


def in_order(names: Sequence[str]) -> tuple[str, ...]:
    """Each augmentation once, in the order of `AUGMENTATIONS`."""
    return tuple(name for name in AUGMENTATIONS if name in names)
