"""`dinov2`: DINOv2 ViT-L/14, Oquab et al. 2023, arXiv:2304.07193, as packaged for transformers."""

from pathlib import Path
from typing import Any

from probekit import models
from probekit.models import Model, hf, weights
from probekit.views import IMAGENET, View

REPO = "facebook/dinov2-large"
CONFIG: dict[str, Any] = {
    "model_type": "dinov2",
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "mlp_ratio": 4,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-6,
    "layerscale_value": 1.0,
    "qkv_bias": True,
    "use_swiglu_ffn": False,
    "image_size": 518,
    "patch_size": 14,
    "num_channels": 3,
}
VIEW = View("resize", resize=256, crop=224, interpolation="bicubic", normalize=IMAGENET)


@models.add("dinov2")
def find(name: str, file: Path | None) -> Model:
    """DINOv2 ViT-L/14 with the final layer norm on `cls` and `mean`, as its authors evaluate it."""
    if file is None:
        path, source = weights.from_hub(name, REPO, hf.WEIGHT_FILES[:1]), f"hf:{REPO}"
    else:
        path, source = hf.weights_in(file) if file.is_dir() else file, "file"
    return hf.describe(name, CONFIG, VIEW, path=path, source=source, licence="Apache-2.0")
