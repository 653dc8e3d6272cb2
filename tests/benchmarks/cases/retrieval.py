"""Retrieval: `exact-search`, `group-exclusion` and `gallery-cost`.

Rows are clouds of float32 numbers around centres, as features of generators are. What is compared runs in turn, in one
process, on the same arrays, with the threads that FAISS and NumPy take by themselves; the fastest of each counts.

The peers of exact search: `faiss.IndexFlatIP.search`, which neither normalises nor settles ties, on an index that is
ready; and scikit-learn's `NearestNeighbors(algorithm="brute")`, once asked for cosines, as its users do, and once for
distances of rows that were normalised for it, which is the fastest way it has. All answer all queries: few at a time,
scikit-learn would normalise the gallery anew for each few.
"""

import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from probekit.neighbours import ENGINES, Gallery, Index, search_blocks
from tests.benchmarks import material
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import MIB, in_turn

WIDTH, K = 768, 10
OF_A_GROUP = 5  # gallery rows
SIZES = (10_000, 100_000, 1_000_000)
NARROW = 256  # numbers in a row of `gallery-cost`: 1 GiB for a million rows


class Clouds:
    """Rows around 200 centres, made anew each time that they are gone through: a gallery that is never in memory."""

    def __init__(self, seed: int, n: int, width: int) -> None:
        self.seed, self.n, self.width = seed, n, width

    def __iter__(self) -> Iterator[np.ndarray]:
        centres = np.random.default_rng(0).standard_normal((200, self.width), dtype=np.float32)
        rng = np.random.default_rng([self.seed, 1])
        for start in range(0, self.n, 1 << 14):
            n = min(1 << 14, self.n - start)
            rows = rng.standard_normal((n, self.width), dtype=np.float32)
            yield 0.7 * rows + centres[rng.integers(0, len(centres), n)]

    def all(self) -> np.ndarray:
        """Every row."""
        return np.concatenate(list(self))


@add(
    "exact-search",
    stands_for="the 10 nearest of 200,000 rows of ViT-B/L features, exactly, for 1,000 queries",
    targets={
        "time over bare FAISS": Target(at_most=1.10),
        "speed over scikit-learn, cosine": Target(at_least=10),
        "speed over scikit-learn, unit rows": Target(),
    },
)
def measure_exact(setting: Setting) -> Mapping[str, Figure]:
    """Time of a prepared gallery's search over that of its peers."""
    import faiss
    from sklearn.neighbors import NearestNeighbors

    n, q, width = setting.size(200_000, 3000), setting.size(1000, 40), setting.size(WIDTH, 32)
    gallery, queries = Gallery.of(Clouds(1, n, width).all()), Clouds(2, q, width).all()
    flat = faiss.IndexFlatIP(width)
    flat.add(gallery.rows)
    unit = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    sklearn = {
        metric: NearestNeighbors(n_neighbors=K, algorithm="brute", metric=metric, n_jobs=-1).fit(gallery.rows)
        for metric in ("cosine", "euclidean")
    }
    things: dict[str, Callable[[], object]] = {
        "probekit": lambda: gallery.search(queries, K),
        "FAISS": lambda: flat.search(unit, K),
        "cosine": lambda: sklearn["cosine"].kneighbors(unit),
        "euclidean": lambda: sklearn["euclidean"].kneighbors(unit),
    }
    times = in_turn({name: _timed(thing) for name, thing in things.items()}, setting.size(3, 2))
    ours, bare = times["probekit"].best, times["FAISS"].best
    raw = {"rows": n, "queries": q, "width": width, "seconds": {key: found.seconds for key, found in times.items()}}
    figures = {"time over bare FAISS": Figure(ours / bare, f"{ours:.3f} s against {bare:.3f} s", raw=raw)}
    for metric, name in (("cosine", "cosine"), ("euclidean", "unit rows")):
        peer = times[metric].best
        because = f"{ours:.3f} s against {peer:.3f} s"
        figures[f"speed over scikit-learn, {name}"] = Figure(peer / ours, because)
    return figures


