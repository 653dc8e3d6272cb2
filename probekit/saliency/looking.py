"""Looking: images are shown to the network again, and what each method says of them is brought back to their pixels."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from probekit import sources
from probekit.arrays import Bool, Float, Int, Mask
from probekit.errors import ImageError
from probekit.features import FeatureSet
from probekit.heads import Head
from probekit.heads.saved import Block, blocks_of
from probekit.manifest import REAL, Manifest
from probekit.models import compute
from probekit.parallel import processors
from probekit.paths import AnyPath
from probekit.protocols import fakes
from probekit.saliency import methods
from probekit.saliency.geometry import Placement, placements
from probekit.saliency.localisation import METRICS, localise, summarise
from probekit.saliency.masks import mask_of
from probekit.saliency.methods import Maps
from probekit.saliency.network import Network, Shown, open_network
from probekit.saliency.probing import FAKE, Explained, Probing, saved_probe, train_probes
from probekit.saliency.result import ImageMap, SaliencyResult
from probekit.saliency.settings import SaliencySettings
from probekit.samples import Samples, full_names
from probekit.views import View

if TYPE_CHECKING:
    from torch import Tensor

BATCH_SIZE = 16
DRIFT = 0.05
"""Log-odds by which a score of today's forward pass may differ from that of the stored features without a note."""

OnProgress = Callable[[int, int], None]
"""Called with (images done, all images)."""


def look(
    features: FeatureSet,
    manifest: Manifest,
    settings: SaliencySettings | None = None,
    *,
    cache: AnyPath,
    weights: Mapping[str, Path] | None = None,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    on_progress: OnProgress | None = None,
) -> SaliencyResult:
    """Where probes look that are trained on these features, on images that they did not learn from.

    Args:
        features: of all samples, of one tap.
        manifest: the samples, and where their images lie.
        settings: what is trained, tested and explained.
        cache: folder of the stores.
        weights: model → checkpoint, where it does not come from a hub.
        device: `cpu`, `cuda:1` …; the first GPU if there is one, else the CPU.
        batch_size: images shown at once.
        on_progress: called after every batch.

    Raises:
        UsageError, ProbeError, UnknownNameError: as `train_probes` and `open_network`; or a method cannot be used.
        WeightsError: the model's weights cannot be had.
    """
    chosen = settings or SaliencySettings()
    probing = train_probes(features, chosen)
    block = blocks_of(features.sources, features.widths, cache)[0]
    return _look(probing, block, manifest, chosen, weights or {}, device, batch_size, on_progress)


def look_with(
    head: Head,
    manifest: Manifest,
    settings: SaliencySettings | None = None,
    *,
    weights: Mapping[str, Path] | None = None,
    device: str | None = None,
    batch_size: int = BATCH_SIZE,
    on_progress: OnProgress | None = None,
) -> SaliencyResult:
    """Where a saved probe looks, on images of a manifest that it did not learn from; features are not needed.

    Args:
        head: the saved probe.
        manifest: the samples.
        settings: what is tested and explained.
        weights: as `look`.
        device: as `look`.
        batch_size: as `look`.
        on_progress: as `look`.

    Raises:
        UsageError, ProbeError, UnknownNameError: as `saved_probe` and `open_network`; or a method cannot be used.
        WeightsError: the model's weights cannot be had.
    """
    chosen = settings or SaliencySettings()
    probing, block = saved_probe(head, manifest, chosen)
    chosen = replace(chosen, probe=head.probe.probe)  # type: ignore[attr-defined]  # `saved_probe` refuses other heads
    return _look(probing, block, manifest, chosen, weights or {}, device, batch_size, on_progress)


def choose(probing: Probing, limit: int | None, seed: int) -> Int[np.ndarray, " k"]:
    """Row numbers of the images that are looked at: of each generator (real: of each domain) at most `limit`.

    Every group gives one before any gives a second; within that, the order of a hash of seed and full name. So the
    choice depends on neither the order of the manifest nor the other images.
    """
    rows = np.flatnonzero(probing.rows)
    own = probing.samples.iloc[rows]
    digests = [hashlib.sha256(f"{seed}:{name}".encode()).digest() for name in full_names(own)]
    table = pd.DataFrame({"row": rows, "digest": digests, "group": own["group"].astype(str).to_numpy()})
    table["maker"] = np.where(own["label"] == 0, REAL + "@" + own["domain"].astype(str), own["generator"].astype(str))
    table = table.sort_values("digest")
    table["turn"] = table.groupby(["maker", "group"]).cumcount()
    table = table.sort_values(["turn", "digest"])
    if limit is not None:
        table = table[table.groupby("maker").cumcount() < limit]
    return np.sort(table["row"].to_numpy())


