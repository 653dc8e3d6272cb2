"""Images with the features that a blacklist compares, from files or from the samples of a manifest.

Both go the same way: the extraction engine fills the store, which keeps one row for the same bytes, and the features
are read from there, rounded as the store rounds them. What is extracted already is not computed again.
"""

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.arrays import Features, Float, Int, Keys, Mask, unit_rows
from probekit.blacklist.needs import require_computable
from probekit.errors import MissingFeaturesError, UsageError
from probekit.extract import ExtractSettings, Progress, extract
from probekit.features import Join, Selector
from probekit.heads.saved import Block
from probekit.keys import KeyIndex
from probekit.layouts.given import list_images
from probekit.manifest import Manifest, validate
from probekit.paths import AnyPath
from probekit.registry import unknown_name
from probekit.samples import Samples, known_keys
from probekit.store import DONE, list_stores

PLACE = "place in the manifest"
"""A column that samples carry while the parts of their features are put together."""
SAMPLE = ("path", "generator", "group")


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images and their raw features, row by row."""

    samples: pd.DataFrame
    """path, generator (empty where nobody said), group (empty: nobody knows)."""
    keys: Keys
    features: Features
    """Parts side by side, float32."""
    blocks: tuple[Block, ...]
    """What made them."""
    failed: pd.DataFrame
    """path and reason of images without features."""
    source: str
    """Where they came from: `faces, split val`, `photos`."""
    manifest: str = ""
    manifest_sha256: str = ""
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def vectors(self) -> Float[np.ndarray, "n d"]:
        """The features as a blacklist keeps and compares them."""
        return unit_parts(self.features, [block.width for block in self.blocks])

    def take(self, rows: Int[np.ndarray, " k"]) -> "ImageSet":
        """Some of the images."""
        samples = self.samples.iloc[rows].reset_index(drop=True)
        return replace(self, samples=samples, keys=self.keys[rows], features=self.features[rows])


@dataclass(frozen=True)
class Computing:
    """Where features are computed and kept; changes speed only."""

    cache: AnyPath
    """Folder of the stores."""
    weights: Mapping[str, Path] = field(default_factory=dict)
    """Model → checkpoint that does not come from a hub."""
    device: str | None = None
    batch_size: int | None = None
    workers: int | None = None
    on_progress: Callable[[Progress], None] | None = None


def unit_parts(features: Features, widths: Sequence[int]) -> Float[np.ndarray, "n d"]:
    """Rows of length 1 whose parts are equally long, so that none drowns another; a part of zeros stays zero."""
    parts = [unit_rows(part) for part in np.split(np.asarray(features), np.cumsum(widths)[:-1], axis=1)]
    unit: Float[np.ndarray, "n d"] = unit_rows(np.hstack(parts)).astype(np.float32)
    return unit


def images_of_files(
    blocks: Sequence[Block],
    inputs: Sequence[Path],
    computing: Computing,
    *,
    frames: int = 8,
    shots: int = 0,
    seed: int = 0,
) -> ImageSet:
    """Images in files, folders and archives and frames of videos, with features; a video is a group.

    Args:
        blocks: the features that are wanted.
        inputs: where the images are.
        computing: where and how.
        frames: of each video, so many evenly spaced ones; 0 leaves videos out.
        shots: so many of them, drawn at random; 0 takes all.
        seed: of the drawing.

    Raises:
        UsageError: a path does not exist, or there is no image.
        BlacklistError: the features cannot be computed here as they were for the blacklist.
    """
    if gone := [path for path in inputs if not os.path.exists(path)]:  # noqa: PTH110  # Path.exists raises for long names
        more = f" ({len(gone)} of the {len(inputs)} that were given do not)" if len(gone) > 1 else ""
        raise UsageError(f"{gone[0]} does not exist{more}: give images, folders or a manifest that do.")
    samples, notes = list_images(inputs, frames)
    once = {sample._replace(path=os.path.abspath(sample.path)): sample for sample in reversed(samples)}  # noqa: PTH100  # pathlib keeps `..`
    kept = list(reversed(once.values()))
    table = pd.DataFrame({"path": [s.path for s in kept], "label": 1, "generator": "unknown", "split": "test"})
    if any(sample.member for sample in kept):
        table["member"] = [sample.member for sample in kept]
    video = {sample.name: sample._replace(frame=None).name for sample in kept if sample.frame is not None}
    if video:
        table["frame"] = ["" if sample.frame is None else str(sample.frame) for sample in kept]
    manifest = Manifest("images", None, Path.cwd(), validate(table, "images"))
    found = _with_features(_drawn(manifest, shots, seed), blocks, computing)
    names = ", ".join(map(str, inputs[:3])) + (" …" if len(inputs) > 3 else "")
    groups = [video.get(path, "") for path in found.samples["path"]]
    return replace(
        found,
        samples=found.samples.assign(generator="", group=groups),
        source=names,
        notes=(*notes, *_few(manifest, shots)),
    )


def images_of_manifest(
    blocks: Sequence[Block],
    manifest: Manifest,
    computing: Computing,
    *,
    generator: str | None = None,
    split: str | None = None,
    shots: int = 0,
    seed: int = 0,
) -> ImageSet:
    """Samples of a manifest, with features.

    Args:
        blocks: the features that are wanted.
        manifest: the samples.
        computing: where and how.
        generator: only those of this one.
        split: only those of train, val or test.
        shots: so many of them, drawn at random; 0 takes all.
        seed: of the drawing.

    Raises:
        UsageError: no sample is left.
        BlacklistError: the features cannot be computed here as they were for the blacklist.
    """
    table = manifest.table
    if generator is not None and generator not in set(table["generator"]):
        raise unknown_name(f"generator in {manifest.name}", generator, set(table["generator"]))
    for column, wanted in (("generator", generator), ("split", split)):
        if wanted is not None:
            table = table[table[column] == wanted]
    if table.empty:
        raise UsageError(f"{manifest.name} has no sample of {generator or 'any generator'} in split {split}.")
    chosen = replace(manifest, table=table.reset_index(drop=True))
    found = _with_features(_drawn(chosen, shots, seed), blocks, computing)
    source = manifest.name + (f", split {split}" if split else "")
    notes = _few(chosen, shots)
    return replace(found, source=source, manifest=manifest.name, manifest_sha256=manifest.sha256, notes=notes)


def _few(manifest: Manifest, shots: int) -> tuple[str, ...]:
    """A remark, if there are fewer samples than shots."""
    n = len(manifest.table)
    return (f"there are only {n:,} of {shots:,}: all of them are taken.",) if n < shots else ()


def _drawn(manifest: Manifest, shots: int, seed: int) -> Manifest:
    """So many of the samples, those whose names have the smallest hashes; in the manifest's order."""
    table = manifest.table
    if not shots or shots >= len(table):
        return manifest
    names = table["path"] + table.get("member", pd.Series("", index=table.index)).fillna("").astype(str)
    hashes = [hashlib.sha256(f"{seed}:{number}:{name}".encode()).digest() for number, name in _numbered(names)]
    rows = np.sort(sorted(range(len(hashes)), key=hashes.__getitem__)[:shots])
    return replace(manifest, table=table.iloc[rows].reset_index(drop=True))


