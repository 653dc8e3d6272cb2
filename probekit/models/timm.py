"""`timm:NAME`: any image model of timm (Wightman 2019) that has pretrained weights or is given some."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit import models
from probekit.errors import ModelError, WeightsError
from probekit.models import FrozenModel, Model, ModelCard, Weights, weights
from probekit.models.taps import (
    Foreign,
    Tap,
    TappedNetwork,
    images_per_unit,
    mean_of_patches,
    square,
    token_taps,
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
        network = _create(name, arch)
    config: dict[str, Any] = network.pretrained_cfg
    if file is not None:
        source, found = "file", weights.measure(file)
    else:
        repo = config.get("hf_hub_id")
        if not repo:
            raise WeightsError(f"{name}: timm has no weights for it on a hub. Give --weights {name}=FILE.")
        files = [config["hf_hub_filename"]] if config.get("hf_hub_filename") else WEIGHT_FILES
        source, found = f"hf:{repo}", weights.measure(weights.from_hub(name, repo, files))
    view = _view(name, config)
    skeleton = _tapped(name, network.eval(), view)
    card = ModelCard(
        name=name,
        source=source,
        license=config.get("license") or "see its page",
        view=view,
        taps=skeleton.widths(config["input_size"][-1]),
        default_tap="pool",
        unit=images_per_unit(network),
    )
    return Model(card, found, partial(load, arch=arch))


def load(card: ModelCard, found: Weights, device: str, precision: str, *, arch: str) -> FrozenModel:
    """The model with the weights through timm's own conversion for its architecture, which may rename them.

    Raises:
        WeightsError: they do not fit, or only after being resampled, as timm does for another image size.
    """
    assert found.path is not None
    state = weights.read(found.path)
    for classifier in _classifiers(arch):  # of any number of classes: no tap reads it
        state = {key: value for key, value in state.items() if not key.startswith(f"{classifier}.")}
    overlay = {"state_dict": state, "num_classes": 0, "classifier": None}
    try:
        with _resampled() as resampled:
            network = _create(card.name, arch, pretrained=True, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError) as error:
        raise weights.misfit(found.path, card.name, error) from error
    if reason := _other_shape(state, network.state_dict(), resampled):
        raise weights.misfit(found.path, card.name, reason)
    network.pretrained_cfg.pop("state_dict", None)
    return _tapped(card.name, weights.place(network, device, precision), card.view)


def _create(name: str, arch: str, **options: object) -> Foreign:
    import timm

    base, _, tag = arch.partition(".")
    if not timm.is_model(base):
        raise unknown_name("timm model", base, timm.list_models())
    tags = [known.partition(".")[2] for known in timm.list_pretrained(base)] if tag else []
    if tag and tag not in tags:
        raise unknown_name(f"pretrained tag of timm:{base}", tag, tags)
    return timm.create_model(arch, num_classes=0, **options)


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


def _tapped(name: str, model: Foreign, view: View) -> TappedNetwork:
    """`pool`, timm's own embedding (the classifier's input); `mean`; `cls` and the blocks of tokens."""
    network = _features(model)
    config = model.pretrained_cfg
    taps = {"pool": Tap(network, lambda out, _: model.forward_head(out, pre_logits=True))}
    prefix = getattr(model, "num_prefix_tokens", None)
    if prefix is None:
        axes = (1, 2) if getattr(model, "output_fmt", "NCHW") == "NHWC" else (2, 3)
        taps["mean"] = Tap(network, lambda out, _: out.float().mean(axes))
    else:
        has_cls = getattr(model, "cls_token", None) is not None
        if has_cls:
            taps["cls"] = Tap(network, lambda out, _: out[:, 0])
        taps["mean"] = Tap(network, mean_of_patches(prefix))
        taps |= token_taps(model.blocks, prefix, has_cls)
    assert view.normalize is not None
    side = config["input_size"][-1] if config.get("fixed_input_size") else None
    dtype = next(model.parameters()).dtype
    return TappedNetwork(name, network, taps, square(name, view.normalize, dtype, side))


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


def _view(name: str, config: dict[str, Any]) -> View:
    """The preprocessing that timm evaluates the model with."""
    _, height, width = config["input_size"]
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
