"""Retrieval on small clouds whose answers can be counted by hand or by a slow float64 reference."""

import json
import math
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, balanced_accuracy_score, roc_auc_score

from probekit.errors import ModelError, UnknownNameError, UsageError
from probekit.protocols import group_folds
from probekit.retrieval import RetrievalSettings, retrieve
from tests.retrieval.clouds import QUICK, clouds, feature_set


def reference(fs, settings):
    """Per query: AP, Rank-1/5/10 and k-NN answer, in float64 and one query at a time."""
    samples = fs.samples
    x = fs.matrix.astype(np.float64)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    every = samples.index
    in_gallery = every if settings.folds else every[samples.split == settings.gallery]
    in_query = every if settings.folds else every[samples.split == settings.query]
    rows = []
    for q in in_query:
        allowed = [
            g
            for g in in_gallery
            if samples.group[g] != samples.group[q] and samples.generator[g] not in settings.unknown
        ]
        similarity = x[allowed] @ x[q]
        order = np.argsort(-similarity)
        classes = samples.generator[allowed].to_numpy()
        relevant = classes == samples.generator[q]
        if not relevant.any():
            continue
        votes = {}
        for i in order[: settings.k]:
            votes[classes[i]] = votes.get(classes[i], 0) + math.exp(similarity[i] / settings.T)
        rows.append(
            {
                "generator": samples.generator[q],
                "ap": average_precision_score(relevant, similarity),
                **{k: relevant[order[:k]].any() for k in (1, 5, 10)},
                "answer": max(votes, key=votes.get),
            }
        )
    return pd.DataFrame(rows)


@pytest.mark.parametrize("change", [{}, {"folds": 5}, {"unknown": ("ldm",)}, {"query": "val", "k": 3, "T": 1.0}])
def test_closed_set_numbers_match_a_float64_reference(change):
    fs, settings = clouds(), replace(QUICK, **change)
    closed, expected = retrieve(fs, settings).closed, reference(fs, settings)
    assert closed.n_scored == len(expected)
    assert_allclose([closed.rank[k] for k in (1, 5, 10)], [expected[k].mean() for k in (1, 5, 10)])
    assert_allclose(closed.mean_ap, expected["ap"].mean(), rtol=1e-6)
    assert_allclose(closed.macro_ap, expected.groupby("generator")["ap"].mean().mean(), rtol=1e-6)
    assert_allclose(closed.knn_accuracy, (expected.answer == expected.generator).mean())
    assert_allclose(closed.knn_balanced_accuracy, balanced_accuracy_score(expected.generator, expected.answer))
    assert 0.3 < closed.rank[1] < 1  # neither trivial nor hopeless, or the comparison would show nothing


def test_queries_of_unregistered_generators_are_counted_apart_and_said():
    fs = clouds()
    result = retrieve(fs, replace(QUICK, unknown=("ldm",)))
    n_ldm = int(((fs.samples.generator == "ldm") & (fs.samples.split == "test")).sum())
    assert result.closed.n_unregistered == result.closed.n_without_relevant == n_ldm
    assert result.closed.n_scored == result.closed.n_queries - n_ldm
    assert any(str(n_ldm) in note and "unregistered" in note for note in result.notes)
    row = result.per_class.set_index("generator").loc["ldm"]
    assert (row.n_queries, row.n_scored, row.n_gallery) == (n_ldm, 0, 0)
    assert math.isnan(row.rank1)


def test_no_query_ever_finds_itself_or_its_group():
    fs = clouds(groups=15)
    found = retrieve(fs, replace(QUICK, folds=4)).queries
    group = dict(zip(fs.samples.path, fs.samples.group, strict=True))
    assert len(found) == len(fs.samples)
    assert all(group[a] != group[b] for a, b in zip(found.path, found.nearest_path, strict=True))


def test_the_confusion_counts_first_neighbours_of_scored_queries():
    result = retrieve(clouds(), replace(QUICK, unknown=("ldm",)))
    scored = result.queries.dropna(subset=["ap"])
    expected = pd.crosstab(scored.generator, scored.nearest_generator)
    assert result.confusion.index[0] == "real"
    assert result.confusion.to_numpy().sum() == len(scored)
    for query in expected.index:
        for neighbour in expected.columns:
            assert result.confusion.loc[query, neighbour] == expected.loc[query, neighbour]
    assert_allclose(np.trace(result.confusion) / len(scored), result.closed.rank[1])