def _numbered(names: "pd.Series[str]") -> list[tuple[int, str]]:
    """Names, each with how often it came before: frames and boxes of one file are told apart."""
    return list(zip(names.groupby(names).cumcount().tolist(), names.tolist(), strict=True))


def _with_features(manifest: Manifest, blocks: Sequence[Block], computing: Computing) -> ImageSet:
    """The samples of a manifest, all of them, with what each part gives; those that lack a part have failed."""
    manifest = replace(manifest, table=manifest.table.assign(**{PLACE: np.arange(len(manifest.table))}))
    failed = _fill(manifest, blocks, computing)
    join = Join(manifest, computing.cache)
    parts = []
    for block in blocks:
        try:
            found = join.load(block.name, Selector(store=block.settings.address), allow_missing=True)
        except MissingFeaturesError:  # of all of them: they have failed
            if not failed:
                raise
            return _nothing(blocks, failed)
        failed |= dict(zip(found.excluded["path"], found.excluded["reason"], strict=True))
        finite: Mask = np.isfinite(found.matrix).all(axis=1)
        some: Mask = (found.matrix != 0).any(axis=1)
        for lacks, what in ((~finite, "are not finite"), (~some, "are all zero, like nothing else's")):
            failed |= dict.fromkeys(found.samples["path"][lacks], f"its features of {block.settings.model} {what}")
        usable = finite & some
        parts.append((found.samples[usable].set_index(PLACE), found.matrix[usable]))
    places = sorted(set.intersection(*(set(samples.index) for samples, _ in parts)))
    samples = manifest.table.iloc[places].drop(columns=PLACE).reset_index(drop=True)
    kept = Samples.of_rows(replace(manifest, table=samples))
    names = [kept[row]._replace(path=path).name for row, path in enumerate(samples["path"])]
    return ImageSet(
        samples=samples.assign(path=names)[list(SAMPLE)],
        keys=known_keys(kept, KeyIndex.open(computing.cache)).keys,
        features=np.hstack([matrix[own.index.get_indexer(places)] for own, matrix in parts]),
        blocks=tuple(blocks),
        failed=pd.DataFrame(sorted(failed.items()), columns=["path", "reason"]),
        source=manifest.name,
    )


