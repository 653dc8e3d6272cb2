"""`grad-cam`: Selvaraju et al. 2017, arXiv:1610.02391, of the probe's score, through Captum.

    α_c = mean over positions of ∂ score / ∂ A_c        map = max(0, Σ_c α_c A_c)

A is the last map that the score depends on (`network.find_layer`), with class tokens and registers left out. For a
binary probe the score is the log-odds of fake, whatever the image is called; for attribution that of the class that is
explained.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from probekit.arrays import Float
from probekit.saliency import methods
from probekit.saliency.linear import ProbeScore
from probekit.saliency.methods import Maps, Method, Scored
from probekit.saliency.network import Layer, Network, Shown, find_layer

if TYPE_CHECKING:
    from torch import Tensor


@methods.add("grad-cam")
class GradCam(Method):
    """Channels of the last map, weighted by how much the score grows with each."""

    title = "Grad-CAM"
    about = (
        "Channels of the last map weighted by how the score grows with each; what speaks against it is cut off at 0."
    )

    def explain(self, network: Network, shown: Shown, probes: Sequence[Sequence[ProbeScore]]) -> Maps:
        """Maps of at least 0.

        Raises:
            UsageError: no map of the network matters to the tap.
        """
        pixels = network.take(shown, [network.tap])
        layer = find_layer(network, pixels, shown)
        features = shown.means(network.features(pixels, shown, [network.tap])[network.tap])
        scored = Scored.of(probes, features)
        grids = []
        for own, chosen in zip(probes, scored.chosen, strict=True):
            picked = [probe.classes[number] for probe, number in zip(own, chosen, strict=True)]
            slopes = np.stack([one.gradient(x) for one, x in zip(picked, features, strict=True)])
            grids.append(_attribute(network, layer, pixels, shown, slopes[shown.owner]))
        maps = np.stack(grids).astype(np.float64)
        side = maps.shape[-1]
        maps[:, ~network.valid(pixels, shown, side)] = np.nan
        facts = {"layer": layer.title}
        cell = network.cell(pixels, side)
        return Maps(maps, cell, scored.scores, scored.biases, scored.chosen, scored.predicted, facts)


def _attribute(
    network: Network, layer: Layer, pixels: "Tensor", shown: Shown, slopes: Float[np.ndarray, "c d"]
) -> Float[np.ndarray, "c g g"]:
    """Captum's Grad-CAM of features · slopes, whose gradient is that of the score."""
    import torch
    from captum.attr import LayerGradCam

    lens = torch.nn.Identity()
    fixed = torch.from_numpy(slopes).to(pixels.device, torch.float32)

    def score(pixels: "Tensor") -> "Tensor":
        features = network.net.run(pixels, shown.batch.sizes, [network.tap])[network.tap]
        return (features * fixed).sum(1)

    hook = layer.through(lens)
    try:
        inputs = pixels.detach().clone().requires_grad_()
        found = LayerGradCam(score, lens).attribute(inputs, relu_attributions=True)
    finally:
        hook.remove()
    grids: Float[np.ndarray, "c g g"] = found.detach().float().cpu().numpy()[:, 0]
    return grids