def test_unregistered_queries_are_shown_by_whom_they_are_taken_for():
    result = retrieve(clouds(), replace(QUICK, unknown=("ldm",)))
    queries, shown = result.queries, result.neighbours
    assert shown.columns.tolist() == ["real", "lama", "repaint"]
    assert shown.index.tolist() == ["real", "lama", "ldm (not registered)", "repaint"]
    own = queries[queries["generator"] == "ldm"]
    expected = own["nearest_generator"].value_counts().reindex(shown.columns, fill_value=0)
    assert shown.loc["ldm (not registered)"].tolist() == expected.tolist()
    assert expected.sum() == len(own) > 0
    registered = shown.drop("ldm (not registered)")
    assert (registered == result.confusion.loc[registered.index, registered.columns]).all(axis=None)
    assert result.confusion.loc["ldm"].sum() == 0  # it is not scored


def test_an_auroc_below_a_half_is_remarked_on():
    fs = clouds(n=600, groups=100, spread=0.4)
    block = fs.blocks[0].copy()
    test = fs.samples["split"].eq("test")
    likes = fs.samples["generator"].eq("ldm") & test  # copies of what is registered
    block[likes.to_numpy()] = block[(fs.samples["generator"].eq("lama") & fs.samples["split"].eq("train"))][0]
    found = retrieve(replace(fs, blocks=(block,)), replace(QUICK, unknown=("ldm",)))
    assert found.open[0].auroc < 0.5 < found.open[1].auroc
    notes = [note for note in found.notes if "below .5" in note]
    assert len(notes) == 1
    assert notes[0].startswith("Pool unregistered")


def test_the_two_non_mated_pools_are_kept_apart_and_real_is_not_enrolled():
    fs = clouds()
    result = retrieve(fs, replace(QUICK, unknown=("repaint",)))
    pools = {pool.pool: pool for pool in result.open}
    assert set(pools) == {"unregistered", "real"}
    scores = result.scores
    assert set(scores.answer) == {"lama", "ldm"}
    assert set(scores[scores["pool"] == "unregistered"].generator) == {"repaint"}
    assert set(scores[scores["pool"] == "real"].generator) == {"real"}
    assert set(scores[scores["pool"] == "mated"].generator) == {"lama", "ldm"}
    for name, pool in pools.items():
        both = scores[scores["pool"].isin(["mated", name])]
        assert_allclose(pool.auroc, roc_auc_score(both["pool"] == "mated", both.score))
        assert pool.enrolled == ("lama", "ldm")
        assert pool.n_mated + pool.n_non_mated == len(both)


def test_open_set_scores_are_similarities_of_the_nearest_enrolled_row():
    fs = clouds()
    result = retrieve(fs, replace(QUICK, unknown=("repaint",)))
    x = fs.matrix / np.linalg.norm(fs.matrix, axis=1, keepdims=True)
    enrolled = fs.samples[(fs.samples.split == "train") & fs.samples.generator.isin(["lama", "ldm"])].index
    row = dict(zip(fs.samples.path, fs.samples.index, strict=True))
    for search in result.scores.itertuples():
        similarity = x[enrolled] @ x[row[search.path]]
        assert_allclose(search.score, similarity.max(), atol=1e-6)
        assert search.answer == fs.samples.generator[enrolled[similarity.argmax()]]


def test_thresholds_come_from_validation_rows_and_never_from_queries():
    fs = clouds(n=4000, groups=200)
    settings = replace(QUICK, unknown=("repaint",))
    result = retrieve(fs, settings)
    thresholds = {(p.pool, q.fpir): q.threshold for p in result.open for q in p.points}
    test = (fs.samples.split == "test") & fs.samples.generator.isin(["real", "repaint"])
    other = fs.blocks[0].copy()
    other[test.to_numpy()] *= np.random.default_rng(1).normal(size=(int(test.sum()), 1))
    changed = retrieve(replace(fs, blocks=(other,)), settings)
    assert thresholds == {(p.pool, q.fpir): q.threshold for p in changed.open for q in p.points}
    unregistered, real = result.open
    validation = fs.samples[fs.samples.split == "val"].generator
    assert {p.n_threshold for p in real.points} == {int((validation == "real").sum())}
    assert {p.n_threshold for p in unregistered.points} == {int(validation.isin(["lama", "ldm"]).sum())}
    assert {p.threshold_from for pool in result.open for p in pool.points} == {"validation"}
    assert [p.status for p in real.points if p.fpir > 0.003] == ["resolved", "resolved"]
    assert abs(real.points[-1].measured_fpir - 0.05) < 0.04


