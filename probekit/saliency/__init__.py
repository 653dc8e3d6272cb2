"""Saliency: where a probe looks, and how well that fits the masks of what was manipulated.

methods/          how a score is spread over patches: decomposition, grad-cam, rollout
linear.py         a fitted probe as one weight vector a class, and what a token adds to its score
network.py        the frozen network, opened: tokens, blocks, and the last map that matters
geometry.py       from the patches of a view's crops back to the pixels of the image
masks.py          what was manipulated
localisation.py   average precision, IoU and pointing game, beside a centre prior and chance
probing.py        which probes are explained, on which images
looking.py        images in, maps and scores out
result.py         the answer

The only package that uses Captum. It reads images and runs models, which stores know nothing of: a map needs the tokens
and gradients of each image, and these are far larger than features.
"""

from probekit.saliency.looking import BATCH_SIZE, choose, look, look_with
from probekit.saliency.result import ImageMap, SaliencyResult
from probekit.saliency.settings import LIMIT, TASKS, SaliencySettings

__all__ = [
    "BATCH_SIZE",
    "LIMIT",
    "TASKS",
    "ImageMap",
    "SaliencyResult",
    "SaliencySettings",
    "choose",
    "look",
    "look_with",
]