@dataclass(frozen=True, eq=False)
class _Loaded:
    """One image as a thread left it."""

    row: int
    size: tuple[int, int] = (0, 0)
    crops: "Sequence[Tensor]" = ()
    places: tuple[Placement, ...] = ()
    mask: Bool[np.ndarray, "h w"] | None = None
    reasons: tuple[tuple[str, str], ...] = ()
    """(file, why it cannot be read)."""


def _look(
    probing: Probing,
    block: Block,
    manifest: Manifest,
    settings: SaliencySettings,
    weights: Mapping[str, Path],
    device: str | None,
    batch_size: int,
    on_progress: OnProgress | None,
) -> SaliencyResult:
    network = open_network(block, weights, device)
    rows = choose(probing, settings.limit, settings.seed)
    files = Samples.of_rows(replace(manifest, table=probing.samples))
    looker = _Looker(probing, network, settings)
    if on_progress:
        on_progress(0, len(rows))
    with ThreadPoolExecutor(processors()) as pool:
        for at in range(0, len(rows), batch_size):
            some = rows[at : at + batch_size].tolist()
            looker.add(list(pool.map(lambda row: _load(row, files, manifest, probing, network.view), some)))
            if on_progress:
                on_progress(min(at + batch_size, len(rows)), len(rows))
    return looker.result(block)


def _load(row: int, files: Samples, manifest: Manifest, probing: Probing, view: View) -> _Loaded:
    sample, table = files[row], probing.samples
    (name,) = full_names(table.iloc[[row]])
    try:
        content = sources.read(sample)
        image = content.decode()
        perturbed = view.perturbation.apply(image, content.key)
        crops, places = view.crops(perturbed), tuple(placements(view, perturbed))
    except ImageError as error:
        return _Loaded(row, reasons=((name, str(error)),))
    size = (int(image.shape[1]), int(image.shape[2]))
    try:
        return _Loaded(row, size, crops, places, mask_of(manifest, table, row, size))
    except ImageError as error:
        return _Loaded(row, size, crops, places, reasons=((name, str(error)),))


