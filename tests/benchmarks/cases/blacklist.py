"""`blacklist-register` and `blacklist-match`: a blacklist of 1,000,000 examples of 768 numbers, as DINOv2 ViT-B gives.

Its vectors lie around 2,000 directions, 500 each, so that an index has something to find. 10,000 more are registered at
once, vectors, ids, table and the look-up of doubles included, and synced to the disk. One image's features are then
matched, generator and nearest examples with their paths included, against a bare FAISS `IndexFlatIP` of the same rows,
which is searched on the same threads.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from probekit import blacklist
from probekit.arrays import Features, Keys
from probekit.blacklist.record import write_record
from probekit.blacklist.segments import FOLDER, Rows, write_segment
from probekit.heads.saved import Block
from probekit.store import StoreSettings
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import GIB, in_turn

WIDTH, CLASSES, NEW = 768, 2000, 10_000
BLOCKS = (
    Block("cls", WIDTH, StoreSettings("hf:some/vit", "0" * 64, {"policy": "resize"}, "resize256-crop224", "float32")),
)
QUERIES = 8
BLOCK = 1 << 14


@add(
    "blacklist-register",
    stands_for="10,000 images of a new generator, registered into a blacklist of 1,000,000 × 768",
    targets={"seconds": Target(at_most=2.0, unit="s"), "on disk": Target(unit="GiB")},
)
def register(setting: Setting) -> Mapping[str, Figure]:
    """Seconds until the new examples are safe."""
    n, new = setting.size(1_000_000, 20_000), setting.size(NEW, 200)
    path = filled(setting.folder, n)
    numbers = iter(range(1, 100))

    def once() -> None:
        number = next(numbers)
        done = blacklist.register(path, f"new-{number}", images(new, seed=10_000 + number))
        assert done.added == new

    seconds = in_turn({"register": once}, setting.size(3, 1))["register"]
    size = sum(file.stat().st_size for file in (path / FOLDER).iterdir())
    return {
        "seconds": Figure(seconds.best, f"{new:,} examples into {n:,}", raw={"seconds": seconds.seconds}),
        "on disk": Figure(size / GIB, f"{len(blacklist.Blacklist.open(path)):,} examples, mapped when searched"),
    }


@add(
    "blacklist-match",
    stands_for="one image's features matched against a blacklist of 1,000,000 × 768",
    targets={
        "flat": Target(at_most=1.10),
        "ivf": Target(at_most=0.05, unit="s"),
        "ivf recall": Target(unit="%"),
        "index": Target(unit="GiB"),
    },
)
def match(setting: Setting) -> Mapping[str, Figure]:
    """How long a match takes against bare FAISS, and through an index; how often that finds the same example."""
    import faiss

    n = setting.size(1_000_000, 20_000)
    path = filled(setting.folder, n)
    opened = blacklist.Blacklist.open(path)
    bare = faiss.IndexFlatIP(WIDTH)
    for segment in opened.segments:
        bare.add(np.asarray(segment.vectors))
    queries = images(QUERIES, seed=99)
    setting.say("blacklist-match: building the index")
    asked = {engine: blacklist.MatchSettings(threshold=0.5, top=5, index=engine) for engine in ("flat", "ivf")}
    searchers = {engine: blacklist.open_searcher(opened, engine) for engine in asked}
    single = [queries.take(np.array([row])) for row in range(QUERIES)]

    def matched(engine: str) -> list[str]:
        found = [blacklist.match(opened, each, asked[engine], searcher=searchers[engine]) for each in single]
        return [str(each.table["example"].iloc[0]) for each in found]

    def searched() -> None:
        for row in range(QUERIES):
            bare.search(queries.vectors[row : row + 1], 5)

    things = {"flat": lambda: matched("flat") and None, "bare": searched, "ivf": lambda: matched("ivf") and None}
    times = in_turn(things, setting.size(5, 1))
    flat, peer, ivf = (times[name].best / QUERIES for name in ("flat", "bare", "ivf"))
    same = float(np.mean([ours == exact for ours, exact in zip(matched("ivf"), matched("flat"), strict=True)]))
    index = max(file.stat().st_size for file in (path / "index").glob("*.faiss"))
    raw = {"seconds": {name: [each / QUERIES for each in found.seconds] for name, found in times.items()}}
    return {
        "flat": Figure(flat / peer, f"{1e3 * flat:.1f} ms against {1e3 * peer:.1f} ms, {n:,} × {WIDTH}", raw=raw),
        "ivf": Figure(ivf, f"{1e3 * ivf:.1f} ms an image, {ivf / peer:.3f} of bare FAISS"),
        "ivf recall": Figure(same, f"of {QUERIES} queries, the same nearest example as exactly"),
        "index": Figure(index / GIB, f"the index; flat maps {4 * n * WIDTH / GIB:.2f} GiB of vectors instead"),
    }


def filled(folder: Path, n: int) -> Path:
    """A blacklist of n examples in ten segments, as ten registrations leave it."""
    path = folder / "blacklist"
    record = blacklist.create(path, BLOCKS).record
    segments = []
    for part in range(10):
        size = n // 10
        rows = Rows(keys(size, part), unit_blocks(size, part), table(size, f"generator-{part}"))
        segments.append(write_segment(path / FOLDER, rows))
    counts = {f"generator-{part}": n // 10 for part in range(10)}
    write_record(path, replace(record, segments=tuple(segments), generators=counts, added=n, version=11))
    return path


def images(n: int, seed: int) -> blacklist.ImageSet:
    """New images with features."""
    samples = pd.DataFrame({"path": [f"{seed}/{row}.png" for row in range(n)], "generator": "", "group": ""})
    nothing = pd.DataFrame(columns=["path", "reason"])
    return blacklist.ImageSet(samples, keys(n, seed), np.vstack(list(unit_blocks(n, seed))), BLOCKS, nothing, "images")


def keys(n: int, seed: int) -> Keys:
    """Ids that are all different, almost surely."""
    return np.random.default_rng([seed, 1]).integers(0, 256, (n, 32), dtype=np.uint8)


def unit_blocks(n: int, seed: int) -> Iterator[Features]:
    """Rows of length 1, some at a time, each near one of the directions."""
    centres = np.random.default_rng(0).standard_normal((CLASSES, WIDTH), dtype=np.float32)
    rng = np.random.default_rng([seed, 2])
    for start in range(0, n, BLOCK):
        size = min(BLOCK, n - start)
        rows = centres[rng.integers(0, CLASSES, size)] + rng.standard_normal((size, WIDTH), dtype=np.float32)
        yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def table(n: int, generator: str) -> pd.DataFrame:
    """What is known of n examples."""
    paths = [f"pictures/{generator}/{row:07d}.png" for row in range(n)]
    return pd.DataFrame(
        {
            "generator": generator,
            "path": paths,
            "manifest": "pictures",
            "manifest_sha256": "0" * 64,
            "group": paths,
            "added": "2026-01-01T00:00:00+00:00",
        }
    )