@add(
    "group-exclusion",
    stands_for="the same, where variants of the query's own source do not count",
    targets={"time over no groups": Target(at_most=1.15)},
)
def measure_groups(setting: Setting) -> Mapping[str, Figure]:
    """Time of a search that leaves out the query's group over one that leaves out nothing."""
    n, q, width = setting.size(200_000, 3000), setting.size(1000, 40), setting.size(WIDTH, 32)
    rows = Clouds(1, n, width).all()
    chosen = np.random.default_rng(3).choice(n, q, replace=False)
    queries = rows[chosen] + np.float32(0.1)
    groups = np.array([f"source/{row // OF_A_GROUP:08}.png" for row in range(n)], dtype=object)
    free = Gallery.of(rows)
    grouped = Gallery.of_unit(free.rows, groups)
    del rows
    times = in_turn(
        {
            "without": _timed(lambda: free.search(queries, K)),
            "with": _timed(lambda: grouped.search(queries, K, groups[chosen])),
        },
        setting.size(5, 2),
    )
    found, alone = times["with"].best, times["without"].best
    return {
        "time over no groups": Figure(
            found / alone,
            f"{found:.3f} s against {alone:.3f} s, groups of {OF_A_GROUP}",
            raw={"rows": n, "queries": q, "seconds": {key: value.seconds for key, value in times.items()}},
        )
    }


@add(
    "gallery-cost",
    stands_for="one query against galleries of 10⁴ to 10⁶ rows of 256 numbers, by each engine",
    targets={
        **{f"{engine}, {n:,} rows": Target(unit="ms") for n in SIZES for engine in ENGINES},
        "least recall@10 of flat": Target(at_least=0.999, unit="%"),
        "least recall@10 of ivf": Target(at_least=0.90, unit="%"),
        "least recall@10 of hnsw": Target(at_least=0.90, unit="%"),
    },
)
def measure_cost(setting: Setting) -> Mapping[str, Figure]:
    """Milliseconds of a query that comes alone; build, size and recall beside it. Galleries stream by."""
    width = setting.size(NARROW, 16)
    material.require_room(setting.folder, gigabytes=2)
    figures: dict[str, Figure] = {}
    recalls: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    for n in SIZES[: setting.size(len(SIZES), 1)]:
        gallery, queries = Clouds(1, n, width), Clouds(2, setting.size(200, 30), width).all()
        nearest = search_blocks(queries, _numbered(gallery), K).similarities[:, -1:]
        for engine in ENGINES:
            setting.say(f"{engine} of {n:,} rows")
            found = _cost(setting, gallery, queries, nearest, engine)
            recalls[engine].append(found["recall"])
            because = "built in {build:.1f} s, {mib:.0f} MiB, recall@10 {recall:.3f}, effort {effort:.0f}"
            figures[f"{engine}, {n:,} rows"] = Figure(found["ms"], because.format(**found), raw=found)
    for engine in ("flat", "ivf", "hnsw"):
        figures[f"least recall@10 of {engine}"] = Figure(min(recalls[engine]), f"{len(recalls[engine])} galleries")
    return figures


def _cost(setting: Setting, gallery: Clouds, queries: np.ndarray, nearest: np.ndarray, engine: str) -> dict[str, float]:
    """What one engine takes and finds; ivfpq's recall is the one it was built with, as its similarities are codes'."""
    began = time.perf_counter()
    index = Index.build(gallery, np.arange(gallery.n), engine)
    build = time.perf_counter() - began
    file = setting.folder / "index.faiss"
    index.write(file)
    recall = float((index.search(queries, K)[0] >= nearest - 1e-5).mean())
    took = []
    for query in queries:
        began = time.perf_counter()
        index.search(query[None], K)
        took.append(time.perf_counter() - began)
    return {
        "ms": 1e3 * float(np.median(took)),
        "build": build,
        "mib": file.stat().st_size / MIB,
        "recall": (index.recall or 0.0) if engine == "ivfpq" else recall,
        "effort": index.effort or 0,
    }


def _numbered(gallery: Clouds) -> Iterator[tuple[int, np.ndarray, None]]:
    start = 0
    for rows in gallery:
        yield start, rows, None
        start += len(rows)


def _timed(thing: Callable[[], object]) -> Callable[[], float]:
    """The thing, taking its own time: what it answers is not for the clock."""

    def run() -> float:
        began = time.perf_counter()
        thing()
        return time.perf_counter() - began

    return run