def _nothing(blocks: Sequence[Block], failed: Mapping[str, str]) -> ImageSet:
    """No image, and why."""
    return ImageSet(
        samples=pd.DataFrame(columns=list(SAMPLE), dtype=str),
        keys=np.zeros((0, 32), np.uint8),
        features=np.zeros((0, sum(block.width for block in blocks)), np.float32),
        blocks=tuple(blocks),
        failed=pd.DataFrame(sorted(failed.items()), columns=["path", "reason"]),
        source="",
    )


def _fill(manifest: Manifest, blocks: Sequence[Block], computing: Computing) -> dict[str, str]:
    """The stores filled with what they lack; name → reason of the images that cannot be read."""
    samples = Samples.of_rows(manifest)
    names = {
        samples.name(row): samples[row]._replace(path=path).name for row, path in enumerate(manifest.table["path"])
    }
    failed: dict[str, str] = {}
    for address in dict.fromkeys(block.settings.address for block in blocks):
        own = [block for block in blocks if block.settings.address == address]
        if not _lacking(samples, own, computing.cache):
            continue
        require_computable(own[0], computing.weights, computing.device)
        settings = own[0].settings
        asked = ExtractSettings(
            models=(settings.model,),
            taps=tuple(block.tap for block in own),
            view=settings.policy,
            perturb=(settings.perturbation,) if settings.perturbation else (),
            decoder=settings.view.get("decoder") or "",
            precision=settings.precision if settings.weights_sha256 else None,  # type: ignore[arg-type]  # a store's, which extraction made
            compile=bool(settings.model_settings.get("compiled")),
            dtype=settings.dtype,
        )
        done = extract(
            manifest,
            asked,
            cache=computing.cache,
            weights=computing.weights,
            device=computing.device,
            batch_size=computing.batch_size,
            workers=computing.workers,
            on_progress=computing.on_progress,
        )
        failed |= {
            names.get(path, path): reason
            for path, reason in zip(done.failed["path"], done.failed["reason"], strict=True)
        }
    return failed


def _lacking(samples: Samples, blocks: Sequence[Block], cache: AnyPath) -> bool:
    """Whether the store of these blocks lacks any of them for any of the samples."""
    address = blocks[0].settings.address
    store = next((store for store in list_stores(cache) if store.settings.address == address), None)
    known = known_keys(samples, KeyIndex.open(cache))
    if store is None or not (known.known | (known.remembered & ~known.readable)).all():
        return True
    taps = [block.tap for block in blocks]
    return bool((store.look_up(known.keys, np.zeros(len(samples), np.int16), taps) != DONE).any())
