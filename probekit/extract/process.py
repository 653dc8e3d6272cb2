"""An extraction in one process: the stores opened, what is lacking computed, and what came of it."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from probekit.extract.plan import Plan
from probekit.extract.results import ExtractResult, ModelExtraction
from probekit.extract.settings import ExtractSettings
from probekit.extract.target import Target, open_target
from probekit.extract.work import Progress, Work
from probekit.keys import KeyIndex
from probekit.manifest import Manifest
from probekit.parallel import processors
from probekit.paths import AnyPath
from probekit.perturbations import NONE, parse_all
from probekit.samples import Samples
from probekit.store import DONE, FAILED


@dataclass(frozen=True)
class Job:
    """The arguments of `extract` that are the same on every device."""

    manifest: Manifest
    settings: ExtractSettings
    cache: AnyPath
    weights: Mapping[str, Path]
    batch_size: int | None
    workers: int | None
    unit_size: int | None
    retry_failed: bool
    rehash: bool
    mixed_versions: bool


def extract_here(
    job: Job,
    device: str,
    *,
    shard: tuple[int, int] = (0, 1),
    on_progress: Callable[[Progress], None] | None = None,
) -> ExtractResult:
    """The job done on one device; it ends when everything is done, by this process or by others.

    Args:
        job: what to do.
        device: where.
        shard: (i, n) for every n-th unit of work first, from number i on, and whatever is left of others after it.
        on_progress: called several times a second.
    """
    began = time.monotonic()
    samples = Samples.distinct(job.manifest)
    targets = open_targets(job, device)
    sizes = {target: target.batch_size for target in targets}
    index = KeyIndex.open(job.cache)
    plan = Plan(
        samples,
        targets,
        index,
        unit_size=images_per_unit(job, targets),
        retry_failed=job.retry_failed,
        rehash=job.rehash,
        shard=shard,
    )
    mixed = check_versions(plan, mixed=job.mixed_versions)
    with contextlib.closing(Work(plan, index, job.workers or processors(), on_progress)) as work:
        work.until_complete()
    for target in targets:
        target.store.fold()
    return ExtractResult(
        models=tuple(summarise(target, plan) for target in targets),
        failed=list_failures(plan),
        seconds=time.monotonic() - began,
        images=work.images,
        notes=(*mixed, *note_halved(sizes)),
    )


def images_per_unit(job: Job, targets: Sequence[Target]) -> int:
    """How many a process claims together: as the job says, or as suits the slowest model, in whole batches.

    The same on one machine and on a cluster, where batches do not reach across units, so that claims of both meet.
    """
    if job.unit_size:
        return job.unit_size
    images, largest = min(target.unit for target in targets), largest_batch(targets)
    return images if largest is None else math.ceil(images / largest.batch_size) * largest.batch_size


def largest_batch(targets: Sequence[Target]) -> Target | None:
    """The one with the most crops in a batch, of those whose batches are filled up to be computed."""
    padded = (target for target in targets if not target.model.card.per_image)
    return max(padded, key=lambda target: target.batch_size, default=None)


def open_targets(job: Job, device: str) -> list[Target]:
    """Every model under every perturbation; those of one model share its weights."""
    settings = job.settings
    targets: list[Target] = []
    for name in dict.fromkeys(settings.models):
        first: Target | None = None
        for chain in parse_all(settings.perturb or (NONE,)):
            target = open_target(
                name,
                taps=settings.taps,
                view=settings.view,
                perturb=chain.name,
                decoder=settings.decoder,
                precision=settings.precision,
                compiled=settings.compile,
                dtype=settings.dtype,
                cache=job.cache,
                weights=job.weights.get(name),
                device=device,
                batch_size=job.batch_size,
                sharing=first,
            )
            first = first or target
            targets.append(target)
    return targets


def check_versions(plan: Plan, *, mixed: bool) -> list[str]:
    """A line for each target into whose store other versions have written than are at work here.

    Where nothing is lacking nothing is written, so that nobody needs to reinstall anything to look at a finished store.

    Raises:
        StoreError: there are such, and `mixed` does not accept them.
    """
    notes = []
    for target in plan.targets:
        if plan.lacks_any(target) and (others := target.require_same_versions(mixed=mixed)):
            notes.append(
                f"{target.store.path.name} has features of other versions ({others}), as --mixed-versions allows: "
                "they agree within rounding at best."
            )
    return notes


def note_halved(sizes: Mapping[Target, int]) -> Iterator[str]:
    """A line for each target whose batches are smaller now than they were at first."""
    for target, size in sizes.items():
        if target.batch_size < size:
            yield (
                f"{target.model.card.name}: no memory for batches of {size} on {target.device}, so they were halved to "
                f"{target.batch_size}; features agree with those of other sizes within rounding."
            )


def summarise(target: Target, plan: Plan) -> ModelExtraction:
    """What an extraction did for one target."""
    status = plan.status(target)
    return ModelExtraction(
        model=target.model.card.name,
        taps=target.taps,
        view=target.view.name,
        perturb=target.view.perturbation.name,
        precision=target.precision,
        batch_size=target.batch_size,
        device=target.device,
        address=target.store.settings.address,
        name=target.store.path.name,
        weights_sha256=target.store.settings.weights_sha256,
        rows=len(plan.samples),
        done=int(np.count_nonzero(status == DONE)),
        failed=int(np.count_nonzero(status == FAILED)),
        computed=target.computed,
        seconds=round(target.seconds, 3),
    )


def list_failures(plan: Plan) -> pd.DataFrame:
    """path, model, view and reason of every sample without features."""
    failures = []
    for target in plan.targets:
        reasons = target.store.reasons()
        for row in np.flatnonzero(plan.status(target) == FAILED):
            reason = plan.unreadable.get(int(row)) or reasons.get(plan.keys[row].tobytes(), "cannot be read")
            failures.append((plan.samples.name(int(row)), target.model.card.name, target.view.name, reason))
    return pd.DataFrame(failures, columns=["path", "model", "view", "reason"])
