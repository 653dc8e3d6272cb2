"""`decomposition`: the score of a linear probe on mean-pooled tokens as a sum over patches; exact.

    score = Σ_p share(z_p) / n + bias        (`probekit.saliency.linear`)

n is the number of patches that are averaged, over all crops of the image. The same holds for the mean of a
convolutional network's last map. It is the class activation map of Zhou et al. 2016 (arXiv:1512.04150) of such a probe.
"""

from collections.abc import Sequence

import numpy as np

from probekit.errors import ModelError, UsageError
from probekit.saliency import methods
from probekit.saliency.linear import ProbeScore
from probekit.saliency.methods import Maps, Method, Scored
from probekit.saliency.network import Network, Shown, grid_side

TOLERANCE = (
    1e-3  # of the largest feature: how far the mean of the tokens may be from the tap; float32 sums are far nearer
)


@methods.add("decomposition")
class Decomposition(Method):
    """What each patch adds to the score."""

    title = "Patch decomposition"
    about = "What each patch adds to the score: the map and the bias sum to it exactly."
    additive = True

    def explain(self, network: Network, shown: Shown, probes: Sequence[Sequence[ProbeScore]]) -> Maps:
        """Maps whose sum over all crops of an image is its score less the bias.

        Raises:
            UsageError: the tap is no mean of patches.
            ModelError: the tap is not the mean of its own tokens.
        """
        tap, tokens_tap = network.tap, network.tokens_tap
        if tokens_tap is None:
            raise UsageError(
                f"decomposition needs a mean of patch tokens or of a feature map, and {network.name} is none: use "
                "--method grad-cam, or ask mean or mean@i."
            )
        pixels = network.take(shown, [tap, tokens_tap])
        found = network.features(pixels, shown, [tap, tokens_tap])
        tokens = found[tokens_tap].astype(np.float64)
        side = grid_side(network.name, tokens.shape[1])
        valid = network.valid(pixels, shown, side)
        flat = valid.reshape(len(valid), -1)
        pooled = np.stack([own[keep].mean(axis=0) for own, keep in zip(tokens, flat, strict=True)])
        if np.abs(pooled - found[tap]).max() > TOLERANCE * np.abs(found[tap]).max():
            raise ModelError(f"{network.name} is not the mean of {tokens_tap}: use --method grad-cam.")
        features = shown.means(found[tap])
        scored = Scored.of(probes, features)
        grids = np.full((len(probes), *valid.shape), np.nan)
        for t, own in enumerate(probes):
            for crop, image in enumerate(shown.owner):
                score = own[image].classes[scored.chosen[t, image]]
                averaged = flat[crop].sum() * shown.counts[image]
                grids[t, crop][valid[crop]] = score.shares(tokens[crop, flat[crop]], features[image]) / averaged
        return Maps(grids, network.cell(pixels, side), scored.scores, scored.biases, scored.chosen, scored.predicted)
