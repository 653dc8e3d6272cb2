"""Every layout: reproducible, begun at the principal axes, and new samples placed beside those they are like."""

import sys

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from probekit.errors import UsageError
from probekit.maps import MapSettings, embed_map, methods, place
from probekit.maps.embedding import rows_of
from tests.maps.clouds import clouds, feature_set

EXTRAS = {"umap": "umap", "pacmap": "pacmap"}


SLOW = {"umap": pytest.mark.slow}
"""Its library is compiled anew in each process, which takes half a minute."""


@pytest.fixture(params=[pytest.param(name, marks=SLOW.get(name, ())) for name in methods.names()])
def method(request):
    if request.param in EXTRAS:
        pytest.importorskip(EXTRAS[request.param], reason="an extra", exc_type=ImportError)
    return request.param


@pytest.fixture
def mapped(method):
    fs, settings = clouds(n=150), MapSettings(method=method)
    return fs, settings, embed_map(fs, settings)


def spread(coordinates):
    return np.linalg.norm(np.ptp(coordinates, axis=0))


def test_the_same_seed_gives_the_same_bytes_and_generators_stay_apart(mapped):
    fs, settings, result = mapped
    again = embed_map(fs, settings)
    assert result.coordinates.tobytes() == again.coordinates.tobytes()
    assert result.coordinates.dtype == np.float64
    assert result.purity_map > 0.99
    assert result.method in result.to_json()["method"]


def test_what_a_method_chose_stands_in_caption_and_record(mapped):
    _, settings, result = mapped
    if settings.method == "tsne":
        assert result.caption.endswith("· perplexity 30")
        assert result.parameters == {"exaggeration": 1.0}
    else:
        k = {"umap": 15, "pacmap": 10}[settings.method]
        assert result.caption.endswith(f"· {k} neighbours")
        assert result.parameters["n_neighbors"] == k
        assert result.perplexity is result.kl_divergence is None


@pytest.mark.parametrize("n", [5, 8, 11, 23])
def test_few_and_equal_samples_have_a_place(method, n):
    if (method, n) == ("pacmap", 5):
        with pytest.raises(UsageError, match="PaCMAP needs at least 8 samples, and there are 5"):
            embed_map(feature_set(["real"] * n, np.eye(n)), MapSettings(method=method))
        return
    x = np.random.default_rng(n).normal(size=(n, 3))
    x[: n // 2] = x[0]
    result = embed_map(feature_set(["real"] * n, x), MapSettings(method=method))
    assert np.isfinite(result.coordinates).all()


def test_duplicates_are_placed_beside_their_originals_and_the_map_stays_as_it_was(mapped):
    fs, settings, result = mapped
    before = result.coordinates.copy()
    same = np.arange(0, 150, 7)
    placed = place(fs, result.coordinates, rows_of(fs, same), settings)
    assert_array_equal(placed.points[["x", "y"]].to_numpy()[:150], before)
    assert_array_equal(result.coordinates, before)
    assert placed.points["placed"].tolist() == [False] * 150 + [True] * len(same)
    found = placed.points[["x", "y"]].to_numpy()[150:]
    away = np.linalg.norm(found - before[same], axis=1) / spread(before)
    assert np.median(away) < 0.05
    assert away.max() < 0.2
    assert placed.purity_map > 0.95
    assert f"{len(same)} images placed among 150" in placed.caption


def test_placed_samples_lie_where_a_map_of_all_has_their_neighbours(mapped):
    fs, settings, _ = mapped
    old, new = np.arange(0, 150, 2), np.arange(1, 150, 2)
    result = embed_map(rows_of(fs, old), settings)
    placed = place(rows_of(fs, old), result.coordinates, rows_of(fs, new), settings)
    again = place(rows_of(fs, old), result.coordinates, rows_of(fs, new), settings)
    assert placed.points.equals(again.points)
    assert placed.purity_features > 0.99
    assert placed.purity_map > 0.95


def test_a_placed_sample_does_not_depend_on_those_placed_beside_it(mapped):
    fs, settings, result = mapped
    alone = place(fs, result.coordinates, rows_of(fs, np.array([3])), settings)
    among = place(fs, result.coordinates, rows_of(fs, np.array([3, 50, 90])), settings)
    tolerance = {"tsne": 0.02, "umap": 0.05, "pacmap": 0.01}[settings.method] * spread(result.coordinates)
    assert_allclose(alone.points[["x", "y"]].iloc[150], among.points[["x", "y"]].iloc[150], atol=tolerance)


def test_progress_rises_to_its_end_where_a_method_tells_any(method):
    seen = []
    fs, settings = clouds(), MapSettings(method=method)
    result = embed_map(fs, settings, lambda done, total: seen.append((done, total)))
    assert bool(seen) == methods.get(method).tells_progress
    if seen:
        assert seen == sorted(seen)
        assert seen[-1][0] == seen[-1][1]
        placing = []
        place(fs, result.coordinates, fs, settings, lambda done, total: placing.append((done, total)))
        assert placing == sorted(placing)


@pytest.mark.parametrize("extra", EXTRAS)
def test_an_extra_that_is_not_installed_is_named_in_one_line(extra, monkeypatch):
    monkeypatch.setitem(sys.modules, extra, None)
    with pytest.raises(UsageError, match=rf"pip install 'probekit\[{extra}\]', or use --method tsne"):
        embed_map(clouds(n=20), MapSettings(method=extra))


def test_nothing_is_said_on_the_terminal(method, capfd, caplog):
    embed_map(clouds(n=30), MapSettings(method=method))
    assert capfd.readouterr() == ("", "")
    assert caplog.text == ""
