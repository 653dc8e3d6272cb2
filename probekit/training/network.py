"""The network that is trained: timm's, with a linear classifier, a projector for contrastive losses, or both."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from probekit.arrays import Labels
from probekit.errors import ModelError, UsageError
from probekit.models import Batch, Weights, timm, tuned
from probekit.models.taps import Foreign, Prepare
from probekit.training import lora, losses, mixing
from probekit.training.draws import number_for
from probekit.training.settings import TrainSettings
from probekit.views import View

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.nn import Module

PROJECTED = 128
"""Columns that a contrastive loss sees, as in Khosla et al. 2020."""
CLOSE = 1e-3  # relatively, of logits and what the classifier says of `pool`


@dataclass(frozen=True)
class Design:
    """Everything about a network but its weights."""

    name: str
    """For errors: `timm:xception41`."""
    arch: str
    settings: TrainSettings
    classes: int
    view: View
    options: Mapping[str, Any]
    """For `timm.create_model`: what its architecture must know of the size of the images."""
    fixed_side: int | None
    """The only size that it takes, of a network that takes one."""
    start: Weights | None
    """None: random."""
    source: str
    """Of these weights."""

    @classmethod
    def of(cls, settings: TrainSettings, classes: int, file: Path | None) -> "Design":
        """The design that the settings ask for, its weights found.

        Raises:
            UnknownNameError: timm has no such network.
            UsageError: it cannot be built for that size, or weights were given for random ones.
            WeightsError: they cannot be had.
        """
        settings.check_start(file)
        import torch

        arch = settings.arch
        name = f"timm:{arch}"
        with torch.device("meta"):
            config: dict[str, Any] = timm.create(name, arch).pretrained_cfg
        fixed, usual = bool(config.get("fixed_input_size")), config["input_size"][-1]
        options = {"img_size": settings.size} if fixed and settings.size not in (None, usual) else {}
        view = timm.view_of(name, config, settings.size)
        view = view.with_policy(settings.view) if settings.view else view
        source, start = ("random weights", None) if settings.scratch else timm.locate(name, config, file)
        side = view.crop if fixed else None
        design = cls(name, arch, settings, classes, view, options, side, start, source)
        design.check()
        return design

    def check(self) -> None:
        """Nothing, if the network can be built, takes images of that size, and has the head that is needed.

        Raises:
            UsageError: it cannot, or does not.
            ModelError: its classifier is not linear in its embedding.
        """
        import torch

        side = self.side
        try:
            with torch.device("meta"), torch.no_grad():
                built = timm.create(self.name, self.arch, num_classes=self.classes, **self.options).eval()
                built.forward_features(torch.zeros(1, 3, side, side))
                bare = timm.create(self.name, self.arch, **self.options)
        except (AssertionError, TypeError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160] or type(error).__name__
            raise UsageError(f"{self.arch} cannot be built for images of {side} × {side} ({reason}).") from error
        head = head_names(built)
        if head is None or set(built.state_dict()) - set(head) != set(bare.state_dict()):
            raise ModelError(
                f"{self.arch}: its classifier is more than one linear map of its embedding, so it cannot be judged as "
                "a probe: choose another network."
            )

    @property
    def side(self) -> int:
        """Pixels of an image along each side."""
        assert self.view.crop is not None  # every policy of `VIEWS` has one
        return self.view.crop

    @property
    def tuned_arch(self) -> str:
        """Timm's name without the tag of the weights that it started from."""
        return self.arch.partition(".")[0]


def head_names(network: Foreign) -> tuple[str, str] | None:
    """Names of the classifier's weight and bias; None of one that is not a linear map with a bias."""
    import torch

    head = network.get_classifier()
    if not isinstance(head, torch.nn.Linear) or head.bias is None:
        return None
    (name,) = (name for name, module in network.named_modules() if module is head)
    return f"{name}.weight", f"{name}.bias"