@pytest.mark.parametrize("change", [{"folds": 5}, {"query": "val"}])
def test_without_validation_rows_the_record_says_that_queries_set_the_threshold(change):
    result = retrieve(clouds(n=1500, groups=60), replace(QUICK, unknown=("ldm",), **change))
    assert result.open
    assert all("no validation rows" in " ".join(result.notes) for _ in result.open)
    for pool in result.open:
        non_mated = result.scores[result.scores["pool"] == pool.pool].score
        for point in pool.points:
            assert (point.threshold_from, point.n_threshold) == ("queries", len(non_mated))
            if point.status == "resolved":
                assert point.measured_fpir <= point.fpir
                assert_allclose(point.measured_fpir, (non_mated >= point.threshold).mean())
                mated = result.scores[result.scores["pool"] == "mated"]
                assert_allclose(point.dir, (mated.correct & (mated.score >= point.threshold)).mean())


def test_an_fpir_that_the_pool_is_too_small_for_is_unresolvable():
    result = retrieve(clouds(n=600, groups=60), replace(QUICK, unknown=("ldm",)))
    for pool in result.open:
        for point in pool.points:
            enough = min(point.n_threshold, point.n_non_mated) >= {0.003: 334, 0.01: 100, 0.05: 20}[point.fpir]
            assert point.status == ("resolved" if enough else "unresolvable")
            assert (point.dir is None) == (not enough)
    assert {p.status for pool in result.open for p in pool.points} == {"resolved", "unresolvable"}


def test_nothing_enrolled_but_real_images_has_a_closed_set_and_no_open_set():
    result = retrieve(clouds(generators=("real", "lama")), replace(QUICK, unknown=("lama",)))
    assert result.open == ()
    assert result.closed.rank[1] == 1


def test_the_order_of_samples_changes_no_number():
    fs, settings = clouds(n=600, groups=100), RetrievalSettings(bootstrap=50, unknown=("ldm",))
    order = np.random.default_rng(0).permutation(len(fs.samples))
    samples = fs.samples.iloc[order].reset_index(drop=True)
    shuffled = retrieve(replace(fs, samples=samples, blocks=(fs.blocks[0][order],)), settings).to_json()
    straight = retrieve(fs, settings).to_json()
    for part in ("closed_set", "open_set", "per_class", "confusion"):
        assert _close(shuffled[part], straight[part]), part


