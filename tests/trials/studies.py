"""Small synthetic studies: photographs, and an edit of each by every generator along an axis of its own."""

import dataclasses

import numpy as np
import pandas as pd

from probekit.features import FeatureSet, Source

SPLITS = ("train", "train", "train", "val", "test")


def feature_set(samples, *blocks):
    names = ["clip", "npr", "srm"][: len(blocks)]
    sources = tuple(Source(name, "cls@3", "resize224", "float32", "ab12") for name in names)
    return FeatureSet("+".join(names), sources, samples, tuple(b.astype(np.float32) for b in blocks), pd.DataFrame())


def study(
    seed=0, photos=60, d=12, strength=4.0, generators=("lama", "ldm"), domains=("celeba",), splits=SPLITS, alike=True
):
    """Of each domain so many photographs, which lie off from those of the others along the last axis.

    `alike`: edits resemble their photographs, beside the traces of their generators.
    """
    rng = np.random.default_rng(seed)
    rows, features = [], []
    for place, domain in enumerate(domains):
        away = 3 * place * np.eye(d)[-1]
        scenes = rng.normal(size=(photos, d)) if alike else np.zeros((photos, d))
        for number, name in enumerate(("real", *generators)):
            trace = strength * np.eye(d)[number] * (name != "real")
            features.append(scenes + away + trace + (0.5 if alike else 1.0) * rng.normal(size=(photos, d)))
            for photo in range(photos):
                start = "" if len(domains) == 1 else f"{domain}/"
                path, group = f"{start}{name}/{photo}.png", f"{start}photo{photo}"
                rows.append((path, int(name != "real"), name, domain, splits[photo % len(splits)], group))
    columns = ["path", "label", "generator", "domain", "split", "group"]
    return feature_set(pd.DataFrame(rows, columns=columns), np.concatenate(features))


def with_samples(features, **columns):
    return dataclasses.replace(features, samples=features.samples.assign(**columns))


def with_blocks(features, *blocks):
    return feature_set(features.samples, *blocks)


def chosen(features, rows):
    """The samples of these numbers, or of this mask."""
    rows = np.flatnonzero(rows) if np.asarray(rows).dtype == bool else rows
    return dataclasses.replace(
        features,
        samples=features.samples.iloc[rows].reset_index(drop=True),
        blocks=tuple(block[rows] for block in features.blocks),
    )


def where(features, **values):
    """The samples whose columns have these values (or one of them)."""
    rows = np.ones(len(features.samples), dtype=bool)
    for name, value in values.items():
        rows &= features.samples[name].isin([value] if isinstance(value, str) else value).to_numpy()
    return rows
