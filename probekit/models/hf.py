"""`hf:REPO`: the vision models of transformers (ViT, DINOv2, DINOv3, CLIP and SigLIP towers, ConvNeXt …).

REPO is a repository of the Hugging Face hub or a folder on this machine. No code of a repository is run.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from probekit import models
from probekit.errors import ModelError, UsageError, WeightsError
from probekit.fingerprint import fingerprint
from probekit.models import FrozenModel, Model, ModelCard, Weights, weights
from probekit.models.blocks import Place, blocks_at, of_tokens, survey
from probekit.models.taps import (
    Foreign,
    Tap,
    TappedNetwork,
    Tokens,
    block_taps,
    final_taps,
    images_per_unit,
    map_taps,
    square,
)
from probekit.views import IMAGENET, Interpolation, Normalize, View

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module

WEIGHT_FILES = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
INTERPOLATIONS: dict[int, Interpolation] = {2: "bilinear", 3: "bicubic"}  # PIL's numbers
NOTES = ("transformers_version", "_name_or_path", "dtype", "torch_dtype", "architectures")  # change no number
CLS_WITHOUT_NORM = (
    "clip_vision_model",
    "metaclip_2_vision_model",
    "altclip_vision_model",
    "chinese_clip_vision_model",
)
"""Models whose last_hidden_state has not passed the final norm, `post_layernorm`, yet."""

NO_TOKENS = Tokens(prefix=0, has_cls=False)
PROJECTION = "visual_projection.weight"
"""What takes the pooled image into the space that CLIP and its kin share with text: (width there, width)."""


@models.add("hf:")
def find(name: str, file: Path | None) -> Model:
    """The vision model, or the vision tower, of that repository or folder."""
    repo = name.removeprefix("hf:")
    folder = _folder(repo, file)
    if folder is not None:
        config, preprocessor = folder / "config.json", folder / "preprocessor_config.json"
        path = file if file and file.is_file() else weights_in(folder)
    else:
        _check_repo(name, repo)
        config = weights.from_hub(name, repo, ["config.json"])
        preprocessor = weights.from_hub_if_any(name, repo, "preprocessor_config.json") or Path()
        path = file or _from_hub(name, repo)
    settings = _settings(config)
    side = _image_size(settings)
    view = view_of(name, json.loads(preprocessor.read_bytes())) if preprocessor.is_file() else default_view(side)
    source = "file" if folder or file else f"hf:{repo}"
    return describe(name, settings, view, path=path, source=source, licence="see its page")


def describe(name: str, settings: dict[str, Any], view: View, *, path: Path, source: str, licence: str) -> Model:
    """The model that these settings (a `config.json`) and these weights make."""
    import torch

    found = weights.measure(path)
    layout = layout_of(name, settings, view.crop or 224)
    shapes = weights.shapes(path)
    if not any("pooler." in key for key in shapes):
        layout = layout.without_untrained_pooler()
    projection = torch.empty(shapes[PROJECTION], device="meta") if PROJECTION in shapes and layout.pooler else None
    skeleton = _tapped(name, layout.network, layout, view, projection)
    card = ModelCard(
        name=name,
        source=source,
        license=licence,
        view=view,
        taps=skeleton.shapes(view.crop or 224),
        default_tap="cls" if layout.tokens.has_cls else "pooler" if layout.pooler else "mean",
        unit=images_per_unit(layout.network),
        library="transformers",
        settings={"config": fingerprint({k: v for k, v in settings.items() if k not in NOTES})},
    )
    return Model(card, found, partial(load, settings=settings))


def load(card: ModelCard, found: Weights, device: str, precision: str, *, settings: dict[str, Any]) -> FrozenModel:
    """The model with the weights through transformers' own renaming of old checkpoints."""
    import torch

    assert found.path is not None
    layout = layout_of(card.name, settings, card.view.crop or 224)
    state = weights.read(found.path)
    projection = state[PROJECTION] if "proj" in card.taps else None
    dtype = {"float32": torch.float32, "bfloat16": torch.bfloat16}[precision]
    with quiet():
        network, report = type(layout.network).from_pretrained(
            None,
            config=_vision(settings),
            state_dict=state,
            dtype=dtype,
            ignore_mismatched_sizes=True,  # so that the report names them; they are refused below
            output_loading_info=True,
        )
    layout = layout if "pooler" in card.taps else layout.without_untrained_pooler()
    _check(report, network, found.path, card.name, needs_pooler=layout.pooler)
    network = network.to(device).eval().requires_grad_(False)
    return _tapped(card.name, network, layout, card.view, None if projection is None else projection.to(device, dtype))