def _close(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_close(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(_close(x, y) for x, y in zip(a, b, strict=True))
    return a == pytest.approx(b, rel=1e-9) if isinstance(a, float) else a == b


def test_each_part_of_a_reference_weighs_the_same_whatever_its_units():
    fs, other = clouds(seed=1), clouds(seed=2)
    pair = feature_set(fs.samples, fs.blocks[0], other.blocks[0])
    scaled = feature_set(fs.samples, fs.blocks[0] * 1000, other.blocks[0] * 0.001)
    a, b = (retrieve(x, QUICK).queries for x in (pair, scaled))
    assert (a.nearest_path == b.nearest_path).all()
    assert_allclose(a.similarity, b.similarity, atol=1e-6)


def test_zscored_similarities_do_not_depend_on_units_or_offsets_of_columns_and_survive_constant_ones():
    fs = clouds()
    scale, shift = np.random.default_rng(0).uniform(0.1, 10, (2, 8))
    constant = np.full((len(fs.samples), 2), 0.1)
    moved = feature_set(fs.samples, np.hstack([fs.blocks[0] * scale + shift, constant]))
    settings = replace(QUICK, condition="zscore")
    a, b = (retrieve(x, settings).queries for x in (fs, moved))
    assert_allclose(a.similarity, b.similarity, atol=1e-4)


def test_intervals_are_reproducible_hold_the_number_and_need_ten_groups():
    settings = RetrievalSettings(bootstrap=200, unknown=("ldm",))
    fs = clouds(n=600, groups=100, spread=1.5)
    first, again = retrieve(fs, settings), retrieve(fs, settings)
    assert first.to_json() == again.to_json()
    low, high = first.closed.intervals["rank1"]
    assert low < first.closed.rank[1] < high
    low, high = first.open[0].auroc_interval
    assert low < first.open[0].auroc < high
    few = retrieve(clouds(n=600, groups=20), settings)
    assert {
        name: value for name, value in few.to_json()["closed_set"].items() if name.endswith("_ci")
    } == dict.fromkeys(
        [
            *("rank1_ci", "class_rank1_ci", "map_ci", "macro_map_ci", "map_at_r_ci", "r_precision_ci"),
            *("knn_accuracy_ci", "knn_balanced_accuracy_ci"),
        ]
    )
    assert any("Fewer than 10 groups" in note for note in few.notes)


def test_a_pool_of_fewer_than_ten_groups_has_no_interval():
    fs = clouds(n=600, groups=100, spread=1.5)
    test = (fs.samples.split == "test") & (fs.samples.generator == "real")
    rare = fs.samples.group[test].unique()[:9]
    kept = np.flatnonzero(~test | fs.samples.group.isin(rare))
    fewer = replace(fs, samples=fs.samples.iloc[kept].reset_index(drop=True), blocks=(fs.blocks[0][kept],))
    unregistered, real = retrieve(fewer, RetrievalSettings(bootstrap=50, unknown=("ldm",))).to_json()["open_set"]
    assert (real["pool"], real["auroc_ci"]) == ("real", None)
    assert unregistered["auroc_ci"][0] < unregistered["auroc"] < unregistered["auroc_ci"][1]


def test_json_has_no_nan_and_is_plain():
    result = retrieve(clouds(), RetrievalSettings(unknown=("ldm",), bootstrap=20))
    text = json.dumps(result.to_json(), allow_nan=False)
    answer = json.loads(text)
    assert answer["per_class"][1]["generator"] == "lama"
    ldm = next(row for row in answer["per_class"] if row["generator"] == "ldm")
    assert ldm["map"] is None
    assert answer["closed_set"]["rank"].keys() == {"1", "5", "10"}
    assert {"map", "map_ci", "rank1_ci", "n_scored"} <= answer["closed_set"].keys()
    assert "auroc_ci" in answer["open_set"][0]


def test_a_class_with_one_sample_and_k_beyond_the_gallery_work():
    samples = pd.DataFrame(
        {
            "generator": ["real", "lama", "real", "lama", "ldm"],
            "split": ["train", "train", "test", "test", "test"],
            "group": list("abcde"),
        }
    )
    x = np.array([[1.0, 0.1], [0.1, 1], [1, 0.2], [0.2, 1], [1, 1.1]])
    result = retrieve(feature_set(samples, x), replace(QUICK, k=50))
    assert result.closed.rank[1] == result.closed.knn_accuracy == 1
    assert result.closed.n_unregistered == 1


def test_queries_whose_whole_class_is_in_their_group_are_counted_and_not_averaged():
    samples = pd.DataFrame({"generator": ["lama", "lama", "real"], "split": "test", "group": ["a", "a", "b"]})
    result = retrieve(feature_set(samples, np.eye(3)), replace(QUICK, folds=2))
    assert (result.closed.n_queries, result.closed.n_scored) == (3, 0)
    assert math.isnan(result.closed.rank[1])
    json.dumps(result.to_json(), allow_nan=False)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"unknown": ("lana",)}, UnknownNameError, "Did you mean 'lama'"),
        ({"unknown": ("real",)}, UsageError, "--unknown real"),
        ({"unknown": ("lama", "ldm", "repaint"), "gallery": "val"}, UsageError, "--gallery val leaves no"),
        ({"k": 0}, UsageError, "k is 0"),
        ({"condition": "zcore"}, UnknownNameError, "zscore"),
        ({"vote": "loud"}, UnknownNameError, "Known: majority, prototype, soft, sum"),
        ({"class_rank": "top0"}, UsageError, "topM such as top5"),
        ({"gallery_domains": ("celeba",)}, UnknownNameError, "--gallery-domain 'celeba'"),
        ({"query_generators": "lama,nosuch"}, UnknownNameError, "nosuch"),
    ],
)
def test_requests_that_cannot_be_answered_say_why(settings, error, message):
    fs = clouds()
    samples = fs.samples[(fs.samples.split != "val") | (fs.samples.generator != "real")]
    fs = replace(fs, samples=samples.reset_index(drop=True), blocks=(fs.blocks[0][samples.index],))
    with pytest.raises(error, match=message):
        retrieve(fs, RetrievalSettings(**settings))


def test_features_that_are_not_finite_are_refused():
    fs = clouds()
    fs.blocks[0][7, 0] = np.nan
    with pytest.raises(ModelError, match=r"^0007\.png: its features are not finite"):
        retrieve(fs, QUICK)


