"""Maps: reproducible, with quality figures that are what they say."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.manifold import trustworthiness
from threadpoolctl import threadpool_limits

from probekit.errors import ModelError, UnknownNameError, UsageError
from probekit.fingerprint import plain
from probekit.maps import MapSettings, embed_map
from probekit.maps.methods.tsne import TSNE
from probekit.maps.quality import chance_among
from tests.maps.clouds import clouds, feature_set


def purity(x, generator, k, group=None):
    """By sorting all distances, one sample at a time."""
    group = np.arange(len(x)) if group is None else group
    shares = []
    for row in range(len(x)):
        distance = np.linalg.norm(x - x[row], axis=1)
        distance[group == group[row]] = np.inf
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


def videos(groups=20, frames=6, seed=0):
    """Frames that are alike within a video and hold nothing of the generator, of which each video has one."""
    rng = np.random.default_rng(seed)
    fs = feature_set(
        np.array(["real", "telea"], dtype=object)[np.arange(groups) % 2].repeat(frames),
        rng.normal(size=(groups, 30)).repeat(frames, axis=0) + 0.1 * rng.normal(size=(groups * frames, 30)),
    )
    return replace(fs, samples=fs.samples.assign(group=np.char.add("v", np.arange(groups).repeat(frames).astype(str))))


def test_the_frames_of_a_video_are_no_neighbours_of_each_other():
    fs = videos()
    result = embed_map(fs, MapSettings())
    x = fs.matrix.astype(np.float64)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    generator, group = (fs.samples[name].to_numpy(dtype=object) for name in ("generator", "group"))
    assert_allclose(result.purity_features, purity(x, generator, 10, group))
    assert_allclose(result.purity_map, purity(result.coordinates, generator, 10, group))
    assert_allclose(result.purity_chance, 9 / 19)  # ten videos a generator, one of them the sample's own
    assert result.purity_features < 0.6 < purity(x, generator, 5)


def test_chance_is_the_share_of_admissible_pairs_of_one_generator():
    fs = videos()
    generator = np.random.default_rng(1).choice(["real", "telea", "shiftmap"], 120, p=[0.6, 0.3, 0.1])
    samples = fs.samples.assign(generator=generator)
    group = samples["group"].to_numpy(dtype=object)
    shares = [np.mean(generator[group != group[row]] == generator[row]) for row in range(120)]
    assert_allclose(chance_among(samples, samples), np.mean(shares))


def test_samples_of_one_group_have_no_purity_and_that_is_said():
    fs = clouds(n=20)
    result = embed_map(replace(fs, samples=fs.samples.assign(group="one")), MapSettings())
    assert result.to_json()["purity_map"] is None
    assert "10-NN purity undefined: all images are of one group" in result.caption
    json.dumps(result.to_json(), allow_nan=False)


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
        (clouds(n=20), {"perplexity": (2.0, 30.0)}, UsageError, "--perplexity 30 does not fit 20 samples"),
        (clouds(n=20), {"perplexity": "multi"}, UsageError, "multiscale"),
        (clouds(n=20), {"method": "usne"}, UnknownNameError, "tsne"),
        (clouds(n=20), {"method": "umap", "perplexity": 5.0}, UsageError, "UMAP has none"),
        (clouds(n=20), {"size": 4}, UsageError, "at least 5 samples"),
        (feature_set(["real"] * 9, np.full((9, 4), 0.1)), {}, UsageError, "nothing to map"),
        (feature_set(["real"] * 9, np.full((9, 4), np.nan)), {}, ModelError, "0.png: its features are not finite"),
    ],
)
def test_what_cannot_be_mapped_says_why(fs, change, error, message):
    with pytest.raises(error, match=message):
        embed_map(fs, MapSettings(**change))


@pytest.mark.parametrize(("n", "expected"), [(5, 4 / 3), (90, 89 / 3), (91, 30), (60_000, 30)])
def test_the_perplexity_is_30_or_what_few_samples_can_take(n, expected):
    assert TSNE().perplexities(n) == (pytest.approx(expected),)


def test_multiscale_is_30_and_a_hundredth_of_the_samples():
    assert TSNE("multiscale").perplexities(5000) == (30, 50)
    with pytest.raises(UsageError, match="no more than 30 for 3000 samples: name two"):
        TSNE("multiscale").perplexities(3000)
    with pytest.raises(UsageError, match="map 50,000 of them with --size"):
        TSNE("multiscale").perplexities(60_000)


def test_several_perplexities_are_averaged_and_named():
    several = embed_map(clouds(), MapSettings(perplexity=(30.0, 5.0)))
    assert several.perplexity == (5, 30)
    assert several.caption.endswith("perplexities 5 and 30")
    assert json.loads(json.dumps(several.to_json()))["perplexity"] == [5, 30]
    for one in (5.0, 30.0):
        alone = embed_map(clouds(), MapSettings(perplexity=one))
        assert not np.allclose(alone.coordinates, several.coordinates)


def test_a_part_of_the_samples_keeps_the_proportions_and_says_so():
    fs = clouds()
    result = embed_map(fs, MapSettings(size=60))
    assert len(result.points) == 60
    assert result.caption.endswith("60 of 120 images")
    whole, part = (each["generator"].value_counts(normalize=True) for each in (fs.samples, result.points))
    assert_allclose(part[whole.index], whole, atol=1 / 60)
    assert set(result.points["path"]) < set(fs.samples["path"])
    assert result.points["path"].is_monotonic_increasing == fs.samples["path"].is_monotonic_increasing
    everything = embed_map(fs, MapSettings(size=500))
    assert_array_equal(everything.coordinates, embed_map(fs, MapSettings()).coordinates)


def test_a_map_does_not_depend_on_the_number_of_threads():
    fs = clouds(n=300)
    found = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            found.append(embed_map(fs, MapSettings()).coordinates)
    assert_array_equal(*found)


def test_columns_of_the_manifest_are_carried_along_and_those_of_the_map_kept_apart():
    fs = clouds(n=20)
    fs = replace(fs, samples=fs.samples.assign(x=1, quality=np.arange(20), neighbors="n"))
    points = embed_map(fs, MapSettings()).points
    assert (points["quality"] == np.arange(20)).all()
    assert (points["manifest_x"] == 1).all()
    assert (points["manifest_neighbors"] == "n").all()
    assert points["x"].nunique() > 10


def test_settings_of_before_have_the_fingerprint_of_before():
    assert "method" not in plain(MapSettings())
    assert plain(MapSettings(method="umap"))["method"] == "umap"
