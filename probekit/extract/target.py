"""A target of an extraction: one model, its view and taps, and the store that they fill."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probekit import models
from probekit.arrays import Float
from probekit.fingerprint import plain
from probekit.store import Rows, Store, StoreSettings
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = 32
COMMIT_SECONDS = 60.0  # a kill loses no more work than this


@dataclass(eq=False)
class Target:
    """One model at work; its store is open, its weights are read when the first image needs them."""

    model: models.Model
    taps: tuple[str, ...]
    view: View
    precision: str
    device: str
    batch_size: int
    store: Store
    seconds: float = field(default=0.0, init=False)
    """Time spent in forward passes."""
    computed: int = field(default=0, init=False)
    """Images that went through the model."""

    @cached_property
    def net(self) -> models.FrozenModel:
        """The loaded model."""
        import torch

        torch.backends.cudnn.allow_tf32 = False  # so that float32 means float32 on GPUs, in convolutions too
        return self.model.load(self.device, self.precision)

    def compute(self, images: "Sequence[ImageCrops]", unit: str, *, on_batch: Callable[[float], None]) -> None:
        """Run the model on these images and commit them; all are safe when this returns.

        Args:
            images: distinct images that the store lacks, and failures to record.
            unit: the claim to keep alive while it lasts.
            on_batch: called with the share of the images that is done, 0 to 1.
        """
        batches = [images[begin : begin + self.batch_size] for begin in range(0, len(images), self.batch_size)]
        waiting: list[tuple[Sequence[ImageCrops], dict[str, Float[np.ndarray, "n ..."]]]] = []
        began = time.monotonic()
        for number, batch in enumerate(batches, start=1):
            waiting.append((batch, self._forward(batch)))
            if number == len(batches) or time.monotonic() - began > COMMIT_SECONDS:
                self._commit(waiting)
                self.store.claims.show_life(unit)
                waiting, began = [], time.monotonic()
            on_batch(number / len(batches))

    def _forward(self, images: "Sequence[ImageCrops]") -> dict[str, Float[np.ndarray, "n ..."]]:
        """Features of one batch, NaN for images that failed."""
        import torch

        readable = [row for row, image in enumerate(images) if image.pixels is not None]
        pixels = [image.pixels for image in images if image.pixels is not None]
        if not pixels:
            return {tap: np.full((len(images), *self._width(tap)), np.nan, np.float32) for tap in self.taps}
        if not self.model.card.per_image:  # one batch shape, one rounding: features do not depend on what is left to do
            pixels += [pixels[-1]] * (self.batch_size - len(pixels))
        batch = _collate(pixels, self.device)
        began = time.perf_counter()
        with torch.inference_mode():
            found = self.net(batch, self.taps)
        computed = {tap: found[tap].float().cpu().numpy() for tap in self.taps}
        self.seconds += time.perf_counter() - began
        self.computed += len(readable)
        features = {}
        for tap, values in computed.items():
            features[tap] = np.full((len(images), *values.shape[1:]), np.nan, np.float32)
            features[tap][readable] = values[: len(readable)]
        return features

    def _commit(self, batches: "Sequence[tuple[Sequence[ImageCrops], Mapping[str, np.ndarray]]]") -> None:
        images = [image for batch, _ in batches for image in batch]
        rows = Rows(
            keys=np.stack([np.frombuffer(image.key, np.uint8) for image in images]),
            crops=np.zeros(len(images), np.int16),
            features={tap: np.concatenate([features[tap] for _, features in batches]) for tap in self.taps},
            reasons={image.key: image.reason for image in images if image.reason is not None},
        )
        self.store.commit(rows, [image.path for image in images])

    def _width(self, tap: str) -> tuple[int, ...]:
        """Shape of one row of a tap, which a batch of failures alone cannot tell."""
        if tap in self.store.taps:
            return self.store.taps[tap]
        declared = self.model.card.taps.get(tap)
        return (declared,) if declared is not None else self._measure(tap)

    def _measure(self, tap: str) -> tuple[int, ...]:
        import torch

        side = self.view.crop or 64
        blank = _collate([torch.zeros((3, side, side), dtype=torch.uint8)], self.device)
        with torch.inference_mode():
            return tuple(self.net(blank, (tap,))[tap].shape[1:])


@dataclass(frozen=True)
class ImageCrops:
    """What a model sees of one image, or why it sees nothing."""

    key: bytes
    path: str
    pixels: "Tensor | None"
    """uint8 (3, H, W)."""
    reason: str | None = None


def open_target(
    name: str,
    *,
    taps: Sequence[str],
    view: str | None,
    precision: str | None,
    dtype: str,
    cache: Path,
    weights: Path | None,
    device: str,
    batch_size: int | None,
) -> Target:
    """The model found, its store opened or made; nothing heavy is loaded.

    Raises:
        UsageError: an unknown model, tap or view.
        WeightsError: the weights cannot be had.
        StoreError: the cache cannot be written.
    """
    model = models.find(name, weights)
    card = model.card
    looked_at = card.view.with_policy(view) if view else card.view
    computed_in = "float32" if card.per_image else precision or default_precision(device)
    settings = StoreSettings(
        model=card.name,
        weights_sha256=model.weights.sha256,
        view=plain(looked_at),  # type: ignore[arg-type]  # a dataclass becomes an object
        view_name=looked_at.name,
        precision=computed_in,
        dtype=dtype,  # type: ignore[arg-type]  # checked by the command line
        model_settings=plain(card.settings),  # type: ignore[arg-type]
    )
    facts = {
        "default_tap": card.default_tap,
        "source": card.source,
        "license": card.license,
        "batch_size": batch_size or BATCH_SIZE,
        "device": device,
    }
    chosen = tuple(taps) if taps and tuple(taps) != ("final",) else (card.default_tap,)
    model.card.check_taps(chosen)
    store = Store.create(cache, settings, facts)
    recorded = int(store.facts["batch_size"])
    return Target(model, chosen, looked_at, computed_in, device, batch_size or recorded, store)


def default_precision(device: str) -> str:
    """`bfloat16` on GPUs and on CPUs with AMX or AVX512-BF16, where whole models run several times faster in it."""
    import torch

    if device.startswith("cuda"):
        return "bfloat16"
    fast = torch.cpu._is_amx_tile_supported() or torch.cpu._is_avx512_bf16_supported()
    return "bfloat16" if fast else "float32"


def _collate(pixels: "Sequence[Tensor]", device: str) -> models.Batch:
    """Crops zero-padded at the bottom and right to the largest of them."""
    import torch

    sizes = torch.tensor([crop.shape[1:] for crop in pixels])
    height, width = sizes.amax(dim=0).tolist()
    batch = torch.zeros((len(pixels), 3, height, width), dtype=torch.uint8)
    for row, crop in enumerate(pixels):
        batch[row, :, : crop.shape[1], : crop.shape[2]] = crop
    return models.Batch(batch.to(device, non_blocking=True), sizes)
