"""`python -m tests.benchmarks.scale.work STEP FOLDER ROWS`: one step over so many finished rows, in its own process.

It prints seconds and processor seconds of the step itself, without imports and what has to be there before.
"""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from probekit.arrays import Features, Labels
from probekit.extract import Shard, extract
from probekit.extract.plan import Plan
from probekit.features import Join
from probekit.keys import KeyIndex
from probekit.layouts import ImportOptions, import_manifest
from probekit.manifest import Manifest
from probekit.neighbours.exact import search_blocks
from probekit.probes import streamed
from probekit.probes.logistic import LogisticProbe
from probekit.probes.ridge import RidgeProbe
from probekit.samples import Samples
from probekit.store import Rows, Store, list_stores
from tests.benchmarks.scale import synthetic

QUERIES, K = 100, 10
ASKED = 10_000  # files of a look-up


class Clock:
    """Seconds and processor seconds since the last look."""

    def __init__(self) -> None:
        self.began = time.perf_counter(), time.process_time()

    def lap(self) -> dict[str, float]:
        """What has passed."""
        return {"seconds": time.perf_counter() - self.began[0], "cpu": time.process_time() - self.began[1]}


def manifest_in(folder: Path) -> Manifest:
    """The manifest, read and checked."""
    return Manifest.read(folder / "manifests" / f"{synthetic.NAME}.parquet")


def stat(folder: Path, rows: int) -> dict[str, float]:
    """Size and time of every file, by the system's own call and nothing else."""
    paths = [str(folder / "images" / synthetic.path_of(row)) for row in range(rows)]
    clock = Clock()
    for path in paths:
        os.stat(path)  # noqa: PTH116  # as the index does
    return clock.lap()


def plan(folder: Path, rows: int) -> dict[str, float]:
    """A first extraction, until the first unit could be loaded: manifest read and hashed, every row looked for."""
    clock, cache = Clock(), folder / "empty"
    manifest = manifest_in(folder)
    assert manifest.sha256
    samples, index = Samples.distinct(manifest), KeyIndex.open(cache)
    planned = Plan(samples, [synthetic.target_in(cache)], index, unit_size=256, retry_failed=False, rehash=False)
    assert len(next(planned.claim_units(everywhere=False)).rows) == min(256, rows)
    return clock.lap()


def resume(folder: Path, rows: int) -> dict[str, float]:
    """The command again, where everything is done."""
    clock = Clock()
    manifest = manifest_in(folder)
    result = extract(manifest, synthetic.SETTINGS, cache=folder / "cache", device="cpu")
    assert manifest.sha256
    assert (result.models[0].done, result.models[0].computed) == (rows, 0)
    return clock.lap()


def shard(folder: Path, rows: int) -> dict[str, float]:
    """The rows of one of sixteen shards."""
    manifest = manifest_in(folder)
    clock = Clock()
    assert 0 < len(Shard(3, 16).samples_of(manifest).table) < rows / 8
    return clock.lap()


def look_up(folder: Path, rows: int) -> dict[str, float]:
    """Keys and status of ten thousand files out of all."""
    asked = [str(folder / "images" / synthetic.path_of(row)) for row in np.linspace(0, rows - 1, ASKED, dtype=int)]
    (store,) = list_stores(folder / "cache")
    clock = Clock()
    known = KeyIndex.open(folder / "cache").look_up(asked)
    assert known.unchanged.all()
    assert store.look_up(known.digests, np.zeros(ASKED, np.int16), ["blocks"]).all()
    return clock.lap()


def verify(folder: Path, rows: int) -> dict[str, float]:
    """Every byte of the store against its checksum."""
    (store,) = list_stores(folder / "cache")
    clock = Clock()
    assert list(store.verify()) == []
    return clock.lap()


def fold(folder: Path, rows: int) -> dict[str, float]:
    """64 commits of 128 rows moved into the arrays by a process that has just begun. It changes the store."""
    (store,) = list_stores(folder / "cache")
    commit_more(store)
    clock = Clock()
    store.fold()
    return clock.lap()


def fold_again(folder: Path, rows: int) -> dict[str, float]:
    """The next 64 in the same process, and a look at what is there: as happens all along an extraction."""
    (store,) = list_stores(folder / "cache")
    commit_more(store)
    store.fold()
    commit_more(store)
    clock = Clock()
    store.fold()
    store.update()
    return clock.lap()


def commit_more(store: Store) -> None:
    """As many rows as are folded together."""
    rng = np.random.default_rng()
    for _ in range(64):
        keys = rng.integers(0, 256, (128, 32), np.uint8)
        features = {"blocks": rng.random((128, 63), dtype=np.float32)}
        store.commit(Rows(keys, np.zeros(128, np.int16), features, {}), [""])


def probe(folder: Path, rows: int, settings: RidgeProbe | LogisticProbe) -> dict[str, float]:
    """A probe fitted to the training rows over blocks, z-scored; the join with the store is part of it."""
    manifest = manifest_in(folder)
    clock = Clock()
    stream = Join(manifest, folder / "cache").stream(synthetic.MODEL)
    labels, train = stream.samples["label"].to_numpy(), (stream.samples["split"] == "train").to_numpy()

    def blocks() -> Iterator[tuple[Features, Labels]]:
        return ((features, labels[numbers]) for numbers, features in stream.blocks(train))

    found = streamed.fit(settings, blocks, condition="zscore", widths=stream.widths)
    assert found.classifier.converged
    return clock.lap()


def retrieve(folder: Path, rows: int) -> dict[str, float]:
    """Exact search of a hundred queries in a gallery that streams by; the join is part of it."""
    manifest = manifest_in(folder)
    clock = Clock()
    stream = Join(manifest, folder / "cache").stream(synthetic.MODEL)
    queries = stream.read(np.arange(QUERIES))

    def blocks() -> Iterator[tuple[int, Features, None]]:
        first = 0
        for numbers, block in stream.blocks():
            yield first, block, None
            first += len(numbers)

    assert search_blocks(queries, blocks(), K).similarities[:, 0].min() > 0.999
    return clock.lap()


def import_listing(folder: Path, rows: int) -> dict[str, float]:
    """`manifest import --layout table` over the listing in Parquet, every file looked for; the manifest is written."""
    source = folder / "manifests" / f"{synthetic.NAME}.parquet"
    clock = Clock()
    chosen = ImportOptions(listing=source)
    manifest, _ = import_manifest(folder / "images", "table", "imported", chosen)
    manifest.write(folder / "imported")
    assert len(manifest.table) == rows
    return clock.lap()


STEPS: dict[str, Callable[[Path, int], dict[str, float]]] = {
    "stat": stat,
    "plan": plan,
    "resume": resume,
    "shard": shard,
    "look-up": look_up,
    "verify": verify,
    "import": import_listing,
    "ridge": lambda folder, rows: probe(folder, rows, RidgeProbe(C=1.0)),
    "logistic": lambda folder, rows: probe(folder, rows, LogisticProbe(C=1.0)),
    "retrieve": retrieve,
    "fold": fold,
    "fold again": fold_again,
}
"""The last two add to the store, so that they come last."""


if __name__ == "__main__":
    step, place, count = sys.argv[1:]
    sys.stdout.write(json.dumps(STEPS[step](Path(place), int(count))))
