"""Generators left out in turn, projections beside raw features, k-shot registration, and contact sheets."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from probekit import projections
from probekit.errors import ProbeError, UsageError
from probekit.metrics.bootstrap import resample
from probekit.projections.supcon import SupCon
from probekit.projections.triplet import Triplet
from probekit.protocols import parse_shots
from probekit.retrieval import (
    RetrievalSettings,
    compare,
    contact_rows,
    leave_one_out,
    retrieve,
    score_shots,
)
from probekit.retrieval.bank import Bank
from probekit.retrieval.ranks import SHOWN
from probekit.retrieval.rows import turns
from tests.retrieval.clouds import QUICK, clouds

EVERY = [
    projections.create("lda"),
    projections.create("whiten"),
    SupCon(steps=5, check=1),
    Triplet(steps=5, check=1),
]


def test_each_generator_left_out_is_what_it_is_when_named_as_unknown():
    fs = clouds(n=600, groups=60)
    found = leave_one_out(fs, QUICK)
    assert sorted(set(found.table["unknown"])) == ["lama", "ldm", "repaint"]
    for name, rows in found.table.groupby("unknown"):
        expected = {pool.pool: pool for pool in retrieve(fs, replace(QUICK, unknown=(name,))).open}
        assert set(rows["pool"]) == set(expected) == {"unregistered", "real"}
        for row in rows.to_dict("records"):
            pool = expected[row["pool"]]
            assert (row["auroc"], row["oscr"]) == (pool.auroc, pool.oscr)
            assert (row["n_mated"], row["n_non_mated"]) == (pool.n_mated, pool.n_non_mated)
            assert row["n_enrolled_rows"] == pool.n_enrolled_rows
            for point in pool.points:
                dir_ = row[f"dir@{point.fpir:g}"]
                assert math.isnan(dir_) if point.dir is None else dir_ == point.dir
                if point.dir is not None:
                    assert row[f"fpir@{point.fpir:g}"] == point.measured_fpir


def test_the_mean_over_generators_counts_those_whose_rate_is_resolved():
    found = leave_one_out(clouds(n=600, groups=60), QUICK)
    for row in found.mean.to_dict("records"):
        own = found.table[found.table["pool"] == row["pool"]]
        assert row["n"] == 3
        assert_allclose(row["auroc"], own["auroc"].mean())
        assert row["n_dir@0.003"] == 0
        assert math.isnan(row["dir@0.003"])
        assert row["n_dir@0.05"] == own["dir@0.05"].notna().sum() > 0
        assert_allclose(row["dir@0.05"], own["dir@0.05"].mean())
    json.dumps(found.to_json(), allow_nan=False)


def test_leaving_one_out_needs_two_generators():
    with pytest.raises(UsageError, match="needs two registered ones"):
        leave_one_out(clouds(generators=("real", "lama")), QUICK)


@pytest.mark.parametrize("projection", EVERY, ids=lambda p: type(p).__name__)
def test_a_projection_never_sees_unknown_generators_queries_or_validation_rows(projection):
    fs = clouds(n=200)
    settings = replace(QUICK, unknown=("ldm",))
    first = retrieve(fs, settings, projection)
    unseen = ((fs.samples["generator"] == "ldm") | (fs.samples["split"] != "train")).to_numpy()
    changed = fs.blocks[0].copy()
    changed[unseen] = np.random.default_rng(5).normal(size=(unseen.sum(), 8))
    again = retrieve(replace(fs, blocks=(changed,)), settings, projection)
    assert first.projection == again.projection
    kept = np.flatnonzero(~unseen)
    (turn,) = turns(fs.samples, settings, learns=True)
    a, b = (Bank.of(features, turn, settings, projection) for features in (fs, replace(fs, blocks=(changed,))))
    assert (a.vectors[kept] == b.vectors[kept]).all()
    assert not (a.vectors[unseen] == b.vectors[unseen]).any()


@pytest.mark.parametrize("projection", EVERY, ids=lambda p: type(p).__name__)
def test_thresholds_for_an_unknown_generator_come_from_projections_that_did_not_see_it(projection, monkeypatch):
    taught = []
    fit = type(projection).fit

    def spy(self, features, classes, groups):
        taught.append(frozenset(classes))
        return fit(self, features, classes, groups)

    monkeypatch.setattr(type(projection), "fit", spy)
    retrieve(clouds(n=200), replace(QUICK, unknown=("ldm",)), projection)
    assert taught == [{"real", "lama", "repaint"}, {"real", "repaint"}, {"real", "lama"}]


def test_leaving_one_out_learns_the_projection_again_without_the_generator_left_out():
    fs = clouds(n=300)
    found = leave_one_out(fs, QUICK, projections.create("lda"))
    assert set(found.table["features"]) == {"raw", "projected"}
    for name in ("lama", "ldm", "repaint"):
        expected = retrieve(fs, replace(QUICK, unknown=(name,)), projections.create("lda")).open
        rows = found.table[(found.table["unknown"] == name) & (found.table["features"] == "projected")]
        assert_allclose(rows["auroc"], [pool.auroc for pool in expected])
    gains = found.gains.set_index(["unknown", "measure"])
    assert_allclose(gains["gain"], gains["projected"] - gains["raw"])
    assert len(gains) == 6


def test_a_projection_stands_beside_the_raw_features_with_a_paired_interval():
    fs = clouds(n=600, groups=100, spread=1.5)
    settings = RetrievalSettings(bootstrap=200, unknown=("ldm",))
    found = compare(fs, settings, projections.create("lda"))
    assert found.raw.to_json() == retrieve(fs, settings).to_json()
    gains = found.gains.set_index("measure")
    assert list(gains.index) == ["Rank-1", "AUROC against unregistered", "AUROC against real"]
    row = gains.loc["Rank-1"]
    assert (row["raw"], row["projected"]) == (found.raw.closed.rank[1], found.projected.closed.rank[1])
    scored = found.raw.queries["ap"].notna().to_numpy()
    hits = [one.searched.ranked.hits[scored, 0] for one in (found.raw, found.projected)]
    group = fs.samples["group"].to_numpy(dtype=object)[found.raw.searched.queries[scored]]
    assert (row["gain_lo"], row["gain_hi"]) == resample(group, 200, 0).mean(hits[1] - hits[0])
    assert row["gain_lo"] < row["gain"] < row["gain_hi"]
    for name, before, after in zip(("unregistered", "real"), found.raw.open, found.projected.open, strict=True):
        row = gains.loc[f"AUROC against {name}"]
        assert (row["raw"], row["projected"]) == (before.auroc, after.auroc)
        assert row["gain_lo"] <= row["gain"] <= row["gain_hi"]
        assert row["outside"] == (row["gain_lo"] > 0 or row["gain_hi"] < 0)
    json.dumps([found.to_json(), found.projected.to_json()], allow_nan=False)


def test_a_gain_without_an_interval_is_neither_beyond_0_nor_not():
    gains = compare(clouds(), RetrievalSettings(bootstrap=0, unknown=("ldm",)), projections.create("lda")).gains
    assert gains["outside"].tolist() == [None] * 3


def test_out_of_fold_raw_and_projected_are_searched_in_the_same_galleries():
    fs = clouds(n=300, groups=30)
    found = compare(fs, replace(QUICK, folds=4, unknown=("ldm",)), projections.create("lda"))
    assert len(found.projected.projection) == 4
    for raw, projected in zip(found.raw.searched.turns, found.projected.searched.turns, strict=True):
        assert (raw.gallery == projected.gallery).all()
        assert (raw.queries == projected.queries).all()
    assert list(found.raw.queries["path"]) == list(fs.samples["path"])
    assert any("each of 4 folds" in note for note in found.raw.notes)


def test_a_linear_projection_finds_the_columns_in_which_generators_differ():
    fs = clouds(n=600, groups=100, spread=0.2)
    noise = 3 * np.random.default_rng(1).normal(size=(600, 30)).astype(np.float32)
    noisy = replace(fs, blocks=(np.hstack([fs.blocks[0], noise]),))
    found = compare(noisy, QUICK, projections.create("lda"))
    assert found.raw.closed.rank[1] < 0.7
    assert found.projected.closed.rank[1] > 0.95


def test_shots_of_all_are_the_whole_gallery_and_fewer_shots_are_part_of_more():
    fs = clouds(n=600, groups=60)
    settings = replace(QUICK, unknown=("ldm",))
    found = score_shots(fs, settings, [1, 5, None], seeds=3)
    whole = retrieve(fs, settings)
    every = found.table[found.table["shots"] == "all"].set_index("measure")
    assert every.loc["Rank-1", "value"] == whole.closed.rank[1]
    for pool in whole.open:
        for point in pool.points:
            value = every.loc[f"DIR@{point.fpir:g} ({pool.pool})", "value"]
            assert math.isnan(value) if point.dir is None else value == point.dir
    rank1 = found.draws[found.draws["measure"] == "Rank-1"]
    assert list(rank1.groupby("shots", sort=False).size()) == [3, 3, 1]
    assert set(rank1["n_gallery"][rank1["shots"] == "5"]) == {5 * 3}  # real, lama and repaint
    mean = found.table.set_index(["shots", "measure"]).loc[("5", "Rank-1")]
    assert_allclose(mean["value"], rank1["value"][rank1["shots"] == "5"].mean())
    assert_allclose(mean["spread"], rank1["value"][rank1["shots"] == "5"].std())
    assert mean["n_seeds"] == 3
    json.dumps(found.to_json(), allow_nan=False)


def test_more_shots_than_there_are_say_which_generator_lacks_them():
    with pytest.raises(ProbeError, match="5000 shots"):
        score_shots(clouds(), QUICK, [5000])
    with pytest.raises(UsageError, match="write numbers of examples"):
        parse_shots("1,x", of="examples")
    assert parse_shots("1, 5,all,5") == [1, 5, None]


def test_a_contact_sheet_shows_a_success_and_a_failure_of_each_generator_where_there_are():
    result = retrieve(clouds(spread=1.2), replace(QUICK, unknown=("ldm",)))
    sheet = contact_rows(result, most=20)
    queries = result.queries.reset_index(drop=True)
    places = {row: i for i, row in enumerate(result.searched.queries)}
    kinds = set()
    for row in sheet.rows:
        found = queries.loc[places[row.query]]
        assert row.generator == found["generator"]
        assert row.generators[0] == found["nearest_generator"]
        assert_allclose(row.similarities[0], found["similarity"])
        assert list(row.similarities) == sorted(row.similarities, reverse=True)
        assert row.query not in row.neighbours
        assert row.registered == (row.generator != "ldm")
        kinds.add((row.generator, row.generators[0] == row.generator))
    right = queries["generator"] == queries["nearest_generator"]
    assert kinds == set(zip(queries["generator"], right, strict=True))
    assert sheet.rows[0].generator == "real"


def test_a_short_contact_sheet_still_has_every_generator():
    result = retrieve(clouds(spread=1.2), QUICK)
    sheet = contact_rows(result, most=4)
    assert {row.generator for row in sheet.rows} == {"real", "lama", "ldm", "repaint"}
    assert len(sheet.rows) == 4


def test_a_gallery_smaller_than_a_sheet_is_wide_gives_shorter_rows():
    fs = clouds(n=20, generators=("real", "lama"), groups=20)
    n = int((fs.samples["split"] == "val").sum())
    assert 0 < n < SHOWN
    sheet = contact_rows(retrieve(fs, replace(QUICK, gallery="val")))
    assert {len(row.neighbours) for row in sheet.rows} == {n}
