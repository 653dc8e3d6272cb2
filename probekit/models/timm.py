"""`timm:NAME`: any image model of timm (Wightman 2019) that has pretrained weights or is given some."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit import models
from probekit.errors import ModelError, WeightsError
from probekit.models import FrozenModel, Model, ModelCard, Weights, weights
from probekit.models.blocks import Place, blocks_at, of_tokens, survey
from probekit.models.taps import (
    Foreign,
    Prepare,
    Tap,
    TappedNetwork,
    Tokens,
    block_taps,
    final_taps,
    first,
    images_per_unit,
    map_taps,
    square,
)
from probekit.registry import unknown_name
from probekit.views import Interpolation, Normalize, Policy, View

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

WEIGHT_FILES = ("model.safetensors", "pytorch_model.bin")
POLICIES: dict[str, Policy] = {"center": "resize", "squash": "squash"}
INTERPOLATIONS: dict[str, Interpolation] = {
    "bicubic": "bicubic",
    "bilinear": "bilinear",
    "random": "bilinear",
}


@models.add("timm:")
def find(name: str, file: Path | None) -> Model:
    """The timm model of that name, without its classifier."""
    import torch

    arch = name.removeprefix("timm:")
    with torch.device("meta"):
        network = create(name, arch)
    config: dict[str, Any] = network.pretrained_cfg
    source, found = locate(name, config, file)
    view = view_of(name, config)
    layout = layout_of(network.eval(), config["input_size"][-1])
    skeleton = tapped(name, network, view, layout)
    card = ModelCard(
        name=name,
        source=source,
        license=config.get("license") or "see its page",
        view=view,
        taps=skeleton.shapes(config["input_size"][-1]),
        default_tap="pool",
        unit=images_per_unit(network),
        library="timm",
    )
    return Model(card, found, partial(load, arch=arch, layout=layout))


def load(card: ModelCard, found: Weights, device: str, precision: str, *, arch: str, layout: "Layout") -> FrozenModel:
    """The model with the weights through timm's own conversion for its architecture, which may rename them.

    Raises:
        WeightsError: they do not fit, or only after being resampled, as timm does for another image size.
    """
    assert found.path is not None
    network = with_weights(card.name, arch, found.path)
    return tapped(card.name, weights.place(network, device, precision), card.view, layout)


def locate(name: str, config: Mapping[str, Any], file: Path | None) -> tuple[str, Weights]:
    """Where the weights of a timm model come from, and the weights: a file's, else a hub's.

    Raises:
        WeightsError: they cannot be had.
    """
    if file is not None:
        return "file", weights.measure(file)
    repo = config.get("hf_hub_id")
    if not repo:
        raise WeightsError(f"{name}: timm has no weights for it on a hub. Give --weights {name}=FILE.")
    files = [config["hf_hub_filename"]] if config.get("hf_hub_filename") else WEIGHT_FILES
    return f"hf:{repo}", weights.measure(weights.from_hub(name, repo, files))


def with_weights(name: str, arch: str, path: Path, *, resample: bool = False, **options: object) -> Foreign:
    """Timm's network without its classifier, with the weights of a file through timm's own conversion.

    Args:
        name: of the model, for errors.
        arch: timm's name.
        path: of the weights.
        resample: let timm interpolate what depends on the size of the image.
        options: for `timm.create_model`.

    Raises:
        WeightsError: they do not fit, or only after being resampled, unless that is asked for.
    """
    state = weights.read(path)
    for classifier in _classifiers(arch):  # of any number of classes: no tap reads it
        state = {key: value for key, value in state.items() if not key.startswith(f"{classifier}.")}
    overlay = {"state_dict": state, "num_classes": 0, "classifier": None}
    try:
        with _resampled() as resampled:
            network = create(name, arch, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except (RuntimeError, KeyError) as error:
        raise weights.misfit(path, name, error) from error
    if not resample and (reason := _other_shape(state, network.state_dict(), resampled)):
        raise weights.misfit(path, name, reason)
    network.pretrained_cfg.pop("state_dict", None)
    return network


def create(name: str, arch: str, **options: object) -> Foreign:
    """Timm's network of that name, random, without a classifier unless `options` say otherwise.

    Raises:
        UnknownNameError: timm has no such model or tag.
    """
    import timm

    base, _, tag = arch.partition(".")
    if not timm.is_model(base):
        raise unknown_name("timm model", base, timm.list_models())
    tags = [known.partition(".")[2] for known in timm.list_pretrained(base)] if tag else []
    if tag and tag not in tags:
        raise unknown_name(f"pretrained tag of timm:{base}", tag, tags)
    return timm.create_model(arch, **{"num_classes": 0} | options)


@contextmanager
def _resampled() -> "Iterator[list[tuple[int, ...]]]":
    """Filled with the shape of every tensor that is interpolated inside: timm does so without a word."""
    import torch
    from torch.overrides import TorchFunctionMode

    shapes: list[tuple[int, ...]] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, function: Foreign, types: Foreign, args: Foreign = (), kwargs: Foreign = None
        ) -> Foreign:
            if function is torch.nn.functional.interpolate:
                shapes.append(tuple(args[0].shape))
            return function(*args, **(kwargs or {}))

    with Watch():
        yield shapes


def _other_shape(state: "dict[str, Tensor]", own: "dict[str, Tensor]", resampled: list[tuple[int, ...]]) -> str:
    """Which tensor was resampled to fit, and from which shape to which; '' if none was.

    Tables of relative positions are resampled by timm's own arithmetic, which cannot be watched.
    """
    other = [name for name in own if name in state and own[name].numel() != state[name].numel()]
    if not resampled:
        other = [name for name in other if name.endswith("relative_position_bias_table")]
    if other:
        found, wanted = tuple(state[other[0]].shape), tuple(own[other[0]].shape)
        return f"{other[0]} is {found}, not {wanted}. Name the model that the file was saved from."
    if resampled:
        return f"a tensor of shape {resampled[0]} is of another size. Name the model that the file was saved from."
    return ""


def _classifiers(arch: str) -> tuple[str, ...]:
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(arch)
    names = config.classifier if config else None
    return (names,) if isinstance(names, str) else tuple(names or ())


@dataclass(frozen=True)
class Layout:
    """What a run on the meta device tells of a model."""

    shape: tuple[int, ...]
    """Of what `forward_features` gives for one image."""
    tokens: Tokens
    places: Mapping[int, Place]


def layout_of(model: Foreign, side: int) -> Layout:
    """How the features of a model on the meta device are laid out, for images of side × side pixels."""
    import torch

    prefix = getattr(model, "num_prefix_tokens", 0)
    registers = getattr(model, "reg_token", None)
    tokens = Tokens(
        prefix,
        has_cls=prefix > 0 and getattr(model, "cls_token", None) is not None,
        registers=0 if registers is None else registers.shape[1],
    )
    blocks = getattr(model, "blocks", None)
    listed = list(blocks) if isinstance(blocks, (torch.nn.ModuleList, torch.nn.Sequential)) else []
    with torch.inference_mode():
        features, places = survey(
            model, listed, lambda: model.forward_features(torch.zeros(1, 3, side, side, device="meta"))
        )
    shape = tuple(features.shape[1:])
    return Layout(shape, tokens, of_tokens(places, shape[0], prefix) if len(shape) == 2 else {})


def tapped(name: str, model: Foreign, view: View, layout: Layout, prepare: Prepare | None = None) -> TappedNetwork:
    """`pool`, timm's own embedding (the classifier's input); tokens and their blocks, or the mean of a feature map.

    What is final is what `forward_features` gives: models that norm after pooling have not done so there.

    Args:
        name: of the model.
        model: timm's.
        view: how pixels reach it.
        layout: of its features.
        prepare: makes its input, where that is not the normalised pixels.
    """
    network = _features(model)
    config = model.pretrained_cfg
    taps = {"pool": Tap(network, lambda out, _: model.forward_head(out, pre_logits=True))}
    if len(layout.shape) == 2:
        taps |= final_taps(network, layout.tokens, first, norm=lambda tokens: tokens)
        taps |= block_taps(blocks_at(model, layout.places), layout.tokens)
    elif len(layout.shape) == 3:
        axes = (0, 1, 2, 3) if getattr(model, "output_fmt", "NCHW") == "NHWC" else (0, 2, 3, 1)
        taps |= map_taps(network, lambda out: out.permute(axes))
    assert view.normalize is not None
    side = config["input_size"][-1] if config.get("fixed_input_size") else None
    dtype = next(model.parameters()).dtype
    prepare = prepare or square(name, view.normalize, dtype, side)
    return TappedNetwork(name, network, taps, prepare, token_side=view.crop)


def _features(model: Foreign) -> "Module":
    """A module whose forward pass is the model's `forward_features`, so that hooks see it."""
    from torch.nn import Module

    class Features(Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixels: "Tensor") -> "Tensor":
            features: Tensor = self.model.forward_features(pixels)
            return features

    return Features().eval()


def view_of(name: str, config: Mapping[str, Any], size: int | None = None) -> View:
    """The preprocessing that timm evaluates the model with, for images of another size if one is given."""
    _, height, width = (3, size, size) if size else config["input_size"]
    mode, interpolation = config.get("crop_mode") or "center", config["interpolation"]
    if height != width or mode not in POLICIES:
        raise ModelError(f"{name}: its preprocessing ({height} × {width}, {mode}) has no view here.")
    return View(
        POLICIES[mode],
        resize=math.floor(height / config["crop_pct"]),
        crop=height,
        interpolation=INTERPOLATIONS[interpolation],
        normalize=Normalize(tuple(config["mean"]), tuple(config["std"])),
    )
