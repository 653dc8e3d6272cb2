"""Small clouds of features, one around a direction of each generator."""

import numpy as np
import pandas as pd

from probekit.features import FeatureSet, Source
from probekit.retrieval import RetrievalSettings

QUICK = RetrievalSettings(bootstrap=0)


def feature_set(samples, *blocks):
    samples = samples.reset_index(drop=True).assign(domain="", label=(samples["generator"] != "real").astype(int))
    samples["path"] = [f"{row:04d}.png" for row in range(len(samples))]
    sources = tuple(Source("cloud", "raw", "none", "float32", "0" * 64) for _ in blocks)
    excluded = pd.DataFrame({"path": [], "generator": [], "reason": []})
    return FeatureSet("cloud", sources, samples, tuple(b.astype(np.float32) for b in blocks), excluded)


def clouds(seed=0, n=300, spread=0.6, generators=("real", "lama", "ldm", "repaint"), groups=40, d=8):
    """Samples around one direction a generator; groups lie inside one split, about 60/20/20."""
    rng = np.random.default_rng(seed)
    centres = dict(zip(generators, rng.normal(size=(len(generators), d)), strict=True))
    generator = rng.choice(generators, n)
    group = rng.integers(0, groups, n)
    split = np.array(["train"] * 3 + ["val", "test"])[group % 5]
    features = np.stack([centres[name] for name in generator]) + spread * rng.normal(size=(n, d))
    samples = pd.DataFrame({"generator": generator, "split": split, "group": [f"g{g}" for g in group]})
    return feature_set(samples, features + 0.1)
