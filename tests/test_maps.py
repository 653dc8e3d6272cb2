"""Maps: reproducible, with quality figures that are what they say."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.manifold import trustworthiness

from probekit.errors import ModelError, UnknownNameError, UsageError
from probekit.features import FeatureSet, Source
from probekit.maps import MapSettings, embed_map


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


def purity(x, generator, k):
    """By sorting all distances, one sample at a time."""
    shares = []
    for row in range(len(x)):
        distance = np.linalg.norm(x - x[row], axis=1)
        distance[row] = np.inf
        shares.append(np.mean(generator[np.argsort(distance)[:k]] == generator[row]))
    return np.mean(shares)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others():
    first, again, other = (embed_map(clouds(), MapSettings(seed=seed)) for seed in (3, 3, 4))
    assert_array_equal(first.coordinates, again.coordinates)
    assert first.to_json() == again.to_json()
    assert not np.array_equal(first.coordinates, other.coordinates)


def test_quality_figures_match_slow_references():
    fs = clouds(apart=0.25)
    result = embed_map(fs, MapSettings())
    x = fs.matrix.astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    generator = fs.samples.generator.to_numpy()
    assert_allclose(result.purity_features, purity(x, generator, 10))
    assert_allclose(result.purity_map, purity(result.coordinates, generator, 10))
    assert_allclose(result.trustworthiness, trustworthiness(x, result.coordinates, n_neighbors=5), rtol=1e-9)
    shuffled = [purity(x, np.random.default_rng(s).permutation(generator), 10) for s in range(20)]
    assert_allclose(result.purity_chance, np.mean(shuffled), atol=0.02)
    assert result.purity_chance < result.purity_features < 1


def test_separate_generators_stay_separate_on_the_plane():
    result = embed_map(clouds(), MapSettings())
    assert result.purity_features > 0.99
    assert result.purity_map > 0.99
    assert result.trustworthiness > 0.8


def test_points_carry_their_sample_in_manifest_order():
    fs = clouds()
    points = embed_map(fs, MapSettings()).points
    assert list(points.columns) == ["x", "y", "path", "label", "generator", "domain", "split", "group"]
    assert (points.path == fs.samples.path).all()


@given(n=st.integers(5, 12), d=st.integers(1, 6), duplicates=st.booleans(), seed=st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_few_samples_few_columns_and_duplicates_give_a_finite_map(n, d, duplicates, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, d))
    if duplicates:
        x[: n // 2 + 1] = x[0]
    result = embed_map(feature_set(["real"] * n, x), MapSettings())
    assert np.isfinite(result.coordinates).all()
    assert result.perplexity <= (n - 1) / 3
    assert result.purity_features == result.purity_chance == 1
    json.dumps(result.to_json(), allow_nan=False)


def test_constant_columns_change_nothing():
    fs = clouds()
    constant = np.full((len(fs.samples), 3), 0.1)
    with_constants = feature_set(fs.samples.generator.to_numpy(), np.hstack([fs.blocks[0], constant]))
    a, b = embed_map(fs, MapSettings()), embed_map(with_constants, MapSettings())
    assert_allclose(a.purity_features, b.purity_features)
    assert_allclose(a.explained, b.explained)


def test_the_condition_l2_forgets_the_length_of_a_row():
    fs = clouds()
    scale = np.random.default_rng(0).uniform(0.1, 10, size=(len(fs.samples), 1))
    longer = feature_set(fs.samples.generator.to_numpy(), fs.blocks[0] * scale)
    l2 = MapSettings(condition="l2")
    assert_allclose(embed_map(fs, l2).purity_features, embed_map(longer, l2).purity_features)


def test_quality_of_a_large_map_is_measured_on_a_seeded_subset_and_says_so():
    result = embed_map(clouds(), MapSettings(quality_sample=50))
    assert result.n_quality == 50
    assert "(on 50 of 120)" in result.caption
    assert result.to_json()["n"] == 120
    whole = embed_map(clouds(), MapSettings())
    assert whole.n_quality == 120
    assert whole.caption.startswith(
        f"trustworthiness {whole.trustworthiness:.2f} · 10-NN purity {whole.purity_map:.2f}"
    )
    assert " of " not in whole.caption


def test_progress_rises_to_the_end():
    seen = []
    embed_map(clouds(), MapSettings(), progress=lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1] == (750, 750)
    assert len(seen) > 10


@pytest.mark.parametrize(
    ("fs", "change", "error", "message"),
    [
        (clouds(n=4), {}, UsageError, "at least 5 samples"),
        (clouds(n=20), {"perplexity": 30.0}, UsageError, "up to 6.3"),
        (clouds(n=20), {"condition": "cosine"}, UnknownNameError, "zscore"),
        (feature_set(["real"] * 9, np.full((9, 4), 0.1)), {}, UsageError, "nothing to map"),
        (feature_set(["real"] * 9, np.full((9, 4), np.nan)), {}, ModelError, "0.png: its features are not finite"),
    ],
)
def test_what_cannot_be_mapped_says_why(fs, change, error, message):
    with pytest.raises(error, match=message):
        embed_map(fs, replace(MapSettings(), **change))
