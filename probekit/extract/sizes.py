"""How much room features will take on the disk, told and checked before anything is computed."""

import math
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from probekit import models
from probekit.errors import StoreError
from probekit.extract.settings import ExtractSettings
from probekit.files import spell_size
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.models.requests import check_models, compact, expand_taps, gives_tokens
from probekit.paths import AnyPath
from probekit.perturbations import NONE, parse_all
from probekit.samples import Samples, known_keys
from probekit.store import DONE, Store, find_stores

if TYPE_CHECKING:
    from probekit.models import Model


@dataclass(frozen=True)
class ModelSize:
    """What the taps of one model take."""

    model: str
    row_bytes: Mapping[str, int]
    """Tap → bytes of one row."""
    token_taps: tuple[str, ...]
    unknown: tuple[str, ...]
    """Taps whose size only the loaded model knows; not counted."""


@dataclass(frozen=True)
class SizeEstimate:
    """What an extraction takes, as plain features: parts that wait to be folded and checksums come on top."""

    models: tuple[ModelSize, ...]
    images: int
    """Samples of the manifest."""
    rows_per_image: int
    """Crops of the view, at least, times perturbations."""
    needed: int
    """Bytes of the features that are not there yet; where there is room for all, of all."""
    free: float
    """Bytes free on the disk of the cache; infinity in a bucket."""
    cache: AnyPath

    @property
    def image_bytes(self) -> int:
        """Bytes of all taps of one image."""
        return self.rows_per_image * sum(sum(model.row_bytes.values()) for model in self.models)

    def remarks(self) -> list[str]:
        """A line for each model with taps of many tokens, which are large, or of unknown size."""
        lines = []
        for model in self.models:
            if model.token_taps:
                room = f"; {spell_size(self.free)} are free at {self.cache}" if math.isfinite(self.free) else ""
                each = self.rows_per_image * sum(model.row_bytes[tap] for tap in model.token_taps)
                lines.append(
                    f"{model.model}: {', '.join(compact(model.token_taps))} take {spell_size(each)} an image, "
                    f"{spell_size(each * self.images)} in all{room}."
                )
            if model.unknown:
                lines.append(f"{model.model}: what {', '.join(model.unknown)} take is known once they are computed.")
        return lines

    def check(self) -> None:
        """Nothing, if what is needed fits on the disk.

        Raises:
            StoreError: it does not.
        """
        if self.needed > self.free:
            raise StoreError(
                f"{self.cache}: the features still need {spell_size(self.needed)} "
                f"({spell_size(self.image_bytes)} an image), but {spell_size(self.free)} are free there. "
                "Ask for fewer taps (--taps), or choose another disk (--cache)."
            )


def estimate_size(
    manifest: Manifest,
    settings: ExtractSettings,
    *,
    cache: AnyPath,
    weights: Mapping[str, Path] | None = None,
) -> SizeEstimate:
    """The room that this extraction takes; nothing is computed or written.

    Args:
        manifest: the images.
        settings: models, taps and the number format.
        cache: folder of the stores; it need not exist yet.
        weights: model name → checkpoint.

    Raises:
        UsageError: an unknown model or tap.
        WeightsError: the weights of a model cannot be had.
    """
    check_models(settings.taps, settings.models)
    found = [models.find(name, (weights or {}).get(name)) for name in dict.fromkeys(settings.models)]
    sizes = [_size(model, settings) for model in found]
    view = found[0].card.view.with_policy(settings.view) if settings.view else found[0].card.view
    rows_per_image = view.fewest_crops * len(parse_all(settings.perturb or (NONE,)))
    images, free = len(manifest.table), _free(cache)
    needed = images * rows_per_image * sum(sum(size.row_bytes.values()) for size in sizes)
    if needed > free:  # only then is it worth the while to look at what is there
        stored = _Stored(manifest, cache, rows_per_image)
        pairs = zip(found, sizes, strict=True)
        needed -= sum(stored.rows(model, tap, settings) * row for model, s in pairs for tap, row in s.row_bytes.items())
    return SizeEstimate(tuple(sizes), images, rows_per_image, needed, free, cache)


class _Stored:
    """What the stores of a cache have of the images of a manifest."""

    def __init__(self, manifest: Manifest, cache: AnyPath, rows_per_image: int) -> None:
        found = known_keys(Samples.of_rows(manifest), KeyIndex.open(cache))
        self._keys = found.keys[found.remembered]
        self._rows_per_image = rows_per_image
        self._stores = find_stores(cache)[0]

    def rows(self, model: "Model", tap: str, settings: ExtractSettings) -> int:
        """Rows that are there, of any store that could be meant: rather too many than a rerun refused."""
        policy = (settings.view or model.card.view.policy).partition(":")[0]
        count = 0
        for store in self._stores:
            meant = store.settings
            if (
                (meant.model, meant.weights_sha256, meant.dtype, meant.view.get("policy"))
                == (model.card.name, model.weights.sha256, settings.dtype, policy)
                and settings.precision in (None, meant.precision)
                and tap in store.taps
            ):
                count += self._done(store, tap)
        return min(count, len(self._keys) * self._rows_per_image)

    def _done(self, store: Store, tap: str) -> int:
        crops = (np.full(len(self._keys), crop, np.int16) for crop in range(self._rows_per_image))
        return sum(int(np.count_nonzero(store.look_up(self._keys, crop, [tap]) == DONE)) for crop in crops)


def _size(model: "Model", settings: ExtractSettings) -> ModelSize:
    shapes = {tap: model.card.taps[tap] for tap in expand_taps(model.card, settings.taps)}
    number = np.dtype(settings.dtype).itemsize
    return ModelSize(
        model=model.card.name,
        row_bytes={tap: number * int(np.prod(shape)) for tap, shape in shapes.items() if shape is not None},
        token_taps=tuple(tap for tap, shape in shapes.items() if gives_tokens(shape)),
        unknown=tuple(tap for tap, shape in shapes.items() if shape is None),
    )


def _free(cache: AnyPath) -> float:
    """Bytes free on the disk that the cache is on, or will be; a bucket has no end."""
    if not isinstance(cache, Path):
        return math.inf
    folder = cache.absolute()
    while not folder.is_dir() and folder != folder.parent:
        folder = folder.parent
    return shutil.disk_usage(folder).free
