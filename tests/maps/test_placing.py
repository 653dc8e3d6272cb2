"""New samples on a map: what cannot be placed, and what the figures say."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit.errors import ModelError, UsageError
from probekit.maps import MapSettings, embed_map, place
from probekit.maps.embedding import rows_of
from tests.maps.clouds import clouds, feature_set


def test_purity_of_placed_samples_matches_a_slow_reference():
    fs, settings = clouds(apart=0.25), MapSettings()
    old, new = rows_of(fs, np.arange(80)), rows_of(fs, np.arange(80, 120))
    result = embed_map(old, settings)
    placed = place(old, result.coordinates, new, settings)
    x = old.matrix.astype(np.float64)
    mean, deviation = x.mean(axis=0), x.std(axis=0)
    generators = old.samples["generator"].to_numpy()

    def purity(among, queries):
        shares = []
        for row, name in zip(queries, new.samples["generator"], strict=True):
            nearest = np.argsort(np.linalg.norm(among - row, axis=1))[:10]
            shares.append(np.mean(generators[nearest] == name))
        return np.mean(shares)

    places = placed.points[["x", "y"]].to_numpy()
    assert_allclose(placed.purity_features, purity((x - mean) / deviation, (new.matrix - mean) / deviation))
    assert_allclose(placed.purity_map, purity(places[:80], places[80:]))
    chance = [
        np.mean([np.mean(generators == name) for name in new.samples["generator"]]),
    ]
    assert_allclose(placed.purity_chance, chance[0])


def test_the_old_images_of_a_new_ones_own_group_are_not_its_neighbours():
    fs, settings = clouds(apart=0.25), MapSettings()
    result = embed_map(fs, settings)
    again = place(fs, result.coordinates, fs, settings)
    assert_allclose(again.purity_features, result.purity_features)
    assert_allclose(again.purity_chance, result.purity_chance)


def test_generators_that_the_map_does_not_know_are_placed_and_their_purity_is_none():
    fs, settings = clouds(), MapSettings()
    result = embed_map(fs, settings)
    new = feature_set(["lama"] * 10, fs.blocks[0][:10] + 0.1)
    placed = place(fs, result.coordinates, new, settings)
    assert placed.purity_map == placed.purity_features == placed.purity_chance == 0
    assert np.isfinite(placed.points[["x", "y"]].to_numpy()).all()


def test_features_of_another_store_are_refused():
    fs, settings = clouds(n=20), MapSettings()
    result = embed_map(fs, settings)
    other = replace(fs, sources=(replace(fs.sources[0], address="1" * 64),))
    with pytest.raises(UsageError, match="from another store or tap: extract them with the same model"):
        place(fs, result.coordinates, other, settings)


def test_features_that_are_not_finite_are_refused():
    fs, settings = clouds(n=20), MapSettings()
    result = embed_map(fs, settings)
    bad = fs.blocks[0][:2].copy()
    bad[1, 0] = np.nan
    with pytest.raises(ModelError, match=r"1\.png: its features are not finite"):
        place(fs, result.coordinates, feature_set(["real"] * 2, bad), settings)


def test_nothing_to_place_is_an_error():
    fs, settings = clouds(n=20), MapSettings()
    result = embed_map(fs, settings)
    with pytest.raises(UsageError, match="0 samples to place on a map of 20"):
        place(fs, result.coordinates, rows_of(fs, np.arange(0)), settings)