@pytest.mark.parametrize("index", ["ivf", "hnsw"])
def test_an_index_gives_the_numbers_of_exact_search_as_far_as_it_finds_rows(index):
    fs = clouds(n=600, groups=60)
    settings = replace(QUICK, unknown=("ldm",))
    exact, near = retrieve(fs, settings), retrieve(fs, replace(settings, index=index))
    assert (exact.searched.engine, exact.searched.recall, near.searched.engine) == ("flat", None, index)
    assert 0.9 <= near.searched.recall <= 1
    assert_allclose([near.closed.rank[k] for k in (1, 5, 10)], [exact.closed.rank[k] for k in (1, 5, 10)], atol=0.03)
    assert_allclose(near.closed.class_rank[1], exact.closed.class_rank[1], atol=0.03)
    assert_allclose(near.closed.knn_accuracy, exact.closed.knn_accuracy, atol=0.03)
    assert near.closed.n_scored == exact.closed.n_scored
    assert near.to_json()["open_set"] == exact.to_json()["open_set"]
    assert any(f"{near.searched.recall:.3f}" in note for note in near.notes)


def test_a_mate_that_an_index_misses_is_a_miss_and_not_left_out():
    rng = np.random.default_rng(0)
    fs = clouds(n=600, groups=60, generators=("real", "lama"))
    alone = np.flatnonzero((fs.samples["generator"] == "lama") & (fs.samples["split"] == "train"))[0]
    block = fs.blocks[0].copy()
    query = np.flatnonzero(fs.samples["split"] == "test")[0]
    generator = fs.samples["generator"].to_numpy(dtype=object).copy()
    generator[[alone, query]] = "ldm"
    block[alone] = -block[query] + 0.01 * rng.normal(size=block.shape[1])  # its only mate lies opposite
    far = replace(fs, samples=fs.samples.assign(generator=generator), blocks=(block,))
    exact, near = (retrieve(far, replace(QUICK, index=index)) for index in ("flat", "ivf"))
    for result in (exact, near):
        own = result.per_class.set_index("generator").loc["ldm"]
        assert (own.n_scored, own.rank1, own.rank10) == (1, 0, 0)


def test_what_needs_every_row_is_undefined_with_an_index():
    result = retrieve(clouds(n=600, groups=60), replace(QUICK, index="ivf"))
    closed = result.to_json()["closed_set"]
    assert closed["map"] is closed["map_at_r"] is closed["r_precision"] is closed["macro_map"] is None
    assert closed["rank"]["1"] > 0
    assert closed["class_rank"]["1"] > 0
    assert closed["class_rank"]["5"] is None
    assert result.queries["ap"].isna().all()
    assert set(result.rank_curve.loc[result.rank_curve["level"] == "class", "k"]) == {1}


def test_an_index_never_finds_the_group_of_a_query():
    fs = clouds(n=400, groups=12)
    group = dict(zip(fs.samples["path"], fs.samples["group"], strict=True))
    found = retrieve(fs, replace(QUICK, folds=4, index="hnsw")).queries
    assert len(found) == 400
    assert (found["path"].map(group) != found["nearest_path"].map(group)).all()


def test_a_query_whose_class_is_registered_in_its_own_group_only_is_not_scored_by_an_index():
    fs = clouds(n=300, generators=("real", "lama"), groups=40)
    lonely = fs.samples.assign(generator=np.where(fs.samples["group"] == "g0", "ldm", fs.samples["generator"]))
    settings = replace(QUICK, gallery="all", query="all")
    exact, near = (retrieve(replace(fs, samples=lonely), replace(settings, index=index)) for index in ("flat", "ivf"))
    counts = [one.per_class.set_index("generator")["n_scored"].to_dict() for one in (exact, near)]
    assert counts[0] == counts[1]
    assert counts[0]["ldm"] == 0


def test_auto_is_exact_for_a_gallery_that_is_searched_quickly():
    assert RetrievalSettings().engine(1000, 768) == "flat"
    assert RetrievalSettings().engine(10**6, 768) == "ivf"
    assert RetrievalSettings(vote="prototype").engine(10**6, 768) == "flat"


@pytest.mark.parametrize(
    "change", [{"index": "annoy"}, {"index": "ivf", "vote": "prototype"}, {"index": "hnsw", "class_rank": "top5"}]
)
def test_an_index_that_cannot_answer_is_refused_in_one_line(change):
    with pytest.raises(UsageError, match="index"):
        replace(QUICK, **change)