class Trainee:
    """The network with what is trained beside it, on its device."""

    def __init__(self, design: Design, device: str) -> None:
        self.design, self.device = design, device
        settings = design.settings
        with seeded(number_for("start", settings.seed, bits=32)):
            self.network: Foreign = _built(design)
            width = _width_of_pool(self.network, design)
            self.projector = None if settings.loss == "ce" else _projector(width)
            if settings.lora:
                lora.insert(self.network, settings.lora, design.arch)
                if settings.has_head:
                    self.network.get_classifier().requires_grad_(True)
        self.module = _together(self.network, self.projector).to(device)

    @property
    def parameters(self) -> "list[torch.nn.Parameter]":
        """Those that are trained."""
        return [parameter for parameter in self.module.parameters() if parameter.requires_grad]

    def loss(self, pixels: "Tensor", numbers: Labels, makers: Labels, draw: np.random.Generator | None) -> "Tensor":
        """What is to be lowered, of one batch; without a generator nothing is mixed.

        Args:
            pixels: uint8 (b, 3, h, w) on the CPU.
            numbers: class of each image.
            makers: number of the generator of each.
            draw: of this step.
        """
        import torch

        settings = self.design.settings
        classes = torch.from_numpy(np.ascontiguousarray(numbers)).to(self.device)
        with self._autocast():
            rows = self.embed(pixels)
            mixed = self._mix(rows, classes, makers, draw)
            logits = self.network.get_classifier()(mixed.rows) if settings.has_head else None
            projected = self.projector(rows) if self.projector is not None else None
        return losses.of(settings.loss, logits, mixed, projected, classes)

    def judge(self, pixels: "Tensor", numbers: Labels, makers: Labels) -> tuple[float, int]:
        """The loss of one batch, and how many of its images the classifier calls rightly; -1 without one."""
        import torch

        with torch.no_grad():
            loss = float(self.loss(pixels, numbers, makers, None))
            if not self.design.settings.has_head:
                return loss, -1
            with self._autocast():
                called = self.network.get_classifier()(self.embed(pixels)).argmax(1).cpu().numpy()
        return loss, int(np.sum(called == numbers))

    def embed(self, pixels: "Tensor") -> "Tensor":
        """`pool` of uint8 crops."""
        taken = self._prepare(_batch(pixels, self.device))
        rows: Tensor = self.network.forward_head(self.network.forward_features(taken), pre_logits=True)
        return rows

    @property
    def _prepare(self) -> Prepare:
        import torch

        design = self.design
        assert design.view.normalize is not None
        return tuned.prepare_for(
            design.settings.input, design.name, design.view.normalize, torch.float32, design.fixed_side
        )

    def _mix(self, rows: "Tensor", classes: "Tensor", makers: Labels, draw: np.random.Generator | None) -> mixing.Mixed:
        match self.design.settings.mix if draw is not None else "none":
            case "repmix":
                assert draw is not None
                return mixing.repmix(rows, classes, draw)
            case "latent":
                assert draw is not None
                return mixing.latent(rows, classes, makers, self.design.classes == 2, draw)
            case _:
                return mixing.unmixed(rows, classes)

    def _autocast(self) -> "torch.autocast":
        import torch

        kind = self.device.partition(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=self.design.settings.precision == "bfloat16")

    def finished(self) -> "dict[str, Tensor]":
        """The tensors of the network alone, under timm's names, on the CPU; it cannot be trained afterwards."""
        if self.design.settings.lora:
            lora.merge(self.network)
        return {name: values.detach().cpu().contiguous().clone() for name, values in self.network.state_dict().items()}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch draws from this seed inside, and goes on as before afterwards."""
    import torch

    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(seed)
        yield


def _built(design: Design) -> Foreign:
    classes = design.classes if design.settings.has_head else 0
    built = timm.create(design.name, design.arch, num_classes=classes, **design.options)
    if design.start is not None:
        assert design.start.path is not None
        resample = bool(design.options)  # for another size it is what was asked for
        taught = timm.with_weights(design.name, design.arch, design.start.path, resample=resample, **design.options)
        built.load_state_dict(taught.state_dict(), strict=False)  # all but the head, as `Design.check` saw
    return built


def _width_of_pool(network: Foreign, design: Design) -> int:
    """Columns of `pool`, of which the classifier makes the logits.

    Raises:
        ModelError: it does not.
    """
    import torch

    side = design.side
    network.eval()
    with torch.no_grad():
        features = network.forward_features(torch.randn(2, 3, side, side))
        rows = network.forward_head(features, pre_logits=True)
        linear = rows.ndim == 2
        if linear and design.settings.has_head:
            logits = network.forward_head(features)
            found = network.get_classifier()(rows)
            linear = bool(torch.allclose(found, logits, rtol=CLOSE, atol=CLOSE * float(logits.abs().max())))
    if not linear:
        raise ModelError(
            f"{design.arch}: its logits are not its classifier's of its embedding: choose another network."
        )
    return int(rows.shape[1])


def _projector(width: int) -> "Module":
    """One hidden layer, gone after training, as in Khosla et al. 2020, § 3.1."""
    from torch import nn

    return nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, PROJECTED))


def _together(network: "Module", projector: "Module | None") -> "Module":
    from torch import nn

    return nn.ModuleDict({"network": network} | ({"projector": projector} if projector is not None else {}))


def _batch(pixels: "Tensor", device: str) -> Batch:
    import torch

    sizes = torch.tensor([pixels.shape[-2:]] * len(pixels))
    return Batch(pixels.to(device, non_blocking=True), sizes)
