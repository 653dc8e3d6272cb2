"""ClipBased-SyntheticImageDetection: Cozzolino et al. 2024 (CVPR workshops), arXiv:2312.00195; `clipdet_*/weights.pth`.

One linear layer on the L2-normalised class token, after the final norm and before the projection (1024 numbers), of
open_clip's ViT-L/14 trained on CommonPool-XL. The shorter side is resized to 224, then the central 224 × 224 pixels
count. The score is a log-likelihood ratio; of two outputs it is the second less the first.
"""

from collections.abc import Collection

from probekit import heads
from probekit.errors import ProbeError
from probekit.heads.linear import linear
from probekit.views import OPENAI_CLIP, View

WIDTH = 1024
MODEL = "open_clip:ViT-L-14/commonpool_xl_s13b_b90k"


@heads.add("grip")
class ClipBased(heads.Format):
    """The state dictionary of a network whose only own layer is `fc`."""

    needs = f"fc.weight [1 or 2, {WIDTH}], fc.bias [1 or 2]"

    def recognises(self, names: Collection[str]) -> bool:
        """By the two names of a network's last layer."""
        return set(names) == {"fc.weight", "fc.bias"}

    def read(self, file: heads.ProbeFile) -> heads.Head:
        """The linear head on the normalised `cls`."""
        outputs = int(file.tensors["fc.bias"].numel())
        if outputs not in (1, 2):
            raise ProbeError(f"{file.path}: fc has {outputs} outputs, expected 1 or 2 ({self.needs}).")
        weight, bias = file.array("fc.weight", (outputs, WIDTH)), file.array("fc.bias", (outputs,))
        if outputs == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        return heads.Head(
            name="grip",
            title="ClipBased-SyntheticImageDetection (Cozzolino et al. 2024)",
            models=(MODEL,),
            widths={"cls": WIDTH},
            taps_option="cls",
            view=View("resize", resize=224, crop=224, interpolation="bicubic", normalize=OPENAI_CLIP),
            condition="l2",
            kind="llr",
            path=file.path,
            sha256=file.sha256,
            score=linear("cls", weight[0], float(bias[0]), "l2"),
        )
