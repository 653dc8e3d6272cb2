"""Outcomes of probes, seeded samples, and the table for Embedding Atlas."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from probekit.maps import (
    Accuracy,
    MapSettings,
    atlas_table,
    attribution_outcomes,
    binary_outcomes,
    embed_map,
    stratified,
)
from tests.maps.clouds import clouds


def test_a_binary_probe_is_right_misses_or_gives_a_false_alarm_where_it_was_asked():
    labels, scores = np.array([1, 1, 0, 0, 1, 0]), np.array([2.0, -0.1, 0.1, -3.0, np.nan, 0.0])
    found = binary_outcomes(labels, scores)
    assert found.tolist() == ["right", "missed", "false alarm", "right", "not tested", "right"]


def test_an_attribution_is_right_where_the_highest_column_is_the_samples_own():
    decisions = np.array([[3.0, 1, 0], [0, 1, 2], [0, 5, 1], [np.nan] * 3])
    generators = np.array(["real", "lama", "lama", "ldm"], dtype=object)
    found = attribution_outcomes(generators, ["real", "lama", "ldm"], decisions)
    assert found.tolist() == ["right", "wrong", "right", "not tested"]
    two = attribution_outcomes(generators[:2], ["real", "lama"], np.array([1.0, 1.0]))
    assert two.tolist() == ["wrong", "right"]


def test_the_caption_of_an_accuracy_names_every_class_or_the_worst_of_many():
    few = Accuracy(0.75, 20, "train → test split", {"real": (12, 0.5), "lama": (8, 1.0), "ldm": (0, float("nan"))})
    assert few.caption == ("attribution probe 0.75, train → test split, n 20: real 0.50 (n 12), lama 1.00 (n 8)")
    assert few.to_json()["per_class"][2] == {"class": "ldm", "n": 0, "recall": None}
    many = Accuracy(0.5, 900, "5-fold out of fold by group", {f"g{i}": (30, i / 30) for i in range(30)})
    assert many.caption.endswith("n 900; worst of 30: g0 0.00 (n 30), g1 0.03 (n 30), g2 0.07 (n 30), "
                                 "g3 0.10 (n 30), g4 0.13 (n 30)")  # fmt: skip


@given(counts=st.lists(st.integers(1, 40), min_size=1, max_size=8), size=st.integers(1, 200), seed=st.integers(0, 5))
def test_a_sample_has_its_size_and_every_class_in_proportion(counts, size, seed):
    classes = np.repeat([f"g{i}" for i in range(len(counts))], counts)
    rows = stratified(classes, size, seed)
    n = len(classes)
    assert len(rows) == min(size, n) == len(set(rows.tolist()))
    assert (np.diff(rows) > 0).all()
    assert_array_equal(rows, stratified(classes, size, seed))
    found = np.array([np.sum(classes[rows] == f"g{i}") for i in range(len(counts))])
    assert (found <= counts).all()
    if size >= len(counts):
        assert (found >= 1).all()
    assert (np.abs(found - np.array(counts) * min(size, n) / n) < max(1, len(counts)) + 1e-9).all()


@pytest.mark.parametrize(("size", "drawn"), [(7, 1), (8, 8), (9, 8), (10, 8), (46, 8)])
def test_every_small_class_is_drawn_as_soon_as_there_are_samples_for_all(size, drawn):
    classes = np.repeat(list("abcdefgh"), [40, *[1] * 7])
    assert len(set(classes[stratified(classes, size, 0)])) >= drawn


def test_the_atlas_table_has_the_nearest_rows_and_their_distances():
    result = embed_map(clouds(), MapSettings())
    table = atlas_table(result.points, result.components, k=4)
    assert table.column_names[:3] == ["x", "y", "path"]
    expected = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])
    assert table.schema.field("neighbors").type == expected
    rows = table["neighbors"].to_pylist()
    for row in (0, 17, 119):
        distance = np.linalg.norm(result.components - result.components[row], axis=1)
        nearest = [other for other in np.argsort(distance) if other != row][:4]
        assert rows[row]["ids"] == nearest
        assert_allclose(rows[row]["distances"], distance[nearest], rtol=1e-6)


def test_the_same_map_gives_the_same_bytes_of_parquet(tmp_path):
    for name in ("a", "b"):
        result = embed_map(clouds(), MapSettings(seed=2))
        pq.write_table(atlas_table(result.points, result.components), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("k", [1, 4, 50])
def test_fewer_points_than_neighbours_have_all_the_others(k):
    result = embed_map(clouds(n=5), MapSettings())
    rows = atlas_table(result.points, result.components, k)["neighbors"].to_pylist()
    assert [len(row["ids"]) for row in rows] == [min(k, 4)] * 5
