"""`memory-flat` and `rerun-million`: what long manifests cost.

`memory-flat` runs the real command over a short and a long manifest of 8 × 8 PNG files, all of distinct bytes, with
NPR, which has no weights, each in a process of its own and into a new cache; it compares the peaks of resident memory.

`rerun-million` runs the real command over a million samples that are finished. The million files are really on disk.
The first is really extracted; the keys of the others come into the index and their rows into the store through the
engine's own classes, in larger commits than an extraction makes and with random features in place of NPR's, because
computing those would take twenty minutes and change nothing that a rerun looks at. Each run must find nothing to
compute. Files and store are in the page cache.
"""

import json
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

import numpy as np

from probekit.arrays import Keys
from probekit.extract import ExtractSettings, extract
from probekit.keys import KeyIndex, file_digest
from probekit.store import Rows, list_stores
from tests.benchmarks import material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import GIB, MIB, Child, in_turn, run_probekit

MODEL = "npr"
COMMIT = 8192  # rows committed together
FOLD = 32  # commits folded together


@add(
    "memory-flat",
    stands_for="extracting a data set of 200,000 images instead of one of 2,000",
    targets={"peak memory, ratio": Target(at_least=0.90, at_most=1.10)},
)
def measure_memory(setting: Setting) -> Mapping[str, Figure]:
    """Peak memory of the long extraction over that of the short one."""
    short, long = setting.size(2000, 50), setting.size(200_000, 500)
    material.require_room(setting.folder, gigabytes=long * 6e-6, files=long)
    root = setting.folder / "images"
    names = [name for name, _ in material.tiny_pngs(root, long)]
    peaks = {}
    for n in (short, long):
        working = setting.folder / f"extraction-of-{n}"
        material.manifest_of(root, names[:n]).write(working / "manifests")
        setting.say(f"extracting {n:,} images")
        peaks[n] = _extract(working, computed=n).peak
    return {
        "peak memory, ratio": Figure(
            peaks[long] / peaks[short],
            f"{peaks[long] / MIB:,.0f} MiB for {long:,} rows, {peaks[short] / MIB:,.0f} MiB for {short:,}",
            raw={"peak_bytes": {str(n): peak for n, peak in peaks.items()}},
        )
    }


@add(
    "rerun-million",
    stands_for="the command typed again over 1,000,000 finished rows",
    targets={"time": Target(at_most=15.0, unit="s"), "peak memory": Target(at_most=1.5, unit="GiB")},
)
def measure_rerun(setting: Setting) -> Mapping[str, Figure]:
    """Time and peak memory of a whole command that finds nothing to do."""
    n = setting.size(1_000_000, 100_000)
    material.require_room(setting.folder, gigabytes=n * 6e-6, files=n)
    setting.say(f"making {n:,} finished rows")
    finish(setting.folder, n)
    peaks: list[int] = []

    def rerun() -> float:
        child = _extract(setting.folder, computed=0)
        peaks.append(child.peak)
        return child.seconds

    setting.say("running the command again")
    rerun_times = in_turn({"rerun": rerun}, setting.size(3, 1))["rerun"]
    return {
        "time": Figure(rerun_times.best, f"{n:,} rows, the fastest run", raw={"seconds": rerun_times.seconds}),
        "peak memory": Figure(max(peaks) / GIB, f"{n:,} rows, the largest run", raw={"peak_bytes": peaks}),
    }


def _extract(folder: Path, computed: int) -> Child:
    """The real command, in a folder with one manifest.

    Raises:
        RuntimeError: it computed another number of images than it should have.
    """
    child = run_probekit("extract", "--model", MODEL, "--json", folder=folder)
    found = json.loads(child.output)["models"][0]["computed"]
    if found != computed:
        raise RuntimeError(f"{found} images were computed, not {computed}")
    return child


def finish(folder: Path, n: int) -> None:
    """The state in which an extraction leaves `images/`, `manifests/` and `cache/`."""
    root, cache = folder / "images", folder / "cache"
    files, rng = material.tiny_pngs(root, n), np.random.default_rng(0)
    names = [next(files)[0]]
    extract(material.manifest_of(root, names), ExtractSettings(models=(MODEL,)), cache=cache, device="cpu")
    (store,), index = list_stores(cache), KeyIndex.open(cache)
    while some := list(islice(files, COMMIT)):
        names += [name for name, _ in some]
        keys = _remember(index, root, some)
        features = {tap: rng.random((len(some), *shape), dtype=np.float32) for tap, shape in store.taps.items()}
        store.commit(Rows(keys, np.zeros(len(some), np.int16), features, {}), names[-len(some) :])
        store.fold(at_least=FOLD)
    store.fold()
    material.manifest_of(root, names).write(folder / "manifests")


def _remember(index: KeyIndex, root: Path, files: Sequence[tuple[str, bytes]]) -> Keys:
    """Keys of files that were just written; the index has them as if it had read them."""
    digests = [file_digest(data) for _, data in files]
    for (name, _), digest in zip(files, digests, strict=True):
        path = str(root / name)
        index.add(path, os.stat(path), digest)  # noqa: PTH116  # a million times
    index.flush()
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 32)
