"""`tuned:NAME`: a network that `probekit finetune` trained, from the folder that it left.

    NAME/network.safetensors   weights under timm's own names, its classifier among them where it has one
    NAME/network.json          architecture, classes, how pixels reach it, settings and record of the training

The folder is found in the cache, `networks/NAME`, by whoever has one (`locate`), or given as weights. docs/finetune.md
describes both files for other programs.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from probekit import models
from probekit.errors import WeightsError
from probekit.fingerprint import JSONValue
from probekit.models import FrozenModel, Model, ModelCard, Weights, timm, weights
from probekit.models.taps import Foreign, Prepare, TappedNetwork, images_per_unit, square
from probekit.paths import AnyPath, on_disk
from probekit.registry import nearest, one_of
from probekit.views import Normalize, View

if TYPE_CHECKING:
    import torch
    from torch import Tensor

FAMILY = "tuned:"
FOLDER = "networks"
"""In a cache."""
TENSORS, DESCRIPTION = "network.safetensors", "network.json"
KIND, FORMAT = "probekit network", 1
OPTIONS = ("img_size",)
"""For `timm.create_model`: all that a training writes."""

Input = Literal["rgb", "npr"]
INPUTS: tuple[Input, ...] = ("rgb", "npr")
NPR_SCALE = 2 / 3  # Tan et al. 2024, arXiv:2312.10461, as their code has it


@dataclass(frozen=True, eq=False)
class Network:
    """A trained network as its folder describes it, before its weights are read."""

    folder: Path
    arch: str
    """timm's name, without a tag."""
    options: Mapping[str, Any]
    """For `timm.create_model`, beside the number of classes."""
    task: Literal["binary", "attribution"]
    classes: tuple[str, ...]
    """In the order of the classifier's rows, `real` first."""
    input: Input
    view: View
    head: tuple[str, str] | None
    """Names of the classifier's weight and bias among the tensors; None of a network without one."""
    sha256: str
    """Of the file of tensors."""
    settings: Mapping[str, JSONValue]
    training: Mapping[str, Any]
    """How it was trained, on what, and how well that went."""

    @property
    def model(self) -> str:
        """What it is called after --model."""
        return FAMILY + self.folder.name

    @property
    def tensors(self) -> Path:
        """The file of tensors."""
        return self.folder / TENSORS

    @property
    def card_settings(self) -> dict[str, object]:
        """What decides its features beside weights and view."""
        return {"arch": self.arch, "options": dict(self.options), "input": self.input}


@models.add(FAMILY)
def find(name: str, folder: Path | None) -> Model:
    """The trained network of that name, without its classifier."""
    import torch

    if folder is None:
        raise WeightsError(
            f"{name}: which folder? Networks are looked for in {FOLDER} of the --cache; of another place give "
            f"--weights {name}=FOLDER."
        )
    network = read(folder, name)
    found = weights.measure(network.tensors)
    if found.sha256 != network.sha256:
        raise WeightsError(
            f"{network.tensors}: not the weights that {DESCRIPTION} was written with: copy both files again."
        )
    with torch.device("meta"):
        skeleton = timm.create(name, network.arch, **network.options).eval()  # options: `OPTIONS` alone, checked
    side = network.view.crop or 0
    layout = timm.layout_of(skeleton, side)
    card = ModelCard(
        name=name,
        source="finetune",
        license=skeleton.pretrained_cfg.get("license") or "see the page of its architecture",
        view=network.view,
        taps=_tapped(name, skeleton, network, layout).shapes(side),
        default_tap="pool",
        unit=images_per_unit(skeleton),
        settings=network.card_settings,
    )
    return Model(card, found, partial(load, network=network, layout=layout))


def load(
    card: ModelCard, found: Weights, device: str, precision: str, *, network: Network, layout: timm.Layout
) -> FrozenModel:
    """The network with its weights as they are.

    Raises:
        WeightsError: they do not fit.
    """
    state = {key: value for key, value in weights.read(network.tensors).items() if key not in (network.head or ())}
    build = partial(timm.create, card.name, network.arch, **network.options)
    fitted = weights.fit(build, state, network.tensors, card.name)
    return _tapped(card.name, weights.place(fitted, device, precision), network, layout)


