"""`ray-overhead`: what Ray costs an extraction by two workers, over an ideal split of the work.

    ratio = T(Ray, an image) / T(ideal, an image),   T(ideal, an image) = mean of T(a process, an image of its own) / 2

- Ray: two nodes of one processor each on this machine, a worker of one thread on each, by `probekit.extract.extract`.
- Ideal: two plain processes of one thread at a time, each with every other image and a store of its own: as if both
  ended at the same moment, so that what Ray loses in the end, when one worker has nothing left, is counted.

The first quarter of the images is not counted: workers start, libraries and weights are loaded. The processes that
Ray itself runs take their time from the same processors.
"""

import contextlib
import multiprocessing
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from probekit.extract import ClusterSettings, ExtractSettings, Progress, extract
from probekit.manifest import Manifest
from probekit.models import compute
from tests.benchmarks import machine, material
from tests.benchmarks.benchmark import Figure, NotMeasured, Setting, Target, add
from tests.benchmarks.timing import in_turn

ARCH = "vit_tiny_patch16_224"
MODEL = f"timm:{ARCH}"
WORKERS, UNIT = 2, 64  # two batches: on a cluster they do not reach across units, and short ones are filled up
NODE = {"num_cpus": 1, "object_store_memory": 80 << 20}


@add(
    "ray-overhead",
    stands_for="an extraction on a cluster: ViT-Ti/16 in float32, JPEGs of 512², two workers",
    targets={"over an ideal split": Target(at_most=1.05)},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """Time of an image on Ray over that of an ideal split."""
    if machine.cores() < WORKERS:
        raise NotMeasured(f"{WORKERS} workers need as many processors")
    if find_spec("ray") is None:
        raise NotMeasured("Ray is not installed: pip install 'probekit[ray]'")
    n = setting.size(3200, 400)  # so many that the last unit, which one worker has alone, is 2 % of them
    setting.say(f"making {n} images")
    names = material.photographs(setting.shared / "images", n)
    work = Work(
        material.manifest_of(setting.shared / "images", names),
        material.timm_checkpoint(setting.shared, ARCH),
        setting.folder / "cache",
    )
    with two_nodes() as address:
        times = in_turn({"ideal": work.split, "ray": lambda: work.on_ray(address)}, setting.size(3, 1), warm_up=False)
    ideal, there = times["ideal"].best, times["ray"].best
    return {
        "over an ideal split": Figure(
            there / ideal,
            f"{1 / there:.1f} images/s over {1 / ideal:.1f}",
            raw={"seconds_an_image": {name: found.seconds for name, found in times.items()}},
        )
    }


@dataclass(frozen=True)
class Work:
    """An extraction; each of its ways begins with nothing done."""

    manifest: Manifest
    weights: Path
    cache: Path

    def split(self) -> float:
        """Seconds an image, if two processes with a half each ended together."""
        context = multiprocessing.get_context("spawn")
        start, found = context.Barrier(WORKERS), context.Queue()
        table = self.manifest.table
        processes = []
        for number in range(WORKERS):
            half = replace(self.manifest, table=table.iloc[number::WORKERS].reset_index(drop=True))
            own = replace(self, manifest=half, cache=self.cache.with_name(f"half{number}"))
            processes.append(context.Process(target=own.tell, args=(start, found)))
            processes[-1].start()
        seconds = [found.get() for _ in processes]
        for process in processes:
            process.join()
        return sum(seconds) / WORKERS**2

    def tell(self, start: Barrier, found: "Queue[float]") -> None:
        """What a process of its own does."""
        found.put(self.timed(None, start))

    def on_ray(self, address: str) -> float:
        """Seconds an image, by the workers of a cluster."""
        return self.timed(ClusterSettings(address))

    def timed(self, cluster: ClusterSettings | None, start: Barrier | None = None) -> float:
        """Seconds an image, the first quarter left out."""
        shutil.rmtree(self.cache, ignore_errors=True)
        compute.limit_threads(1)
        few, marks = len(self.manifest.table) // 4, []

        def mark(progress: Progress) -> None:
            if progress.computed >= few:
                marks.append((time.perf_counter(), progress.computed))

        if start:
            start.wait()
        extract(
            self.manifest, ExtractSettings((MODEL,), precision="float32"), cache=self.cache,
            weights={MODEL: self.weights}, device="cpu", unit_size=UNIT, workers=1, cluster=cluster, on_progress=mark,
        )  # fmt: skip
        (began, before), (_, after) = marks[0], marks[-1]
        ended = next(at for at, computed in marks if computed == after)
        return (ended - began) / (after - before)


@contextlib.contextmanager
def two_nodes() -> Iterator[str]:
    """The address of a cluster on this machine, a node for each worker."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    from ray.cluster_utils import Cluster

    nodes = Cluster(initialize_head=True, head_node_args={**NODE, "include_dashboard": False})
    try:
        nodes.add_node(**NODE)
        yield nodes.address
    finally:
        nodes.shutdown()
