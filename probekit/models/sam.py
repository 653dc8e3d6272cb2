"""`sam`, `sam:vit_b`, `sam:vit_l`, `sam:vit_h`: the image encoder of Segment Anything at 1024 pixels.

Kirillov et al. 2023, arXiv:2304.02643.
"""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from probekit import models
from probekit.errors import UsageError, WeightsError
from probekit.models import Batch, FrozenModel, Model, ModelCard, Weights, weights
from probekit.models.taps import Foreign, Tap, TappedNetwork, normalise
from probekit.registry import unknown_name
from probekit.views import IMAGENET, View

if TYPE_CHECKING:
    import torch
    from torch import Tensor

URL = "https://dl.fbaipublicfiles.com/segment_anything/"
FILES = {"vit_b": "sam_vit_b_01ec64.pth", "vit_l": "sam_vit_l_0b3195.pth", "vit_h": "sam_vit_h_4b8939.pth"}
UNITS = {"vit_b": 8, "vit_l": 4, "vit_h": 2}  # images: about a minute of a small CPU


@models.add("sam")
def find_base(name: str, file: Path | None) -> Model:
    """The ViT-B encoder."""
    return _find(name, "vit_b", file)


@models.add("sam:")
def find(name: str, file: Path | None) -> Model:
    """The encoder of that size."""
    return _find(name, name.removeprefix("sam:"), file)


def _find(name: str, kind: str, file: Path | None) -> Model:
    import torch
    from segment_anything import sam_model_registry

    if kind not in sam_model_registry or kind == "default":
        raise unknown_name("size of sam", kind, set(sam_model_registry) - {"default"})
    if file is not None:
        source, path = "file", file
    elif kind in FILES:
        source = URL + FILES[kind]
        path = weights.from_url(name, source, md5=Path(source).stem.rpartition("_")[2])
    else:
        raise WeightsError(f"{name}: no weights are published for it. Give --weights {name}=FILE.")
    found = weights.measure(path)
    with torch.device("meta"):
        encoder = sam_model_registry[kind]().image_encoder
    side = encoder.img_size
    card = ModelCard(
        name=name,
        source=source,
        license="Apache-2.0",
        view=View("longest", resize=side, crop=side, interpolation="bilinear", normalize=IMAGENET),
        taps=_tapped(name, encoder.eval()).shapes(side),
        default_tap="mean",
        unit=UNITS.get(kind, 8),
        library="segment-anything",
    )
    return Model(card, found, partial(load, kind=kind))


def load(card: ModelCard, found: Weights, device: str, precision: str, *, kind: str) -> FrozenModel:
    """The encoder with its neck, without prompt encoder and mask decoder."""
    from segment_anything import sam_model_registry

    assert found.path is not None
    state = weights.part(weights.read(found.path), "image_encoder.", found.path)
    encoder = weights.fit(lambda: sam_model_registry[kind]().image_encoder, state, found.path, card.name)
    return _tapped(card.name, weights.place(encoder, device, precision))


def _tapped(name: str, encoder: Foreign) -> TappedNetwork:
    """`mean` and `patches` after the neck (256 channels), `mean@i`, `ln2@i` and `patches@i` of block i.

    Means are over valid positions only. Patches are all 64 × 64 positions, as the encoder gives them: where an image is
    not square, those on its right or below it are padding, and tell its aspect ratio.
    """
    patch = encoder.patch_embed.proj.kernel_size[0]

    def grid(out: "Tensor") -> "Tensor":
        return out.permute(0, 2, 3, 1)

    def mean(out: "Tensor", sizes: "Tensor") -> "Tensor":
        return mean_of_valid(out, sizes, patch)

    def patches(out: "Tensor", _: "Tensor") -> "Tensor":
        return out.flatten(1, 2)

    blocks = dict(enumerate(encoder.blocks))
    taps = {
        "mean": Tap(encoder, lambda out, sizes: mean(grid(out), sizes)),
        "patches": Tap(encoder, lambda out, sizes: patches(grid(out), sizes), tokens=True),
    }
    taps |= {f"mean@{i}": Tap(block, mean) for i, block in blocks.items()}
    taps |= {f"ln2@{i}": Tap(block.norm2, mean) for i, block in blocks.items()}
    taps |= {f"patches@{i}": Tap(block, patches, tokens=True) for i, block in blocks.items()}
    dtype = next(encoder.parameters()).dtype
    return TappedNetwork(name, encoder, taps, lambda batch: padded(name, batch, encoder.img_size, dtype))


def padded(name: str, batch: Batch, side: int, dtype: "torch.dtype") -> "Tensor":
    """Normalised crops with zeros (the mean colour) right and below up to `side` × `side`: SAM's own padding.

    Raises:
        UsageError: a crop is larger than `side`.
    """
    import torch

    heights, widths = batch.sizes.to(batch.pixels.device).unbind(1)
    if batch.sizes.max() > side:
        height, width = batch.sizes[batch.sizes.amax(1).argmax()].tolist()
        raise UsageError(f"{name} takes crops of at most {side} pixels, not {height} × {width}. Use --view longest.")
    pixels = normalise(batch.pixels[:, :, :side, :side], IMAGENET, torch.float32)
    rows = torch.arange(pixels.shape[2], device=pixels.device) < heights[:, None]  # (b, H)
    columns = torch.arange(pixels.shape[3], device=pixels.device) < widths[:, None]  # (b, W)
    inside = (rows[:, :, None] & columns[:, None, :])[:, None]  # (b, 1, H, W): whatever lies outside is not image
    pixels = torch.where(inside, pixels, 0)
    room = (0, side - pixels.shape[3], 0, side - pixels.shape[2])
    return torch.nn.functional.pad(pixels, room).to(dtype)


def mean_of_valid(grid: "Tensor", sizes: "Tensor", patch: int) -> "Tensor":
    """The mean over the positions whose whole patch is image: (b, h, w, c) → float32 (b, c).

    How many positions are padding depends on the aspect ratio alone, so a mean over them would tell it.
    """
    import torch

    kept = [(max(int(h) // patch, 1), max(int(w) // patch, 1)) for h, w in sizes]
    valid = [positions[:h, :w] for positions, (h, w) in zip(grid, kept, strict=True)]
    return torch.stack([positions.mean((0, 1), dtype=torch.float32) for positions in valid])
