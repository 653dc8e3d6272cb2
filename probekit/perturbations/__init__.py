"""Perturbations: an image as it might reach a detector after its life on the web, before the view is taken of it.

    operations.py    what `jpeg:75`, `blur:k=9,sigma=3` … do to pixels
    presets.py       `ufd`, `sidbench`, `rine`, `ua5`: the field's robustness tests as lists of chains

Operations are chained by `+`, from left to right; chains are separated by commas; `none` is the clean view.

Randomness: operation i of a chain draws from `numpy.random.Generator(Philox)`, whose 128-bit key is the beginning of
SHA-256(seed of the image, name of the operation, i). The seed is the sample's key, so that no order, batch, thread or
company changes a pixel, and different images do not share their noise.
"""

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from probekit.errors import UsageError
from probekit.perturbations.operations import KINDS, Operation, parse_operation
from probekit.perturbations.presets import PRESETS
from probekit.registry import unknown_name

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["KINDS", "NONE", "PRESETS", "Chain", "Operation", "parse_all", "parse_chain", "parse_chains"]

NONE = "none"
"""How the clean view is spelled."""

_ARGUMENT = re.compile(r"\s*\w+\s*=")  # how a piece between commas begins that belongs to the operation before


@dataclass(frozen=True)
class Chain:
    """Operations, one after the other; none of them is the clean view."""

    operations: tuple[Operation, ...] = ()

    @property
    def name(self) -> str:
        """The canonical spelling, `blur:sigma=2+jpeg:50`, or `none`. Equal chains have equal names."""
        return "+".join(operation.name for operation in self.operations) or NONE

    @property
    def slug(self) -> str:
        """For names of files and stores: `blur-sigma2+jpeg50`; empty for the clean view."""
        return "+".join(operation.slug for operation in self.operations)

    def apply(self, image: "Tensor", seed: bytes) -> "Tensor":
        """The perturbed image: uint8 (3, H, W) → uint8 (3, H', W'); the image itself when there is nothing to do.

        Args:
            image: RGB pixels on the CPU; they are not changed.
            seed: what random operations are drawn from, the sample's key.

        Raises:
            ImageError: an operation cannot be done to an image of this size.
        """
        for position, operation in enumerate(self.operations):
            image = operation.apply(image, _generator(seed, operation.name, position))
        return image


@lru_cache(maxsize=1024)
def parse_chain(text: str) -> Chain:
    """The one chain that is spelled like this.

    Raises:
        UnknownNameError: it names an operation that does not exist.
        UsageError: it is empty, a preset or several chains, or an argument is not allowed.
    """
    if text.strip() == NONE:
        return Chain()
    operations = []
    for link in (link.strip() for link in text.split("+")):
        kind = link.partition(":")[0].strip()
        if not link:
            raise UsageError(f"perturbation {text!r} is incomplete: write jpeg:75 or jpeg:75+blur:k=9.")
        if kind == NONE or kind in PRESETS:
            raise UsageError(f"perturbation {text!r}: {kind!r} takes no number and stands alone, between commas.")
        if kind not in KINDS:
            raise unknown_name("perturbation", kind, (*KINDS, *PRESETS, NONE))
        operations.append(parse_operation(link))
    return Chain(tuple(operations))


def parse_chains(text: str) -> tuple[Chain, ...]:
    """The chains in a list with commas between, presets expanded, each once, in their order.

    A comma before `name=` does not end a chain: `jpeg:75,blur:k=9,sigma=3` are two.

    Raises:
        UnknownNameError: it names an operation that does not exist.
        UsageError: as `parse_chain`.
    """
    spelled: list[str] = []
    for piece in text.split(","):
        if spelled and _ARGUMENT.match(piece):
            spelled[-1] += f",{piece}"
        else:
            spelled.append(piece.strip())
    expanded = [chain for one in spelled for chain in PRESETS.get(one, (one,))]
    return tuple(dict.fromkeys(parse_chain(chain) for chain in expanded))


def parse_all(lists: Iterable[str]) -> tuple[Chain, ...]:
    """The chains of several lists, each once, in their order.

    Raises:
        UsageError: as `parse_chains`.
    """
    return tuple(dict.fromkeys(chain for text in lists for chain in parse_chains(text)))


def _generator(seed: bytes, name: str, position: int) -> np.random.Generator:
    """What operation number `position` of a chain draws from."""
    parts = (seed, name.encode(), str(position).encode())
    digest = hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "big")))
