"""Feature sets to map: clouds of points, one a generator."""

import numpy as np
import pandas as pd

from probekit.features import FeatureSet, Source


def feature_set(generator, *blocks):
    n = len(generator)
    samples = pd.DataFrame(
        {
            "path": [f"{row}.png" for row in range(n)],
            "label": (np.asarray(generator) != "real").astype(int),
            "generator": generator,
            "domain": "",
            "split": "train",
            "group": [f"g{row}" for row in range(n)],
        }
    )
    source = Source("cloud", "raw", "none", "float32", "0" * 64)
    arrays = tuple(np.asarray(block, dtype=np.float32) for block in blocks)
    return FeatureSet("cloud", (source,) * len(arrays), samples, arrays, pd.DataFrame({"path": []}))


def clouds(n=120, d=70, apart=4.0, seed=0):
    rng = np.random.default_rng(seed)
    generator = rng.choice(["real", "telea", "shiftmap"], n)
    centres = {name: apart * rng.normal(size=d) for name in ("real", "telea", "shiftmap")}
    return feature_set(generator, np.stack([centres[name] for name in generator]) + rng.normal(size=(n, d)))
