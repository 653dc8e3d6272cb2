"""Extraction: every image of a manifest through every model, once, into the store.

    settings.py  what is asked for
    sizes.py     how much room it takes, told and checked before anything is computed
    process.py   the whole job in one process
    shards.py    parts of a manifest for jobs that know nothing of each other
    plan.py      which samples there are, what each model lacks, the units that processes claim
    loading.py   threads that read, hash, decode and crop ahead
    target.py    one model with its view, and the store that it fills
    lane.py      its way from crops to committed rows: batches, forward passes, commits by a thread of their own
    work.py      the loop that feeds the lanes, and gives claims back
    devices.py   one process for each of several devices
    cluster.py   workers on the nodes of a Ray cluster, and the process that gives them units
    worker.py    one of those workers
    results.py   what came of it

An image is decoded once however many models look at it, and what is committed is never computed again.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from probekit.errors import ManifestError, UsageError
from probekit.extract.cluster import extract_over
from probekit.extract.devices import extract_on
from probekit.extract.process import Job, extract_here
from probekit.extract.results import ExtractResult, ModelExtraction, merged
from probekit.extract.settings import ExtractSettings
from probekit.extract.shards import Shard
from probekit.extract.sizes import SizeEstimate, estimate_size
from probekit.extract.work import Progress
from probekit.manifest import Manifest
from probekit.models import compute
from probekit.parallel.connecting import ClusterSettings
from probekit.paths import AnyPath
from probekit.remote import is_url

__all__ = [
    "ClusterSettings",
    "ExtractResult",
    "ExtractSettings",
    "ModelExtraction",
    "Progress",
    "Shard",
    "SizeEstimate",
    "estimate_size",
    "extract",
]


def extract(
    manifest: Manifest,
    settings: ExtractSettings,
    *,
    cache: AnyPath,
    weights: Mapping[str, Path] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    workers: int | None = None,
    unit_size: int | None = None,
    retry_failed: bool = False,
    rehash: bool = False,
    shard: Shard | None = None,
    mixed_versions: bool = False,
    cluster: ClusterSettings | None = None,
    on_progress: Callable[[Progress], None] | None = None,
    on_remark: Callable[[str], None] | None = None,
) -> ExtractResult:
    """The store filled with the features of every image of the manifest; what is there already is kept.

    Args:
        manifest: the images.
        settings: models, taps, view, perturbations and number formats.
        cache: folder of the stores.
        weights: model name → checkpoint, for weights that do not come from a hub.
        device: `cpu`, `cuda:1` …, several with commas between: one process each. All GPUs unless given, else the CPU.
        batch_size: crops in one forward pass of a new store. Features are bit-identical for one size and agree
            within rounding across sizes, so a store keeps its own unless another is given. It is halved when the
            device has no memory for it.
        workers: threads that read and decode; one per processor unless given.
        unit_size: samples that a process claims and commits together; unless given, the smallest of the models' own
            in whole batches.
        retry_failed: try images again that could not be read before.
        rehash: read every file again instead of trusting its size and time; of several devices, each reads all.
        shard: this part of the manifest alone, which no other shard has a sample of.
        mixed_versions: add to a store that was written with other versions of the libraries that compute features, or
            on a cluster whose nodes have several.
        cluster: compute on the nodes of a Ray cluster; `device` is then `cpu` or `cuda` on every node.
        on_progress: called several times a second.
        on_remark: told before the start what taps of many tokens, which are large, will take, how many samples the
            shard has, and of units that fill no batch on a cluster.

    Raises:
        UsageError: an unknown model, tap, view, perturbation or device.
        WeightsError: a model's weights cannot be had.
        ModelError: a device has no memory for a single crop.
        FeatureOverflowError: a feature that the store's number format cannot hold; earlier work is kept.
        StoreError: the features of the manifest, all shards of it, do not fit on the disk; a store was written with
            other versions; or the cache cannot be written. Earlier work is kept.
    """
    began = time.monotonic()
    devices = (device or "",) if cluster else compute.devices(device)
    if settings.decoder and "cpu" in devices:
        raise UsageError(f"--decoder {settings.decoder} needs a GPU on every --device: leave it out.")
    _require_images(manifest)
    estimate = estimate_size(manifest, settings, cache=cache, weights=weights)
    if on_remark:
        for line in estimate.remarks():
            on_remark(line)
    estimate.check()  # of all shards together: they share the disk
    if shard:
        whole, manifest = manifest, shard.samples_of(manifest)
        if on_remark:
            on_remark(shard.told(len(manifest.table), of=len(whole.table)))
    job = Job(
        manifest=manifest,
        settings=settings,
        cache=cache,
        weights=weights or {},
        batch_size=batch_size,
        workers=workers,
        unit_size=unit_size,
        retry_failed=retry_failed,
        rehash=rehash,
        mixed_versions=mixed_versions,
    )
    if cluster:
        return extract_over(job, cluster, device=device, on_progress=on_progress, on_remark=on_remark)
    if len(devices) == 1:
        return replace(extract_here(job, devices[0], on_progress=on_progress), seconds=time.monotonic() - began)
    shared = extract_on(devices, job, on_progress)
    return merged(shared.results, shared.notes, time.monotonic() - began)


def _require_images(manifest: Manifest) -> None:
    """Nothing, unless the whole folder of images is gone: then a list of a million missing files helps nobody."""
    if not manifest.root.is_dir() and any(
        not Path(path).is_absolute() and not is_url(path) for path in manifest.table["path"]
    ):
        raise ManifestError(
            f"{manifest.root} is gone, where the images of {manifest.name} were: import them from their new place with "
            "--force. Features that were extracted are kept and found again by content."
        )