class _Looker:
    """Collects the maps of one batch after another."""

    def __init__(self, probing: Probing, network: Network, settings: SaliencySettings) -> None:
        self.probing, self.network, self.settings = probing, network, settings
        self.names = full_names(probing.samples)
        self.rows: dict[tuple[str, str], list[dict[str, Any]]] = {}
        self.maps: dict[tuple[str, str], list[ImageMap]] = {}
        self.failed: list[tuple[str, str]] = []
        self.facts: dict[str, dict[str, str]] = {}
        self.drift = 0.0

    def add(self, loaded: Sequence[_Loaded]) -> None:
        """What every method says of these images."""
        self.failed += [reason for one in loaded for reason in one.reasons]
        for shown, some in _same_size([one for one in loaded if one.crops], self.network.device):
            asked = [[own.probes[self.probing.part[one.row]] for one in some] for own in self.probing.explained]
            for name in self.settings.methods:
                method = methods.get(name)()
                found = method.explain(self.network, shown, asked)
                self.facts[name] = {"about": method.about, **found.facts}
                for t, own in enumerate(self.probing.explained):
                    self._keep(name, own, found, t, shown, some)

    def _keep(self, method: str, own: Explained, found: Maps, t: int, shown: Shown, some: Sequence[_Loaded]) -> None:
        for i, one in enumerate(some):
            grids = found.grids[t, shown.owner == i].astype(np.float32)
            kept = ImageMap(one.row, grids, found.cell, one.places, one.size)
            self.maps.setdefault((method, own.train), []).append(kept)
            row = self._described(method, own, found, t, i, one)
            self.rows.setdefault((method, own.train), []).append(row | _scores(kept.to_image(), one.mask))
            stored = own.stored[one.row]
            if np.isfinite(stored):
                self.drift = max(self.drift, abs(float(found.scores[t, i]) - float(stored)))

    def _described(self, method: str, own: Explained, found: Maps, t: int, i: int, one: _Loaded) -> dict[str, Any]:
        part = int(self.probing.part[one.row])
        names, score = own.probes[part].names, float(found.scores[t, i])
        called = names[int(found.predicted[t, i])]
        if self.probing.task == "binary":
            called = FAKE if score > own.cuts[part] else REAL
        columns = ("generator", "domain", "label", "group")
        return {
            "method": method,
            "train": own.train,
            "path": self.names[one.row],
            **{name: self.probing.samples[name].iloc[one.row] for name in columns},
            "explained": names[int(found.chosen[t, i])],
            "score": score,
            "bias": float(found.biases[t, i]),
            "called": called,
        }

    def result(self, block: Block) -> SaliencyResult:
        """Everything that was found, with the means over images."""
        order = sorted(self.rows, key=lambda key: self.settings.methods.index(key[0]))
        images = pd.DataFrame([row for key in order for row in self.rows[key]])
        settings = block.settings
        failed = pd.DataFrame(list(dict.fromkeys(self.failed)), columns=["path", "reason"])
        return SaliencyResult(
            self.settings,
            {"model": settings.model, "tap": block.tap, "view": settings.view_name, "precision": settings.precision},
            self.probing.samples,
            images,
            self._localisation(images, order),
            {key: tuple(self.maps[key]) for key in order},
            self.probing.tests,
            failed,
            self.probing.record,
            self.facts,
            (*self.probing.notes, *self._notes(images)),
        )

    def _localisation(self, images: pd.DataFrame, order: Sequence[tuple[str, str]]) -> pd.DataFrame:
        if not len(images) or not images["mask"].notna().any():
            return pd.DataFrame()
        found = []
        for method, train in order:
            own = images[(images["method"] == method) & (images["train"] == train)].reset_index(drop=True)
            for test in self.probing.tests:
                rows: Mask = fakes(own, test) & own["mask"].notna().to_numpy()
                if rows.any():
                    part = own[rows]
                    numbers = summarise(part, part["group"].to_numpy(), self.settings.bootstrap, self.settings.seed)
                    found.append({"method": method, "train": train, "test": test.name, **numbers})
        return pd.DataFrame(found)

    def _notes(self, images: pd.DataFrame) -> list[str]:
        notes = []
        if self.drift > DRIFT:
            notes.append(
                f"scores of this forward pass differ from those of the stored features by up to {self.drift:.2f}: "
                "another machine or batch size rounds otherwise, and images may have changed."
            )
        if len(images):
            per_image = images.drop_duplicates("path")
            if unseen := int((per_image["seen"] < 1).sum()):
                least = per_image["seen"].min()
                notes.append(
                    f"the view shows the model only a part of {unseen} of {len(per_image)} images, of one only "
                    f"{least:.0%}: what lies outside counts in no localisation score."
                )
            fake = per_image[per_image["mask"].notna()]
            if len(fake) and (useless := int(fake["ap"].isna().sum())):
                notes.append(
                    f"{useless} of {len(fake)} masks leave nothing to find in what the view shows (empty, full or "
                    "outside): such images have no localisation score."
                )
        return notes


def _same_size(loaded: Sequence[_Loaded], device: str) -> list[tuple[Shown, list[_Loaded]]]:
    """Batches whose crops have one size each, as most networks need; images stay in order within them."""
    sizes: dict[tuple[int, ...], list[_Loaded]] = {}
    for one in loaded:
        sizes.setdefault(tuple(one.crops[0].shape), []).append(one)
    found = []
    for some in sizes.values():
        owner = np.repeat(np.arange(len(some)), [len(one.crops) for one in some])
        found.append((Shown(compute.batch_of([crop for one in some for crop in one.crops], device), owner), some))
    return found


def _scores(saliency: Float[np.ndarray, "h w"], mask: Bool[np.ndarray, "h w"] | None) -> dict[str, float]:
    """`seen`, and of an image with a mask all else that `SaliencyResult.images` says of it."""
    nothing = dict.fromkeys([f"{name}{end}" for name in METRICS for end in ("", "_centre", "_random")], float("nan"))
    seen = ~np.isnan(saliency)
    row = {"seen": float(seen.mean()), "mask": float("nan"), "mask_seen": float("nan"), **nothing}
    if mask is None:
        return row
    found = localise(saliency, mask)
    row |= {"mask": float(mask.mean()), "mask_seen": float(seen[mask].mean()) if mask.any() else float("nan")}
    return row | (found.row() if found else {})
