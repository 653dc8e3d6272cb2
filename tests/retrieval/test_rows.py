"""Which rows are registered and searched: by split, domain, generator and manifest."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from probekit.errors import UsageError
from probekit.retrieval import RetrievalSettings, beside, retrieve
from probekit.retrieval.rows import turns, validation_rows
from tests.retrieval.clouds import QUICK, clouds


def in_domains(fs):
    domain = np.where(np.arange(len(fs.samples)) % 2, "celeba", "ffhq")
    return replace(fs, samples=fs.samples.assign(domain=domain))


def kinds(samples, rows):
    return set(samples.iloc[rows][["generator", "domain"]].itertuples(index=False, name=None))


def test_domains_choose_gallery_and_queries_and_the_rows_that_set_thresholds():
    fs = in_domains(clouds())
    settings = RetrievalSettings(gallery_domains=("celeba",), query_domains=("ffhq",))
    (turn,) = turns(fs.samples, settings, learns=False)
    assert {domain for _, domain in kinds(fs.samples, turn.gallery)} == {"celeba"}
    assert {domain for _, domain in kinds(fs.samples, turn.queries)} == {"ffhq"}
    assert {domain for _, domain in kinds(fs.samples, turn.learned)} == {"celeba"}
    held = fs.samples.iloc[validation_rows(fs.samples, settings)]
    assert set(held["domain"]) == {"celeba"}
    assert set(held["split"]) == {"val"}


def test_generators_are_chosen_as_pools_and_real_images_of_their_domains_come_along():
    fs = in_domains(clouds())
    settings = RetrievalSettings(gallery_generators="lama@celeba", query_generators="lama,ldm@ffhq")
    (turn,) = turns(fs.samples, settings, learns=False)
    assert kinds(fs.samples, turn.gallery) == {("lama", "celeba"), ("real", "celeba")}
    assert kinds(fs.samples, turn.queries) == {
        *(("lama", "celeba"), ("lama", "ffhq"), ("ldm", "ffhq"), ("real", "celeba"), ("real", "ffhq"))
    }


def test_what_a_projection_learns_from_is_registered_training_rows_without_the_queries_groups():
    fs = clouds(groups=30)
    train = (fs.samples["split"] == "train").to_numpy()
    for settings in (
        RetrievalSettings(unknown=("ldm",)),
        RetrievalSettings(unknown=("ldm",), gallery="all", query="val"),
        RetrievalSettings(unknown=("ldm",), gallery="train", query="all", query_generators="repaint"),
    ):
        (turn,) = turns(fs.samples, settings, learns=True)
        learned, asked = fs.samples.iloc[turn.learned], fs.samples.iloc[turn.queries]
        assert train[turn.learned].all()
        assert set(turn.learned) <= set(turn.gallery)
        assert "ldm" not in set(learned["generator"])
        assert not set(learned["group"]) & set(asked["group"])


def test_out_of_fold_a_projection_has_one_turn_a_fold_and_every_sample_is_searched_once():
    fs = clouds(groups=30)
    asked = turns(fs.samples, RetrievalSettings(folds=4, unknown=("ldm",)), learns=True)
    assert len(asked) == 4
    assert sorted(np.concatenate([turn.queries for turn in asked])) == list(range(len(fs.samples)))
    for turn in asked:
        groups = [set(fs.samples.iloc[rows]["group"]) for rows in (turn.gallery, turn.queries)]
        assert not groups[0] & groups[1]
        assert set(turn.learned) == set(turn.gallery)


def test_ties_do_not_depend_on_the_order_of_the_manifest():
    fs = clouds(n=200)
    tied = replace(fs, blocks=(np.sign(fs.blocks[0]).round(),))
    order = np.random.default_rng(0).permutation(200)
    samples = tied.samples.iloc[order].reset_index(drop=True)
    shuffled = replace(tied, samples=samples, blocks=(tied.blocks[0][order],))
    for vote in ("soft", "sum", "majority", "prototype"):
        settings = replace(QUICK, vote=vote, class_rank="top3", unknown=("ldm",))
        a, b = (retrieve(one, settings) for one in (tied, shuffled))
        pd.testing.assert_frame_equal(
            a.queries.sort_values("path", ignore_index=True), b.queries.sort_values("path", ignore_index=True)
        )
        pd.testing.assert_frame_equal(a.per_class, b.per_class)
        for part, other in zip((a.closed, *a.open), (b.closed, *b.open), strict=True):
            _require_close(part.to_json(), other.to_json())


def _require_close(a, b):
    if isinstance(a, dict):
        assert a.keys() == b.keys()
        for name in a:
            _require_close(a[name], b[name])
    elif isinstance(a, list):
        for x, y in zip(a, b, strict=True):
            _require_close(x, y)
    else:
        assert a == (pytest.approx(b, rel=1e-9) if isinstance(a, float) else b)


def two_manifests():
    """The first 200 samples as one manifest, the rest as another, groups named apart."""
    fs = clouds(n=300)
    parts = []
    for name, rows in (("a", slice(0, 200)), ("b", slice(200, 300))):
        samples = fs.samples.iloc[rows].reset_index(drop=True)
        samples["group"] = name + samples["group"]
        parts.append(replace(fs, samples=samples, blocks=(fs.blocks[0][rows],)))
    return parts


def test_another_manifests_images_are_searched_and_never_registered():
    first, second = two_manifests()
    both = beside(first, second)
    result = retrieve(both, replace(QUICK, query="all", unknown=("ldm",)))
    assert result.closed.n_queries == 100
    registered = first.samples[(first.samples["split"] == "train") & (first.samples["generator"] != "ldm")]
    assert result.closed.n_gallery == len(registered)
    assert set(result.queries["nearest_path"]) <= set(registered["path"])
    assert {point.threshold_from for pool in result.open for point in pool.points} == {"validation"}


def test_an_image_that_is_in_both_manifests_never_finds_itself_nor_its_group():
    first, second = two_manifests()
    again = second.samples.copy()
    again.loc[0, "path"] = first.samples["path"][0]
    group = first.samples["group"][0]
    both = beside(first, replace(second, samples=again))
    joined = both.samples["group"]
    assert joined[0] == joined[200]
    same = both.samples[joined == joined[0]].index
    assert set(first.samples.index[first.samples["group"] == group]) <= set(same)
    assert set(200 + again.index[again["group"] == again["group"][0]]) <= set(same)
    result = retrieve(both, replace(QUICK, gallery="all", query="all"))
    of = dict(zip(first.samples["path"], first.samples["group"], strict=True))
    assert of[result.queries["nearest_path"][0]] != group
    assert any("1 groups are in both manifests" in note for note in result.notes)


def test_features_of_two_stores_are_not_compared():
    first, second = two_manifests()
    other = replace(second, sources=(replace(second.sources[0], address="1" * 64),))
    with pytest.raises(UsageError, match="of another store"):
        beside(first, other)
