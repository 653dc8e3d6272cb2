"""UniversalFakeDetect: Ojha, Li and Lee 2023 (CVPR), arXiv:2302.10174; `pretrained_weights/fc_weights.pth`.

One linear layer on `encode_image` of OpenAI's CLIP ViT-L/14, not L2-normalised, of the central 224 × 224 pixels
without any resizing. Its authors print sigmoid(w · x + b); fake is 1.
"""

from collections.abc import Collection

from probekit import heads
from probekit.heads.linear import linear
from probekit.views import OPENAI_CLIP, View

WIDTH = 768
MODELS = ("clip", "open_clip:ViT-L-14/openai", "open_clip:ViT-L-14-quickgelu/openai")
"""Names of one and the same network."""


@heads.add("ufd")
class UniversalFakeDetect(heads.Format):
    """The state dictionary of one `torch.nn.Linear(768, 1)`."""

    needs = f"weight [1, {WIDTH}], bias [1]"

    def recognises(self, names: Collection[str]) -> bool:
        """By the two names of a bare linear layer."""
        return set(names) == {"weight", "bias"}

    def read(self, file: heads.ProbeFile) -> heads.Head:
        """The linear head on `clip#proj`."""
        weight, bias = file.array("weight", (1, WIDTH)), file.array("bias", (1,))
        return heads.Head(
            name="ufd",
            title="UniversalFakeDetect (Ojha et al. 2023)",
            models=MODELS,
            widths={"proj": WIDTH},
            taps_option="proj",
            view=View("center", crop=224, normalize=OPENAI_CLIP),
            condition="raw",
            kind="logit",
            path=file.path,
            sha256=file.sha256,
            score=linear("proj", weight[0], float(bias[0]), "raw"),
        )
