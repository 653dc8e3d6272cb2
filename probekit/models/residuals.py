"""What the weight-free models share: whole-number residuals, order statistics over blocks, the adapter.

An edit is often local, and an average over the picture drowns it. So a residual is averaged over overlapping
blocks, and the feature keeps the quantiles of the blocks: the smoothest block stays visible however large the
picture. Residuals of one channel are whole numbers, so the block means are exact and equal on every machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Float, Int, UInt8
from probekit.errors import UsageError
from probekit.models import Batch, FrozenModel, Model, ModelCard, Weights
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

Pixels = UInt8[np.ndarray, "h w 3"]
Extractor = Callable[[Pixels], Float[np.ndarray, " d"]]
"""Pixels of one image → one vector, finite for every image of at least 1 × 1 pixel."""

VIEW = View(policy="native", crop=512)
"""No resizing, which would smear the traces; of a large image the centre."""

BLOCK, STRIDE = 16, 8  # pixels: blocks overlap by half
TRUNCATION = 2.0  # quantisation steps that a residual counts at most, as in SRM: no edge outweighs a texture
FLOOR = 0.05  # quantisation steps; a block mean well below it is as good as flat
QUANTILES = (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)  # dense at the smooth end


def weight_free(card: ModelCard, weights: Path | None, taps: Mapping[str, Extractor]) -> Model:
    """A model that needs no weights: one function of one image for each tap of the card.

    It computes in float64 on the CPU whatever the device and the precision: the same numbers everywhere.

    Raises:
        UsageError: weights were given.
    """
    if weights is not None:
        raise UsageError(f"--weights {card.name}={weights}: {card.name} has no weights: leave the option out.")

    def build(card: ModelCard, weights: Weights, device: str, precision: str) -> FrozenModel:
        return _PerImage(taps)

    return Model(card, Weights(), build)


def green(pixels: Pixels) -> Int[np.ndarray, "h w"]:
    """The green channel: the one that most cameras measure at half of their pixels and interpolate least."""
    return pixels[..., 1].astype(np.int16)


def block_levels(residual: Int[np.ndarray, "h w"], scale: float, block: int, stride: int) -> Float[np.ndarray, " b"]:
    """log(1 + m / FLOOR) of every block, m = mean of min(scale · |residual|, TRUNCATION).

    Zero for a flat block. An image smaller than a block is one block; an empty residual is one flat block.
    """
    height, width = residual.shape
    if residual.size == 0:
        return np.zeros(1)
    rows, columns = min(block, height), min(block, width)
    truncated = np.minimum(np.abs(residual), round(TRUNCATION / scale))
    table = np.zeros((height + 1, width + 1), np.int64)  # table[y, x]: sum above and left of pixel (y, x)
    table[1:, 1:] = truncated.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    corners = table[:, columns:] - table[:, :-columns]
    sums = (corners[rows:] - corners[:-rows])[::stride, ::stride]
    levels: Float[np.ndarray, " b"] = np.log1p(sums.ravel() * (scale / (rows * columns * FLOOR)))
    return levels


def order_statistics(
    levels: Mapping[str, Float[np.ndarray, " b"]], ratios: Sequence[tuple[str, str]]
) -> Float[np.ndarray, " d"]:
    """`QUANTILES` over the blocks of each level, then of each difference of two levels (a ratio of energies).

    A flat but real area is sensor noise, which all filters pass alike; a refilled one is a smooth surface,
    which filters of higher order suppress. Their energies may agree, their ratios do not.
    """
    values = [*levels.values(), *(levels[above] - levels[below] for above, below in ratios)]
    found = np.empty((len(values), len(QUANTILES)))
    for blocks in {len(value) for value in values}:  # mostly one number: a call for all costs what a call for one does
        alike = [row for row, value in enumerate(values) if len(value) == blocks]
        found[alike] = np.quantile([values[row] for row in alike], QUANTILES, axis=1).T
    return found.ravel()


@dataclass(frozen=True)
class _PerImage:
    """Each image is cut from its padding and seen alone, so neither neighbours nor padding can matter."""

    taps: Mapping[str, Extractor]

    def __call__(self, batch: Batch, taps: Sequence[str]) -> "dict[str, Tensor]":
        import torch

        pixels = batch.pixels.permute(0, 2, 3, 1).cpu().numpy()
        images = [image[:h, :w] for image, (h, w) in zip(pixels, batch.sizes.tolist(), strict=True)]
        return {
            tap: torch.from_numpy(np.stack([self.taps[tap](image) for image in images]).astype(np.float32))
            for tap in taps
        }
