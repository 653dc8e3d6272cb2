"""Tiny random networks of every library, opened as saliency opens them."""

import json
from functools import partial

import numpy as np
import open_clip
import segment_anything
import timm
import torch
import transformers
from safetensors.torch import save_file
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from probekit import models
from probekit.models import Batch, hf
from probekit.saliency.network import Network, Shown

TINY = {"num_attention_heads": 2, "image_size": 32, "patch_size": 8}
VIT = TINY | {"hidden_size": 32, "num_hidden_layers": 3, "intermediate_size": 64}
TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}
CLASSES = {
    "hf-vit": lambda: transformers.ViTModel(transformers.ViTConfig(**VIT)),
    "hf-dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**VIT)),
    "hf-registers": lambda: transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**VIT)),
    "hf-convnext": lambda: transformers.ConvNextModel(
        transformers.ConvNextConfig(image_size=64, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1])
    ),
}
TIMM = {"timm-vit": "vit_tiny_patch16_224", "timm-gap": "vit_wee_patch16_reg1_gap_256", "timm-cnn": "resnet18",
        "timm-swin": "swin_s3_tiny_224"}  # fmt: skip
TRANSFORMERS = ("timm-vit", "timm-gap", "hf-vit", "hf-dinov2", "hf-registers", "open-clip")
CONVOLUTIONS = ("timm-cnn", "timm-swin", "hf-convnext")
EVERY = (*TRANSFORMERS, *CONVOLUTIONS, "sam")


def loud(network):
    """The network in evaluation mode, with weights large enough to matter."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return network.eval()


def build_sam(checkpoint=None):
    """segment-anything's own classes at 64 pixels."""
    encoder = ImageEncoderViT(
        img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=16, qkv_bias=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=3, global_attn_indexes=(1,),
    )  # fmt: skip
    prompts = PromptEncoder(embed_dim=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4)
    transformer = TwoWayTransformer(depth=1, embedding_dim=16, mlp_dim=16, num_heads=2)
    decoder = MaskDecoder(transformer_dim=16, transformer=transformer, iou_head_depth=1, iou_head_hidden_dim=16)
    return Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


def found(kind, folder, patch):
    """The model, saved in its library's own format and found again."""
    torch.manual_seed(0)
    if kind in TIMM:
        save_file(timm.create_model(TIMM[kind], num_classes=3).eval().state_dict(), folder / "model.safetensors")
        return models.find(f"timm:{TIMM[kind]}", folder / "model.safetensors")
    if kind in CLASSES:
        with hf.quiet():
            loud(CLASSES[kind]()).save_pretrained(folder)
        if kind == "hf-convnext":
            (folder / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 64, "width": 64}}))
        return models.find(f"hf:{folder}")
    if kind == "open-clip":
        (folder / "salient.json").write_text(json.dumps(TINY_CLIP))
        open_clip.add_model_config(folder / "salient.json")
        save_file(loud(open_clip.CLIP(**TINY_CLIP)).state_dict(), folder / "clip.safetensors")
        return models.find("open_clip:salient", folder / "clip.safetensors")
    patch.setitem(segment_anything.sam_model_registry, "vit_tiny", build_sam)
    torch.save(loud(build_sam()).state_dict(), folder / "sam.pth")
    return models.find("sam:vit_tiny", folder / "sam.pth")


def network(model, tap):
    return Network(model.card, model.load("cpu", "float32"), tap, model.card.view, "cpu")


def crops(model, n=3, seed=0):
    """Seeded noise as the model takes it; of SAM, crops of different sizes."""
    side = model.card.view.crop
    sizes = [(side, side)] * n
    if model.card.name.startswith("sam"):
        sizes = [(side, side * 3 // 4), (side // 2, side), (side, side)][:n]
    pixels = np.zeros((n, 3, side, side), np.uint8)
    rng = np.random.default_rng(seed)
    for image, (height, width) in zip(pixels, sizes, strict=True):
        image[:, :height, :width] = rng.integers(0, 256, (3, height, width), dtype=np.uint8)
    return Shown(Batch(torch.from_numpy(pixels), torch.tensor(sizes)), np.arange(n))