def test_a_threshold_that_does_not_carry_over_is_said():
    fs = clouds(n=2000, groups=400, generators=("real", "lama", "ldm", "repaint"), spread=0.2)
    near_lama = fs.samples["generator"].eq("ldm").to_numpy()
    block = fs.blocks[0].copy()
    block[near_lama] = block[fs.samples["generator"].eq("lama").to_numpy()][0] + 0.001 * block[near_lama]
    result = retrieve(replace(fs, blocks=(block,)), replace(QUICK, unknown=("ldm",)))
    assert any("does not carry over" in note and "unregistered" in note for note in result.notes)
    assert not any("does not carry over" in note for note in retrieve(fs, QUICK).notes)


def test_a_threshold_above_every_mated_search_is_said_with_its_reason():
    fs = clouds(n=2000, groups=400, spread=0.5)
    samples = fs.samples
    tied = samples["generator"].eq("real") & samples["split"].eq("val") | (
        samples["generator"].eq("lama") & samples["split"].eq("train")
    )
    block = fs.blocks[0].copy()
    block[tied.to_numpy()] = 1.0  # validation images of nobody are what is registered
    found = retrieve(replace(fs, blocks=(block,)), replace(QUICK, unknown=("ldm",)))
    (real,) = (pool for pool in found.open if pool.pool == "real")
    n = int((samples["generator"].eq("real") & samples["split"].eq("val")).sum())
    assert {(point.dir, point.n_above_mated) for point in real.points if point.status == "resolved"} == {(0.0, n)}
    (note,) = (note for note in found.notes if "no threshold accepts any mated search" in note)
    assert f"{n} of {n} validation searches score as high as the best mated one (cosine " in note
    assert not any("no threshold accepts" in note for note in retrieve(fs, QUICK).notes)


@pytest.mark.parametrize("change", [{"T": 0.0}, {"T": float("nan")}, {"folds": 1}, {"bootstrap": -5}])
def test_settings_that_mean_nothing_are_refused(change):
    with pytest.raises(UsageError, match=next(iter(change))):
        replace(QUICK, **change)


@pytest.mark.parametrize("condition", ["zscore", "whiten"])
def test_out_of_fold_no_statistic_is_taken_from_the_queries(condition):
    fs = clouds(n=200, groups=20)
    settings = replace(QUICK, folds=5, condition=condition)
    scaled = fs.blocks[0].copy()
    scaled[7] *= 50
    before, after = (retrieve(one, settings).queries for one in (fs, replace(fs, blocks=(scaled,))))
    fold = group_folds(fs.samples, 5, 0)
    own = fold == fold[7]  # the others have the scaled row in their galleries
    own[7] = False
    assert_allclose(before["similarity"][own], after["similarity"][own], rtol=1e-6)


def test_validation_rows_of_the_groups_of_queries_set_no_threshold():
    fs = clouds(n=1200, groups=100)
    samples = fs.samples.copy()
    test = samples["split"] == "test"
    shared = samples.loc[test, "group"].unique()[:10]
    moved = samples.index[test & samples["group"].isin(shared)][::2]
    samples.loc[moved, "split"] = "val"  # a leaking split
    kept = replace(fs, samples=samples.drop(index=moved), blocks=(np.delete(fs.blocks[0], moved, axis=0),))
    leaking, clean = (retrieve(one, QUICK) for one in (replace(fs, samples=samples), kept))
    assert [pool.points[2].n_threshold for pool in leaking.open] == [pool.points[2].n_threshold for pool in clean.open]


def test_the_table_of_queries_holds_what_the_averages_are_of():
    fs = clouds()
    result = retrieve(fs, replace(QUICK, unknown=("ldm",)))
    queries, own = result.queries, fs.samples.set_index("path")
    assert len(queries) == result.closed.n_queries
    assert_allclose(queries["rank1"].mean(), result.closed.rank[1])
    assert_allclose(queries["class_rank1"].mean(), result.closed.class_rank[1])
    assert_allclose(queries["ap"].mean(), result.closed.mean_ap)
    for name in ("generator", "domain", "label", "group"):
        assert queries[name].tolist() == own.loc[queries["path"], name].tolist()
    scored = queries["rank1"].notna()
    hit = (queries["generator"] == queries["nearest_generator"]).astype(float)
    assert queries.loc[scored, "rank1"].tolist() == hit[scored].tolist()
    assert set(queries.loc[~queries["registered"], "generator"]) == {"ldm"}
    assert queries.loc[~queries["registered"], "rank1"].isna().all()
