"""A target of an extraction: one model, its view and taps, and the store that they fill."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from probekit import models
from probekit.errors import ModelError
from probekit.fingerprint import plain_object
from probekit.models import compute
from probekit.models.requests import expand_taps
from probekit.paths import AnyPath
from probekit.store import Store, StoreSettings
from probekit.store.settings import NumberFormat
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = {"cpu": 32, "cuda": 128}
"""Crops in one forward pass of a new store, by the kind of device."""
UNIT = 256  # images that a process claims together where an image takes no time to speak of
COMPUTING = ("probekit", "torch", "torchvision")
"""Libraries whose version can change any feature; a model names the one of its own."""
GPU_SPEED = 16  # times a small CPU, at least: what is a minute's work there is more on a GPU


@dataclass(eq=False)
class Target:
    """One model at work; its store is open, its weights are read when the first image needs them."""

    model: models.Model
    taps: tuple[str, ...]
    view: View
    precision: str
    device: str
    batch_size: int
    """Crops in one forward pass; halved when the device has no memory for it."""
    store: Store
    compiled: bool = False
    sharing: "Target | None" = None
    """A target of the same model under another perturbation: the weights are in memory once."""
    seconds: float = field(default=0.0, init=False)
    """Time spent in forward passes."""
    computed: int = field(default=0, init=False)
    """Images that went through the model."""

    @cached_property
    def net(self) -> models.FrozenModel:
        """The loaded model."""
        if self.sharing is not None:
            return self.sharing.net
        return compute.load(self.model, self.device, self.precision, self.compiled)

    @property
    def unit(self) -> int:
        """Images that a process should claim together."""
        return self.model.card.unit if self.device == "cpu" else min(UNIT, GPU_SPEED * self.model.card.unit)

    @property
    def ahead(self) -> int:
        """Forward passes to start before the first of them is waited for."""
        return 0 if self.device == "cpu" else 1

    @property
    def libraries(self) -> tuple[str, ...]:
        """Those whose versions can change a feature of the target."""
        own = self.model.card.library
        return (*COMPUTING, own) if own else COMPUTING

    def require_same_versions(self, *, mixed: bool) -> str:
        """Nothing, if this process computes with what the store was written with; else what is different.

        Args:
            mixed: accept it, and let the store record it.

        Raises:
            StoreError: something is different and not accepted.
        """
        return self.store.admit(self.libraries, mixed=mixed)

    def launch(self, crops: "Sequence[Tensor]") -> compute.Launched:
        """The forward pass of at most `batch_size` crops, under way.

        Raises:
            MemoryError: the device has no room for so many, and a smaller number may fit: `batch_size` is halved now.
            ModelError: it has no room for a single one.
        """
        padded = list(crops)
        if not self.model.card.per_image:  # one batch shape, one rounding: features do not depend on what is left to do
            padded += [crops[-1]] * (self.batch_size - len(crops))
        net = self.net
        began = time.perf_counter()
        try:
            launched = compute.launch(net, padded, self.taps, self.device)
        except MemoryError as error:
            if self.batch_size == 1:
                height, width = crops[0].shape[1:]
                raise ModelError(
                    f"{self.model.card.name}: {self.device} has no memory for one crop of {width} × {height}: "
                    "choose a smaller --view, or --device cpu."
                ) from error
            self.batch_size //= 2
            raise
        self.seconds += time.perf_counter() - began
        return launched

    def width(self, tap: str) -> tuple[int, ...]:
        """Shape of one row of a tap, which a batch of failures alone cannot tell."""
        if tap in self.store.taps:
            return self.store.taps[tap]
        declared = self.model.card.taps.get(tap)
        return declared if declared is not None else compute.width(self.net, tap, self.view.crop or 64, self.device)


def open_target(
    name: str,
    *,
    taps: Sequence[str],
    view: str | None,
    perturb: str,
    decoder: Literal["", "nvjpeg"],
    precision: str | None,
    compiled: bool,
    dtype: NumberFormat,
    cache: AnyPath,
    weights: Path | None,
    device: str,
    batch_size: int | None,
    sharing: Target | None = None,
) -> Target:
    """The model found, its store opened or made; nothing heavy is loaded.

    Raises:
        UsageError: an unknown model, tap, view or perturbation.
        WeightsError: the weights cannot be had.
        StoreError: the cache cannot be written.
    """
    model = sharing.model if sharing else models.find(name, weights)
    card = model.card
    compiled = compiled and not card.per_image  # those are no networks
    looked_at, settings = store_settings(
        model,
        view=view,
        perturb=perturb,
        decoder=decoder,
        precision=precision,
        compiled=compiled,
        dtype=dtype,
        device=device,
    )
    kind = device.partition(":")[0]
    facts = {
        "default_tap": card.default_tap,
        "source": card.source,
        "license": card.license,
        "batch_size": batch_size or min(BATCH_SIZE[kind], card.unit * (1 if kind == "cpu" else GPU_SPEED)),
        "device": device,
    }
    chosen = expand_taps(card, taps)
    store = Store.create(cache, settings, facts)
    recorded = int(store.facts["batch_size"])
    return Target(
        model, chosen, looked_at, settings.precision, device, batch_size or recorded, store, compiled, sharing
    )


def store_settings(
    model: models.Model,
    *,
    view: str | None,
    perturb: str,
    decoder: Literal["", "nvjpeg"],
    precision: str | None,
    compiled: bool,
    dtype: NumberFormat,
    device: str,
) -> tuple[View, StoreSettings]:
    """The view of a model as it was asked for, and the settings of the store that its features go into.

    Raises:
        UsageError: there is no such view or perturbation.
    """
    card = model.card
    looked_at = (card.view.with_policy(view) if view else card.view).with_perturbation(perturb)
    looked_at = replace(looked_at, decoder=decoder)
    settings = StoreSettings(
        model=card.name,
        weights_sha256=model.weights.sha256,
        view=plain_object(looked_at),
        view_name=looked_at.name,
        precision="float32" if card.per_image else precision or compute.default_precision(device),
        dtype=dtype,
        model_settings=plain_object(dict(card.settings) | ({"compiled": True} if compiled else {})),
    )
    return looked_at, settings
