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
from probekit.models import compute
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
        return compute.load(self.model, self.device, self.precision)

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
        readable = [row for row, image in enumerate(images) if image.pixels is not None]
        pixels = [image.pixels for image in images if image.pixels is not None]
        if not pixels:
            return {tap: np.full((len(images), *self._width(tap)), np.nan, np.float32) for tap in self.taps}
        if not self.model.card.per_image:  # one batch shape, one rounding: features do not depend on what is left to do
            pixels += [pixels[-1]] * (self.batch_size - len(pixels))
        net = self.net
        began = time.perf_counter()
        computed = compute.forward(net, pixels, self.taps, self.device)
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
        return (declared,) if declared is not None else compute.width(self.net, tap, self.view.crop or 64, self.device)


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
    computed_in = "float32" if card.per_image else precision or compute.default_precision(device)
    settings = StoreSettings(
        model=card.name,
        weights_sha256=model.weights.sha256,
        view=plain(looked_at),  # type: ignore[arg-type]  # a dataclass becomes an object
        view_name=looked_at.name,
        precision=computed_in,
        dtype=dtype,  # type: ignore[arg-type]  # checked by the command line
        model_settings=plain(card.settings),  # type: ignore[arg-type]  # a mapping stays an object
    )
    facts = {
        "default_tap": card.default_tap,
        "source": card.source,
        "license": card.license,
        "batch_size": batch_size or min(BATCH_SIZE, card.unit),
        "device": device,
    }
    chosen = tuple(taps) if taps and tuple(taps) != ("final",) else (card.default_tap,)
    model.card.check_taps(chosen)
    store = Store.create(cache, settings, facts)
    recorded = int(store.facts["batch_size"])
    return Target(model, chosen, looked_at, computed_in, device, batch_size or recorded, store)
