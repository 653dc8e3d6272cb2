"""Augmentation: what is done to a training image before the network sees it, drawn from seed, epoch and image.

    blur   Gaussian with σ uniform in 0 … 3, for half of the images       as UniversalFakeDetect (Ojha et al. 2023) and
    jpeg   JPEG of a quality uniform in 30 … 100, for half of them        CNNDetection (Wang et al. 2020), in this order
    crop   the view's crop at a uniform place, not in the centre
    flip   left and right exchanged, for half of them

Blur and JPEG are those of `probekit.perturbations`, before the view resizes the image.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np

from probekit.perturbations import Operation
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 0.5
MOST_SIGMA = 3.0
QUALITIES = (30, 100)
LEAST_SIGMA = 0.125  # below it the kernel is a single pixel


def augmented(pixels: "Tensor", view: View, names: Collection[str], generator: np.random.Generator) -> "Tensor":
    """One crop of the augmented image, uint8 (3, h, w).

    Args:
        pixels: the image, uint8 (3, H, W) on the CPU; it is not changed.
        view: how pixels reach the network.
        names: of the augmentations.
        generator: of this image in this epoch; the draws of one augmentation do not depend on the others.

    Raises:
        ImageError: the image cannot be shown in this view.
    """
    blurs, sigma, compresses, quality, down, right, flips = generator.random(7)
    if "blur" in names and blurs < SHARE and sigma * MOST_SIGMA >= LEAST_SIGMA:
        pixels = Operation("blur", (("sigma", float(sigma * MOST_SIGMA)),)).apply(pixels, generator)
    if "jpeg" in names and compresses < SHARE:
        low, high = QUALITIES
        pixels = Operation("jpeg", (("", low + int(quality * (high - low + 1))),)).apply(pixels, generator)
    crop = view.crop_at(pixels, float(down), float(right)) if "crop" in names else view.crops(pixels)[0]
    return crop.flip(2).contiguous() if "flip" in names and flips < SHARE else crop
