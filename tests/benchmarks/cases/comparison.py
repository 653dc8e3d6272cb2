"""`cka-taps`: CKA of all taps of a model against each other.

The peer is what everybody writes: each tap's centred Gram matrix once, n × n in float64, and the products of every two
of them. It is timed on a few taps, and its time for all of them follows from what it does for each tap and for each
pair. It gives no intervals; ours, of both forms, are timed with and without.
"""

import time
from collections.abc import Mapping

import numpy as np
import pandas as pd

from probekit.arrays import Float
from probekit.comparison import CkaSettings, compare_features
from probekit.features import FeatureSet, Source
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import in_turn

SPEED, INTERVALS, GAP = "speed", "cost of intervals", "difference to the peer, worst"


@add(
    "cka-taps",
    stands_for="`probekit compare --taps all --measure cka`: 24 taps × 10,000 images × 1,024, 276 pairs",
    targets={
        SPEED: Target(at_least=1.0),
        INTERVALS: Target(at_most=1.5),
        GAP: Target(at_most=1.0, unit="ppm"),
    },
)
def measure_cka(setting: Setting) -> Mapping[str, Figure]:
    """Made features of which each tap is a noisy mixture of the one before."""
    taps, n, width, sample = (setting.size(*sizes) for sizes in ((24, 5), (10_000, 400), (1024, 64), (3, 3)))
    every = _taps(taps, n, width)
    loads = [lambda own=own: own for own in every]
    plain, with_intervals = CkaSettings(parts=0), CkaSettings()
    _run(loads[:2], with_intervals)  # what is loaded and set up once
    setting.say("CKA without and with intervals")
    ours = in_turn(
        {
            "without": lambda: _run(loads, plain),
            "with": lambda: _run(loads, with_intervals),
        },
        1,
        warm_up=False,
    )
    setting.say(f"the peer on {sample} taps")
    peer_taps, peer_pairs, expected = _peer([features.matrix for features in every[:sample]])
    found = compare_features(loads[:sample], plain).matrix("cka_biased").to_numpy()
    gap = float(np.max(np.abs(found - expected)))
    pairs = taps * (taps + 1) // 2
    peer = taps * peer_taps + pairs * peer_pairs
    own = ours["without"].best
    because = (
        f"{own:.1f} s against {peer:.1f} s, from {sample} taps: {peer_taps:.2f} s a tap, {peer_pairs:.3f} s a pair"
    )
    return {
        SPEED: Figure(peer / own, because, raw={name: times.seconds for name, times in ours.items()}),
        INTERVALS: Figure(ours["with"].best / own, f"{ours['with'].best:.1f} s with intervals, {own:.1f} s without"),
        GAP: Figure(1e6 * gap, f"{gap:.1e} of biased CKA"),
    }


def _run(loads: list, settings: CkaSettings) -> float:  # type: ignore[type-arg]  # as `compare_features` takes them
    began = time.perf_counter()
    compare_features(loads, settings)
    return time.perf_counter() - began


def _peer(matrices: list[Float[np.ndarray, "n d"]]) -> tuple[float, float, Float[np.ndarray, "f f"]]:
    """Seconds for the Gram matrix of a tap and for the product of a pair, and biased CKA."""
    began = time.perf_counter()
    grams = []
    for matrix in matrices:
        wide = matrix.astype(np.float64)
        wide -= wide.mean(axis=0)
        grams.append(wide @ wide.T)
    between = time.perf_counter()
    products = np.array([[np.sum(a * b) for b in grams] for a in grams])
    ended = time.perf_counter()
    lengths = np.sqrt(np.diag(products))
    return (between - began) / len(grams), (ended - between) / len(grams) ** 2, products / np.outer(lengths, lengths)


def _taps(taps: int, n: int, width: int) -> list[FeatureSet]:
    rng = np.random.default_rng(0)
    number = np.arange(n)
    samples = pd.DataFrame(
        {
            "path": [f"{i}.png" for i in number],
            "label": number % 2,
            "generator": np.where(number % 2 == 0, "real", "made"),
            "domain": "photographs",
            "split": "train",
            "group": [f"photograph {i}" for i in number],  # of a larger group, ours takes one image and the peer all
        }
    )
    features = rng.standard_normal((n, width), dtype=np.float32)
    found = []
    for tap in range(taps):
        turn = rng.standard_normal((width, width), dtype=np.float32) / np.sqrt(width, dtype=np.float32)
        features = np.maximum(features @ turn, 0) + 0.3 * rng.standard_normal((n, width), dtype=np.float32)
        source = Source("made", f"cls@{tap}", "none", "float32", "")
        found.append(FeatureSet("made", (source,), samples, (features,), samples[:0]))
    return found