@dataclass(frozen=True)
class Layout:
    """What a run on the meta device tells of a model: costs no memory and no weights."""

    network: Foreign
    """The model on the meta device."""
    pooler: bool
    is_map: bool = False
    """It ends in a feature map (b, c, h, w), not in tokens."""
    tokens: Tokens = NO_TOKENS
    places: Mapping[int, Place] = field(default_factory=dict)
    """Of the blocks of tokens."""

    def without_untrained_pooler(self) -> "Layout":
        """The same without a `pooler` that has weights of its own: a checkpoint may lack them."""
        untrained = any(key.startswith("pooler.") for key in self.network.state_dict())
        return replace(self, pooler=self.pooler and not untrained)


def layout_of(name: str, settings: dict[str, Any], side: int) -> Layout:
    """How the model's output is laid out for crops of that side.

    Raises:
        ModelError: transformers has no such model, or it takes no images.
    """
    import torch
    from transformers import AutoModel

    config = _vision(settings)
    try:
        with torch.device("meta"), quiet():
            network = AutoModel.from_config(config, trust_remote_code=False).eval()
    except ValueError as error:
        raise ModelError(f"{name}: transformers cannot build a {config.model_type!r} model from it.") from error
    if network.main_input_name != "pixel_values":
        raise ModelError(f"{name}: a {config.model_type!r} model takes no images.")
    with torch.inference_mode():
        run = partial(network, torch.zeros(1, 3, side, side, device="meta"))
        output, places = survey(network, _blocks(network), run)
    hidden = output.last_hidden_state
    pooler = getattr(output, "pooler_output", None) is not None
    if hidden.ndim == 4:
        return Layout(network, pooler, is_map=True)
    length = hidden.shape[1]
    prefix = max(0, length - (side // int(config.patch_size)) ** 2)
    registers = getattr(config, "num_register_tokens", 0)
    tokens = Tokens(prefix, has_cls=prefix > registers, registers=registers if prefix else 0)
    return Layout(network, pooler, tokens=tokens, places=of_tokens(places, length, prefix))


def weights_in(folder: Path) -> Path:
    """The weights file of a folder as transformers saves it, or the index of its shards.

    Raises:
        WeightsError: it has none.
    """
    for file in WEIGHT_FILES:
        if (folder / file).is_file():
            return folder / file
    raise WeightsError(
        f"{folder}: has none of {', '.join(WEIGHT_FILES)}. Save the model there, or give --weights FILE."
    )


def view_of(name: str, preprocessing: dict[str, Any]) -> View:
    """The view that a `preprocessor_config.json` describes."""
    size, crop = preprocessing.get("size") or {}, preprocessing.get("crop_size") or {}
    size = {"shortest_edge": size} if isinstance(size, int) else size
    crop = {"height": crop, "width": crop} if isinstance(crop, int) else crop
    normalize = Normalize((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    if preprocessing.get("do_normalize", True):
        mean, std = (
            preprocessing.get("image_mean", IMAGENET.mean),
            preprocessing.get("image_std", IMAGENET.std),
        )
        normalize = Normalize(tuple(mean), tuple(std))
    interpolation = INTERPOLATIONS.get(preprocessing.get("resample", 3))
    if interpolation is None or not preprocessing.get("do_rescale", True):
        raise ModelError(f"{name}: its preprocessor_config.json asks for what no view here does.")
    if "shortest_edge" in size:
        edge = int(size["shortest_edge"])
        if percent := preprocessing.get("crop_pct"):  # ConvNeXt: the edge is that of the crop
            return View("resize", int(edge / percent), edge, interpolation, normalize)
        side = int(crop["height"]) if preprocessing.get("do_center_crop") and crop else edge
        return View("resize", edge, side, interpolation, normalize)
    if "height" in size and size["height"] == size.get("width"):
        side = int(size["height"])
        return View("squash", side, side, interpolation, normalize)
    raise ModelError(f"{name}: its preprocessor_config.json gives no square crop ({size}).")


def default_view(side: int) -> View:
    """For a folder without `preprocessor_config.json`: the central 7/8 with ImageNet's mean and deviation."""
    return View("resize", round(side * 8 / 7), side, "bicubic", IMAGENET)


@contextmanager
def quiet() -> "Iterator[None]":
    """Inside, transformers shows no progress bar and no report of its own: what matters is raised."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    logging.get_logger("transformers.modeling_utils").disabled = True
    try:
        yield
    finally:
        logging.get_logger("transformers.modeling_utils").disabled = False
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _tapped(name: str, network: Foreign, layout: Layout, view: View, projection: "Tensor | None") -> TappedNetwork:
    """Tokens and their blocks, or the mean of a feature map; `pooler` and `proj` where there is one.

    `proj` is what `get_image_features` gives, not L2-normalised.
    """
    import torch

    if layout.is_map:
        taps = map_taps(network, lambda out: out.last_hidden_state.permute(0, 2, 3, 1))
    else:
        norm = network.post_layernorm if network.config.model_type in CLS_WITHOUT_NORM else lambda hidden: hidden
        taps = final_taps(network, layout.tokens, lambda out: out.last_hidden_state, norm=norm)
        taps |= block_taps(blocks_at(network, layout.places), layout.tokens)
    if layout.pooler:
        taps["pooler"] = Tap(network, lambda out, _: out.pooler_output.flatten(1))
    if projection is not None:
        taps["proj"] = Tap(network, lambda out, _: torch.nn.functional.linear(out.pooler_output, projection))
    any_size = layout.is_map or network.config.model_type.startswith("dinov")
    assert view.normalize is not None
    prepare = square(name, view.normalize, network.dtype, None if any_size else view.crop)
    return TappedNetwork(name, network, taps, prepare, token_side=view.crop or 224)


def _blocks(network: Foreign) -> "list[Module]":
    """The transformer blocks: the list of modules that is as long as the configuration says; else none."""
    from torch.nn import ModuleList

    depth = getattr(network.config, "num_hidden_layers", None)
    lists = [module for module in network.modules() if isinstance(module, ModuleList) and len(module) == depth]
    return list(lists[0]) if lists else []


def _check(report: dict[str, Any], network: Foreign, path: Path, model: str, needs_pooler: bool) -> None:
    """Heads and text towers may be left over in the file; the vision model must match name for name."""
    missing = sorted(k for k in report["missing_keys"] if needs_pooler or not k.startswith("pooler."))
    mismatched = sorted(str(entry[0]) for entry in report["mismatched_keys"])
    own = {key.partition(".")[0] for key in network.state_dict()}
    base = f"{network.base_model_prefix}."
    unexpected = sorted(k for k in report["unexpected_keys"] if k.removeprefix(base).partition(".")[0] in own)
    for what, keys in (("missing", missing), ("of another shape", mismatched), ("unexpected", unexpected)):
        if keys:
            raise weights.misfit(path, model, f"{what} are {', '.join(keys[:3])}{' …' if len(keys) > 3 else ''}")


def _folder(repo: str, file: Path | None) -> Path | None:
    """The folder on this machine that holds the configuration, if there is one."""
    if file is not None:
        folder = file if file.is_dir() else file.parent
        if file.is_dir() or (folder / "config.json").is_file():
            return folder
    return Path(repo) if Path(repo).is_dir() else None


def _check_repo(name: str, repo: str) -> None:
    """Nothing, if the hub could have a repository of that name.

    Raises:
        UsageError: it could not, and there is no such folder either.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not in its __all__

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UsageError(
            f"{name}: {repo!r} is no folder here, and no repository can be called so: "
            "give an existing folder, or OWNER/NAME as in hf:facebook/dinov2-base."
        ) from error


def _from_hub(name: str, repo: str) -> Path:
    path = weights.from_hub(name, repo, WEIGHT_FILES)
    if path.name.endswith(".index.json"):
        for file in weights.shards(path):
            weights.from_hub(name, repo, [file.name])
    return path


def _settings(config: Path) -> dict[str, Any]:
    """The content of a `config.json`.

    Raises:
        WeightsError: it is missing or not a configuration of transformers.
    """
    try:
        settings = json.loads(config.read_bytes())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{config}: cannot be read as a transformers configuration ({error}).") from error
    if not isinstance(settings, dict) or "model_type" not in settings:
        raise WeightsError(f"{config}: has no 'model_type', so it is no transformers configuration.")
    return settings


def _image_size(settings: dict[str, Any]) -> int:
    size = getattr(_vision(settings), "image_size", None) or 224
    return int(size if isinstance(size, int) else size[0])


def _vision(settings: dict[str, Any]) -> Foreign:
    """The configuration object, of the vision tower where the model has several."""
    from transformers import AutoConfig

    try:
        with quiet():
            config = AutoConfig.for_model(**settings)
    except ValueError as error:
        raise ModelError(
            f"transformers knows no model of type {settings['model_type']!r}. Is it recent enough?"
        ) from error
    return getattr(config, "vision_config", config)