def read(folder: Path, name: str | None = None) -> Network:
    """What a folder says of the network in it.

    Args:
        folder: of the network.
        name: of the model, for errors.

    Raises:
        WeightsError: there is no such folder, or it describes no network.
    """
    path, name = folder / DESCRIPTION, name or FAMILY + folder.name
    try:
        return _described(folder, json.loads(path.read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError):
        known = names_in(folder.parent)
        there = f" There are {', '.join(known)}." if known else ""
        raise WeightsError(
            f"{name}: no trained network in {folder}.{nearest(folder.name, known)}{there} "
            "Train it with `probekit finetune`, or give its folder with --weights."
        ) from None
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise WeightsError(f"{path}: damaged ({type(error).__name__}: {error}): copy the folder again.") from error


def _described(folder: Path, record: Mapping[str, Any]) -> Network:
    """The network that a description is of; ValueError, KeyError, TypeError and AttributeError tell a damaged one.

    Raises:
        WeightsError: it is of another kind, or asks for more than a trained network needs.
    """
    path = folder / DESCRIPTION
    if record["kind"] != KIND or record["format"] > FORMAT:
        raise WeightsError(f"{path}: format {record['format']} of {record['kind']!r}: update probekit.")
    view = dict(record["view"])
    channels = view.pop("normalize")
    head = record["head"]
    return Network(
        folder=folder,
        arch=record["arch"],
        options=_checked(path, record["options"]),
        task=one_of("task", record["task"], ("binary", "attribution")),
        classes=tuple(record["classes"]),
        input=one_of("input", record["input"], INPUTS),
        view=View(**view, normalize=Normalize(tuple(channels["mean"]), tuple(channels["std"]))),
        head=(head["weight"], head["bias"]) if head else None,
        sha256=record["sha256"],
        settings=record["settings"],
        training=record["training"],
    )


def _checked(path: Path, options: Mapping[str, Any]) -> dict[str, int]:
    """The options, if they are of those that a training writes.

    Timm takes others as well, `checkpoint_path` and `pretrained_cfg` among them, which open files and fetch weights: a
    description that came from elsewhere must not reach them.

    Raises:
        WeightsError: they are not.
    """
    for name, value in options.items():
        if name not in OPTIONS or type(value) is not int or value < 1:
            known = ", ".join(f"{option}, a whole number" for option in OPTIONS)
            raise WeightsError(f"{path}: option {name!r} is {value!r}; a network has none but {known}: do not use it.")
    return dict(options)


def names_in(folder: Path) -> list[str]:
    """The networks in a folder of them."""
    return sorted(path.parent.name for path in folder.glob(f"[!.]*/{DESCRIPTION}"))


def locate(names: Iterable[str], cache: AnyPath) -> dict[str, Path]:
    """Model → folder in the cache, of those names that are trained networks, whether it exists or not."""
    found = [name for name in names if name.startswith(FAMILY) and name != FAMILY]
    return {name: folder_of(name.removeprefix(FAMILY), cache) for name in found}


def locate_all(cache: AnyPath) -> dict[str, Path]:
    """Model → folder of every trained network in the cache."""
    if not isinstance(cache, Path):  # none is kept in a bucket
        return {}
    return {FAMILY + name: folder_of(name, cache) for name in names_in(cache / FOLDER)}


def folder_of(name: str, cache: AnyPath) -> Path:
    """Where a network of that name is in the cache, or would be.

    Raises:
        UsageError: the cache is in a bucket, where no network is kept.
    """
    return on_disk(cache, "networks") / FOLDER / name


def prepare_for(input_: Input, name: str, normalize: Normalize, dtype: "torch.dtype", side: int | None) -> Prepare:
    """How the network takes its crops: normalised, or what NPR leaves of that."""
    whole = square(name, normalize, dtype, side)
    return whole if input_ == "rgb" else lambda batch: npr_map(whole(batch))


def npr_map(pixels: "Tensor") -> "Tensor":
    """(x − up(down(x, ½), nearest)) · ⅔ of (b, c, h, w): what the pixels of each 2 × 2 cell differ by from its first.

    Tan et al. 2024 (CVPR), arXiv:2312.10461, eq. 3. A last odd row or column is a cell of its own.
    """
    height, width = pixels.shape[-2:]
    first = pixels[..., ::2, ::2].repeat_interleave(2, -2).repeat_interleave(2, -1)
    return (pixels - first[..., :height, :width]) * NPR_SCALE


def _tapped(name: str, model: Foreign, network: Network, layout: timm.Layout) -> TappedNetwork:
    assert network.view.normalize is not None
    dtype = next(model.parameters()).dtype
    side = network.view.crop if model.pretrained_cfg.get("fixed_input_size") else None
    prepare = prepare_for(network.input, name, network.view.normalize, dtype, side)
    return timm.tapped(name, model, network.view, layout, prepare)
