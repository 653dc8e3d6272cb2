"""Maps: `map`.

The peer is bare openTSNE on the same principal components, with the same number of iterations, starting points and
threads: what stands between the two is condition, PCA, trustworthiness and purity. Both run in turn, in one process.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from probekit.features import FeatureSet, Source
from probekit.maps import MapSettings, embed_map
from probekit.maps.methods import principal_axes
from probekit.maps.methods.tsne import EARLY, LATE
from tests.benchmarks.benchmark import Figure, Setting, Target, add
from tests.benchmarks.timing import in_turn

WIDTH = 768


@add(
    "map",
    stands_for="a t-SNE map of 10,000 images by features of a ViT-B",
    targets={"seconds": Target(at_most=60, unit="s"), "time over bare openTSNE": Target(at_most=1.25)},
)
def measure(setting: Setting) -> Mapping[str, Figure]:
    """Time of a map with its quality figures, and over that of the layout alone."""
    import openTSNE
    from sklearn.decomposition import PCA

    n, width = setting.size(10_000, 300), setting.size(WIDTH, 64)
    features = _clouds(n, width)
    x = features.matrix
    components = PCA(50, random_state=0).fit_transform((x - x.mean(axis=0)) / x.std(axis=0))

    def bare() -> None:
        openTSNE.TSNE(
            initialization=principal_axes(components, 0),
            early_exaggeration_iter=EARLY,
            n_iter=LATE,
            negative_gradient_method="fft" if n >= 3000 else "bh",
            n_jobs=1,
            random_state=0,
        ).fit(components)

    things = {"probekit": lambda: _nothing(embed_map(features, MapSettings())), "openTSNE": bare}
    times = in_turn(things, setting.size(2, 1), warm_up=False)
    ours, peer = times["probekit"].best, times["openTSNE"].best
    raw = {"rows": n, "width": width, "seconds": {name: found.seconds for name, found in times.items()}}
    because = f"{ours:.1f} s against {peer:.1f} s, {n:,} × {width}"
    return {
        "seconds": Figure(ours, f"{n:,} × {width}, one thread", raw=raw),
        "time over bare openTSNE": Figure(ours / peer, because, raw=raw),
    }


def _clouds(n: int, width: int) -> FeatureSet:
    """Six overlapping generators."""
    rng = np.random.default_rng(0)
    number = rng.integers(0, 6, n)
    centres, mixing = 0.15 * rng.normal(size=(6, width)), rng.normal(size=(width, width)) / (2 * np.sqrt(width))
    x = centres[number] + rng.normal(size=(n, width)) @ mixing
    samples = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(n)],
            "label": (number > 0).astype(int),
            "generator": np.array(["real", *"abcde"], dtype=object)[number],
            "domain": "",
            "split": "train",
            "group": [str(row) for row in range(n)],
        }
    )
    source = Source("clouds", "raw", "none", "float32", "0" * 64)
    return FeatureSet("clouds", (source,), samples, (x.astype(np.float32),), pd.DataFrame({"path": []}))


def _nothing(_answer: object) -> None:
    """An answer that is no time."""
