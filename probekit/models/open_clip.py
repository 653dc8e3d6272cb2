"""`open_clip:ARCH/PRETRAINED`: the image towers of open_clip (Ilharco et al. 2021)."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit import models
from probekit.errors import ModelError, UsageError, WeightsError
from probekit.models import FrozenModel, Model, ModelCard, Weights, weights
from probekit.models.taps import (
    Block,
    Foreign,
    Tap,
    TappedNetwork,
    Tokens,
    block_taps,
    final_taps,
    first,
    images_per_unit,
    square,
)
from probekit.registry import unknown_name
from probekit.views import OPENAI_CLIP, Interpolation, Normalize, Policy, View

if TYPE_CHECKING:
    from torch.nn import Module

WEIGHT_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
OPENAI_ONLY = {
    "input_resolution",
    "context_length",
    "vocab_size",
}  # what else OpenAI's state dictionaries hold
POLICIES: dict[str, Policy] = {"shortest": "resize", "squash": "squash"}
INTERPOLATIONS: dict[str, Interpolation] = {"bicubic": "bicubic", "bilinear": "bilinear"}


@models.add("open_clip:")
def find(name: str, file: Path | None) -> Model:
    """The image tower of that architecture, with the weights of that tag or of the file."""
    arch, _, tag = name.removeprefix("open_clip:").partition("/")
    return find_tower(name, arch, tag, file)


def find_tower(name: str, arch: str, tag: str, file: Path | None) -> Model:
    """The model under another name too, as `clip`.

    The tag says how the weights were trained (QuickGELU or not, mean, deviation), wherever they come from.
    """
    config, recipe = _architecture(name, arch), _recipe(name, arch, tag, file)
    quick_gelu = bool(config.get("quick_gelu") or recipe.get("quick_gelu"))
    if file is not None:
        source, found = "file", weights.measure(file)
    else:
        repo, _, given = str(recipe.get("hf_hub", "")).rpartition("/")
        if not repo:
            raise WeightsError(f"{name}: its weights are not on the Hugging Face hub. Give --weights {name}=FILE.")
        files = [given.replace(".bin", ".safetensors"), given] if given else WEIGHT_FILES
        source, found = f"hf:{repo}", weights.measure(weights.from_hub(name, repo, files))
    view = _view(name, config["vision_cfg"], recipe)
    network = _skeleton(name, config, quick_gelu, view)
    card = ModelCard(
        name=name,
        source=source,
        license="MIT" if tag == "openai" else "see its page",
        view=view,
        taps=network.shapes(_side(name, config["vision_cfg"])),
        default_tap="proj",
        unit=images_per_unit(network.network),
        library="open_clip_torch",
        settings={"quick_gelu": quick_gelu},
    )
    return Model(card, found, partial(load, config=config))


def load(card: ModelCard, found: Weights, device: str, precision: str, *, config: dict[str, Any]) -> FrozenModel:
    """The tower with `proj` as `encode_image(normalize=False)` gives it."""
    assert found.path is not None
    quick_gelu = bool(card.settings["quick_gelu"])
    state = weights.read(found.path)
    if OPENAI_ONLY & set(state) and not quick_gelu:
        raise WeightsError(f"{found.path}: OpenAI's weights need QuickGELU. Name them open_clip:ARCH/openai.")
    tower = weights.part(state, "visual.", found.path)
    network = weights.fit(partial(_build, config, quick_gelu), tower, found.path, card.name)
    return _tapped(card.name, weights.place(network, device, precision), card.view)


def _build(config: dict[str, Any], quick_gelu: bool) -> "Module":
    """The image tower alone, as open_clip.CLIP builds it; create_model would build a text tower too."""
    from open_clip.model import _build_vision_tower

    tower: Module = _build_vision_tower(config["embed_dim"], dict(config["vision_cfg"]), quick_gelu)
    return tower


def _skeleton(name: str, config: dict[str, Any], quick_gelu: bool, view: View) -> TappedNetwork:
    import torch

    with torch.device("meta"):
        return _tapped(name, _build(config, quick_gelu).eval(), view)


def _tapped(name: str, network: Foreign, view: View) -> TappedNetwork:
    """`proj` of every tower, as it is put out; class token, patches and blocks of open_clip's own transformer."""
    taps = {"proj": Tap(network, lambda out, _: first(out))}
    if hasattr(network, "ln_post"):
        tokens = Tokens(prefix=1, has_cls=True)
        if network.attn_pool is None:
            taps |= final_taps(network.transformer, tokens, first, norm=network.ln_post)
        taps |= block_taps(dict(enumerate(Block(b, b.ln_2) for b in network.transformer.resblocks)), tokens)
    normalize = view.normalize or OPENAI_CLIP
    dtype = next(network.parameters()).dtype
    return TappedNetwork(name, network, taps, square(name, normalize, dtype, view.crop))


def _architecture(name: str, arch: str) -> dict[str, Any]:
    import open_clip

    config: dict[str, Any] | None = open_clip.get_model_config(arch) if ":" not in arch else None
    if config is None:
        raise unknown_name(f"architecture of {name}", arch, open_clip.list_models())
    return config


def _recipe(name: str, arch: str, tag: str, file: Path | None) -> dict[str, Any]:
    """What open_clip knows of the weights of that tag: where they are and how they were trained."""
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    recipe: dict[str, Any] = get_pretrained_cfg(arch, tag)
    tags: list[str] = open_clip.list_pretrained_tags_by_model(arch)
    if recipe or (file is not None and not tag and not tags):
        return recipe
    if tag:
        raise unknown_name(f"pretrained tag of open_clip:{arch}", tag, tags)
    how = "Even with --weights it says how they were trained: " if file else ""
    raise UsageError(f"{name}: name its weights as open_clip:{arch}/TAG. {how}{', '.join(tags) or 'give --weights'}.")


def _view(name: str, vision: dict[str, Any], recipe: dict[str, Any]) -> View:
    """open_clip's own preprocessing; its default (OpenAI's) where the weights have no recipe."""
    mode, interpolation = recipe.get("resize_mode", "shortest"), recipe.get("interpolation", "bicubic")
    if mode not in POLICIES or interpolation not in INTERPOLATIONS:
        raise ModelError(f"{name}: its preprocessing ({mode}, {interpolation}) has no view here.")
    mean, std = recipe.get("mean", OPENAI_CLIP.mean), recipe.get("std", OPENAI_CLIP.std)
    side = _side(name, vision)
    return View(
        POLICIES[mode],
        resize=side,
        crop=side,
        interpolation=INTERPOLATIONS[interpolation],
        normalize=_norm(mean, std),
    )


def _norm(mean: Foreign, std: Foreign) -> Normalize:
    return Normalize((mean[0], mean[1], mean[2]), (std[0], std[1], std[2]))


def _side(name: str, vision: dict[str, Any]) -> int:
    size = vision.get("image_size", 224)
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise ModelError(f"{name}: its crops of {height} × {width} are not square, which no view here gives.")
    return int(height)
