"""Questions of many features, answered on a Ray cluster: each worker reads the features itself from the shared cache.

What travels to a worker is the name of the features and a question; what comes back is what the question found.
"""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pandas as pd

from probekit.errors import UsageError
from probekit.features import FeatureSet, FeatureStream, Join, Selector
from probekit.fingerprint import JSONValue
from probekit.manifest import Manifest
from probekit.models import compute
from probekit.parallel import limit_processors
from probekit.parallel.cluster import Place, process_name
from probekit.parallel.connecting import ClusterSettings
from probekit.parallel.ordered import OnProgress, OrderedWorkers, ordered_workers
from probekit.paths import AnyPath
from probekit.records import public_version, versions

COMPUTING = ("probekit", "numpy", "scipy", "scikit-learn", "torch", "pandas", "faiss-cpu", "faiss-gpu")
"""Libraries that can change an answer: every node has the same version of each."""


F = TypeVar("F", bound=FeatureSet | FeatureStream)


class Limit(Protocol):
    """What features may take of a worker's memory; picklable."""

    @property
    def size(self) -> int:
        """Bytes."""

    def fits(self, samples: pd.DataFrame, width: int) -> bool:
        """Whether features of so many columns can be loaded."""


@dataclass(frozen=True)
class Ask:
    """A question of the features that a reference names, as it travels."""

    reference: str
    selector: Selector
    question: Callable[..., Any]
    """Picklable; called with the features and, if there are any, with their variants."""
    variants: Mapping[str, tuple[Selector, str]] = field(default_factory=dict)
    """Name → which stores have the same features of other versions of the images, and their identity."""
    identity: str = ""
    """Of the features that the asker means (`FeatureSet.identity`); empty: whatever the worker finds."""
    limit: "Limit | None" = None
    """Beyond which the question is asked of a stream; None: whatever the features take."""

    def __str__(self) -> str:
        return f"{'a question' if isinstance(self.question, partial) else self.question} of {self.reference}"


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of an `Ask`."""

    found: Any
    worker: str
    """Name of the worker."""


@dataclass(frozen=True)
class Introduction:
    """What a worker is, and what it sees."""

    name: str
    """HOST:PROCESS."""
    host: str
    threads: int
    versions: Mapping[str, str]
    manifest_sha256: str
    stores: tuple[str, ...]
    """Addresses of all stores of the cache."""


@dataclass(frozen=True)
class Material:
    """What is asked about; every node sees it under the same paths."""

    manifest: Manifest
    cache: AnyPath
    allow_missing: bool = False

    def open(self) -> Join:
        """Manifest and stores, matched anew."""
        return Join(self.manifest, self.cache)


class Sweep:
    """Workers on a cluster that answer questions of one manifest and one cache."""

    def __init__(self, workers: "OrderedWorkers[Ask, Answer]", known: dict[str, Introduction]) -> None:
        self._workers = workers
        self._known = known
        self._asked: dict[str, int] = {}

    def parts(self, questions: int, most: int) -> int:
        """In how many parts to ask each of several questions that can be divided into at most so many.

        A part has as much to do side by side as a worker has threads, unless there were fewer parts than workers.
        """
        places = self._workers.places
        threads = max((1 if place.gpu else place.threads for place in places), default=1)  # a GPU fits one by one
        return max(1, min(most, max(-(-most // threads), -(-len(places) // max(questions, 1)))))

    def shares(self, questions: int) -> int:
        """In how many parts to ask each of several questions, of which a part keeps all threads of a worker busy.

        Two for each worker, so that fast ones do more.
        """
        return max(1, -(-2 * len(self._workers.places) // max(questions, 1)))

    def answers(self, asked: Sequence[Ask], on_progress: OnProgress) -> Iterator[Answer]:
        """The answer to each question, in their order, as soon as those before it are there.

        Raises:
            ProbekitError: what a question ended with, when its turn comes.
            ModelError: a question kills its workers, or there is nowhere left to compute.
        """
        for answer in self._workers.map(asked, on_progress):
            self._asked[answer.worker] = self._asked.get(answer.worker, 0) + 1
            yield answer

    @property
    def notes(self) -> list[str]:
        """A line for each node on which workers were lost."""
        return self._workers.notes

    def record(self) -> list[dict[str, JSONValue]]:
        """Name, threads, versions and number of answers of each worker."""
        return [
            {
                "name": worker.name,
                "threads": worker.threads,
                "versions": dict(worker.versions),
                "units": self._asked.get(worker.name, 0),
            }
            for worker in self._known.values()
        ]


@contextmanager
def open_sweep(
    material: Material,
    stores: Iterable[str],
    settings: ClusterSettings,
    *,
    gpus: bool = False,
    on_remark: Callable[[str], None] | None = None,
) -> Iterator[Sweep]:
    """A cluster that answers questions, its workers ended at the end.

    Args:
        material: what is asked about.
        stores: addresses of the stores that this process sees, which every worker must see, too.
        settings: which cluster.
        gpus: one worker for each GPU; otherwise one for each node.
        on_remark: told when the cluster has no room for a worker.

    Raises:
        UsageError: no Ray, no such cluster, or a node with other versions, manifest or stores.
    """
    known: dict[str, Introduction] = {}
    here = Introduction(
        "this process", socket.gethostname(), 0, versions(), material.manifest.sha256, tuple(sorted(stores))
    )

    def greet(_: Place, worker: Introduction) -> None:
        _require_alike(worker, here, material)
        known[worker.name] = worker

    build = _Build.of(material)
    with ordered_workers(build, settings, on_worker=greet, gpus=gpus, on_remark=on_remark) as workers:
        yield Sweep(workers, known)


@dataclass(frozen=True)
class _Build:
    """What makes a worker on its node."""

    file: Path | None
    """Of the manifest, which the node reads itself; None where it has none on a disk, and travels."""
    material: Material

    @classmethod
    def of(cls, material: Material) -> "_Build":
        """The same paths wherever the worker is."""
        manifest = material.manifest
        if isinstance(material.cache, Path):
            material = replace(material, cache=material.cache.absolute())
        if manifest.path is None:
            return cls(None, replace(material, manifest=replace(manifest, root=manifest.root.absolute())))
        empty = replace(manifest, table=manifest.table.iloc[:0])
        return cls(manifest.path.absolute(), replace(material, manifest=empty))

    def __call__(self, place: Place) -> "Asked":
        manifest = self.material.manifest if self.file is None else Manifest.read(self.file)
        return Asked(replace(self.material, manifest=manifest), place.threads)


class Asked:
    """A worker: it answers one question after another, and keeps the features of the last one."""

    def __init__(self, material: Material, threads: int) -> None:
        self._material = material
        self._threads = threads
        self._join = material.open()
        self._held: tuple[tuple[str, Selector, str], FeatureSet | FeatureStream] | None = None
        self._answering = threading.Lock()
        limit_processors(threads)

    def introduce(self) -> Introduction:
        """What and where it is."""
        return Introduction(
            process_name(),
            socket.gethostname(),
            self._threads,
            versions(),
            self._join.manifest.sha256,
            tuple(sorted(store.settings.address for store in self._join.stores)),
        )

    def compute(self, ask: Ask) -> Answer:
        """The answer.

        Raises:
            ProbekitError: as the question, or because there are no such features, or others than were meant.
        """
        with self._answering:
            compute.limit_threads(self._threads)  # which PyTorch counts for each thread that computes
            features = self._features(ask)
            variants = {
                name: _as_meant(self._join.load(ask.reference, selector, allow_missing=True), identity)
                for name, (selector, identity) in ask.variants.items()
            }
            found = ask.question(features, variants) if variants else ask.question(features)
            return Answer(found, process_name())

    def _features(self, ask: Ask) -> FeatureSet | FeatureStream:
        wanted = (ask.reference, ask.selector, ask.identity)
        if self._held is None or self._held[0] != wanted:
            self._held = None  # so that two are never held at once
            self._held = (wanted, _as_meant(self._opened(ask), ask.identity))
        return self._held[1]

    def _opened(self, ask: Ask) -> FeatureSet | FeatureStream:
        allow, limit = self._material.allow_missing, ask.limit
        if limit is None:
            return self._join.load(ask.reference, ask.selector, allow_missing=allow)
        return self._join.open(ask.reference, ask.selector, fits=limit.fits, memory=limit.size, allow_missing=allow)


def _as_meant(found: F, identity: str) -> F:
    """The features, if they are those that the asker means.

    Raises:
        UsageError: they are of other samples.
    """
    if identity not in ("", found.identity):
        raise UsageError(
            f"{found.reference}: {process_name()} finds other samples with features than there were when this was "
            "asked: something was extracted meanwhile. Ask again."
        )
    return found


def _require_alike(worker: Introduction, here: Introduction, material: Material) -> None:
    """Nothing, if the worker sees what this process sees, and computes with the same versions.

    Raises:
        UsageError: it does not.
    """
    if worker.manifest_sha256 != here.manifest_sha256:
        where = material.manifest.path or material.manifest.name
        raise UsageError(
            f"{worker.host} sees another manifest than this machine at {where}: put it on a disk that all nodes share."
        )
    if set(here.stores) - set(worker.stores):
        raise UsageError(
            f"{worker.host} does not see this machine's {material.cache}: the cache must be in a bucket or on a "
            "disk that all nodes share."
        )
    for library in COMPUTING:
        theirs, ours = (public_version(one.versions.get(library, "none")) for one in (worker, here))
        if theirs != ours:
            raise UsageError(f"{worker.host} has {library} {theirs}, this machine {ours}: install the same there.")
