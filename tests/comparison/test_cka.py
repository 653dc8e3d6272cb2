"""Linear CKA against its definition, in cases that have known answers, and with features that try to break it."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from probekit.comparison import CkaSettings, compare_features, gram, representations
from probekit.comparison.intervals import deal_parts
from probekit.errors import ModelError, UnknownNameError, UsageError
from tests.comparison import references
from tests.trials.studies import chosen, study, where, with_blocks, with_samples

ALL = CkaSettings(per_group=0)
NO_INTERVALS = CkaSettings(per_group=0, parts=0)


def compare(*every, settings=NO_INTERVALS):
    return compare_features([lambda own=own: own for own in every], settings)


def value(*every, settings=NO_INTERVALS, of="cka"):
    return compare(*every, settings=settings).pairs[of].iloc[0]


def base(photos=20, d=12):
    return study(photos=photos, d=d)


def other(features, width=7, seed=5):
    rng = np.random.default_rng(seed)
    mixed = features.matrix[:, :4] @ rng.normal(size=(4, width)) + rng.normal(size=(len(features.samples), width))
    return with_blocks(features, mixed)


@pytest.fixture(params=["tiles", "moments"])
def either_way(request, monkeypatch):
    """Both ways to the same sums, in pieces so small that several are needed."""
    monkeypatch.setattr(gram, "TILES", 2 * 11**2)
    monkeypatch.setattr(gram, "MOMENTS", 90)
    monkeypatch.setattr(gram, "ROWS", 13)
    ways = {"tiles": lambda held, inside, *rest: gram._by_tiles(held, *rest), "moments": gram._by_moments}
    monkeypatch.setattr(gram, "_products", ways[request.param])


@pytest.mark.parametrize("parts", [0, 10])
def test_both_forms_are_those_of_the_papers(either_way, parts):
    a = base()
    b = other(a)
    row = compare(a, b, settings=CkaSettings(per_group=0, parts=parts)).pairs.iloc[0]
    x, y = a.matrix, b.matrix
    assert_allclose(row["cka"], references.cka(x, y, references.song_hsic), rtol=1e-9)
    assert_allclose(row["cka_biased"], references.cka(x, y, references.biased_hsic), rtol=1e-9)


def test_unbiased_hsic_is_the_product_of_u_centred_kernels():
    a = base()
    b = other(a)
    k, h = (references.u_centred(references.gram(own.matrix)) for own in (a, b))
    assert_allclose(value(a, b), np.sum(k * h) / np.sqrt(np.sum(k**2) * np.sum(h**2)), rtol=1e-9)


def test_leaving_a_part_out_is_cka_of_the_other_samples(either_way):
    a = base()
    b = other(a)
    row = compare(a, b, settings=ALL).pairs.iloc[0]
    parts = deal_parts(a.samples["group"].to_numpy(), 10, 0)
    z = np.arctanh(
        [references.cka(a.matrix[parts != p], b.matrix[parts != p], references.song_hsic) for p in range(10)]
    )
    error = np.sqrt(0.9 * np.sum((z - z.mean()) ** 2))  # 20 groups of 3 samples: parts of equal size
    whole = np.arctanh(row["cka"])
    bounds = np.tanh(whole + stats.t.ppf([0.025, 0.975], 9) * error)
    assert_allclose([row["cka_lo"], row["cka_hi"]], bounds, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-6, 0.1, 1e6])
def test_rotated_moved_and_scaled_features_are_the_same(scale):
    a = base()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(12, 12)))[0]
    b = with_blocks(a, scale * (a.matrix.astype(np.float64) @ turn) + 3 * scale)
    row = compare(a, b, settings=ALL).pairs.iloc[0]
    assert_allclose(row[["cka", "cka_biased", "cka_lo", "cka_hi"]].to_numpy(dtype=float), 1.0, atol=1e-5)


def test_independent_features_have_none_where_the_biased_form_sees_half():
    rng = np.random.default_rng(0)
    a = study(photos=30)
    x, y = (with_blocks(a, rng.normal(size=(90, 200))) for _ in range(2))
    row = compare(x, y, settings=ALL).pairs.iloc[0]
    assert abs(row["cka"]) < 0.03
    assert row["cka_lo"] < 0 < row["cka_hi"]
    assert row["cka_biased"] > 0.6


def videos(frames=8, groups=60, width=20, seed=0):
    """Two kinds of features of the same videos, which know nothing of each other; frames of a video are alike."""
    rng = np.random.default_rng(seed)
    a = study(photos=frames * groups, generators=())
    a = with_samples(a, group=np.array([f"video{i}" for i in range(groups)]).repeat(frames))
    kinds = []
    for _ in range(2):
        scenes = rng.normal(size=(groups, width)).repeat(frames, axis=0)
        kinds.append(with_blocks(a, scenes + 0.3 * rng.normal(size=(frames * groups, width))))
    return kinds


def test_independent_features_of_videos_are_at_0_and_all_their_frames_would_say_else():
    result = compare(*videos(), settings=CkaSettings())
    row = result.pairs.iloc[0]
    assert row["cka_lo"] < 0 < row["cka_hi"]
    assert abs(row["cka"]) < 0.05
    assert (result.n, result.n_groups, row["n"]) == (60, 60, 60)
    assert any("one image of each group, 60 of 480" in note for note in result.notes)
    frames = compare(*videos(), settings=ALL)
    assert frames.pairs["cka_lo"].iloc[0] > 0.1
    assert frames.n == 480
    assert any("several images of a group" in note for note in frames.notes)


def test_the_interval_of_independent_features_of_videos_holds_0_as_often_as_it_says():
    held = 0
    for seed in range(40):
        row = compare(*videos(frames=3, groups=40, width=6, seed=seed), settings=CkaSettings()).pairs.iloc[0]
        held += row["cka_lo"] <= 0 <= row["cka_hi"]
    assert held >= 34  # of 40 intervals of 95 %, fewer in less than 1 of 100 such tests


def test_one_image_of_a_group_is_drawn_by_its_name_whatever_the_order_and_the_seed_draws_others():
    a = base()
    b = other(a)
    mixed = np.random.default_rng(3).permutation(len(a.samples))
    one = CkaSettings(parts=0)
    assert_allclose(value(chosen(a, mixed), chosen(b, mixed), settings=one), value(a, b, settings=one), rtol=1e-9)
    assert value(a, b, settings=dataclasses.replace(one, seed=1)) != value(a, b, settings=one)
    assert compare(a, b, settings=dataclasses.replace(one, per_group=2)).n == 40


def test_images_that_are_groups_of_their_own_are_all_compared_without_a_note():
    a = base()
    alone = with_samples(a, group=a.samples["path"])
    result = compare(alone, other(alone), settings=CkaSettings())
    assert (result.n, result.notes) == (60, ())


def test_the_order_of_the_samples_does_not_matter():
    a = base()
    b = other(a)
    mixed = chosen(b, np.random.default_rng(3).permutation(len(b.samples)))
    assert_allclose(value(a, mixed), value(a, b), rtol=1e-12)


def test_constant_columns_count_for_nothing():
    a = base()
    b = other(a)
    wide = with_blocks(b, np.hstack([b.matrix, np.full((len(b.matrix), 3), 0.1)]))
    assert_allclose(value(a, wide), value(a, b), rtol=1e-9)


def test_features_that_do_not_vary_are_undefined_and_said_so():
    a = base()
    still = with_blocks(a, np.full((len(a.samples), 3), 0.1))
    result = compare(a, still)
    assert result.pairs[["cka", "cka_biased"]].isna().all(axis=None)
    assert any("does not vary" in note or "do not vary" in note for note in result.notes)
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["pairs"][0]["cka"] is None


def test_features_are_not_changed():
    a = base()
    before = a.matrix.copy()
    compare(a, other(a))
    assert np.array_equal(before, a.matrix)


def test_features_that_are_not_numbers_are_refused():
    a = base()
    broken = a.matrix.copy()
    broken[4, 2] = np.nan
    with pytest.raises(ModelError, match=r"real/4\.png: its features are not finite"):
        compare(a, with_blocks(a, broken))


def test_a_single_kind_of_features_is_refused():
    with pytest.raises(UsageError, match="name two models or taps"):
        compare(base())


def test_only_samples_that_all_features_have_are_compared():
    a = base()
    b = other(a)
    part = chosen(b, np.arange(len(b.samples)) % 5 > 0)
    result = compare(a, part)
    assert result.n == 48
    assert "12 samples that some features lack are left out of CKA." in result.notes
    rows = np.arange(60) % 5 > 0
    assert_allclose(value(a, part), references.cka(a.matrix[rows], part.matrix, references.song_hsic), rtol=1e-9)


def test_no_sample_in_common_is_refused():
    a = base()
    moved = with_samples(a, path="else/" + a.samples["path"])
    with pytest.raises(UsageError, match="no sample in common"):
        compare(a, moved)


def test_a_drawn_sample_is_of_whole_groups_and_its_number_is_told():
    a = base()
    result = compare(a, other(a), settings=CkaSettings(per_group=0, sample=31))
    assert result.n == 30  # ten photographs, three images of each
    assert result.n_groups == 10


def test_a_sample_smaller_than_any_group_is_of_one_group():
    a = with_samples(base(), group="video" + pd.Series(np.arange(60) % 20 // 4).astype(str))
    result = compare(a, other(a), settings=CkaSettings(per_group=0, sample=4))
    assert (result.n, result.n_groups) == (12, 1)


def test_generators_can_be_chosen_and_must_exist():
    a = base()
    b = other(a)
    rows = where(a, generator=["real", "lama"])
    asked = dataclasses.replace(NO_INTERVALS, generators=("lama",))
    assert_allclose(value(a, b, settings=asked), value(chosen(a, rows), chosen(b, rows)), rtol=1e-12)
    with pytest.raises(UnknownNameError, match="lamma"):
        compare(a, b, settings=dataclasses.replace(asked, generators=("lamma",)))


def test_few_groups_give_no_interval():
    a = base(photos=9)
    row = compare(a, other(a), settings=ALL).pairs.iloc[0]
    assert np.isfinite(row["cka"])
    assert np.isnan(row["cka_lo"])


def test_features_that_do_not_fit_are_loaded_again_and_give_the_same(either_way, monkeypatch):
    a = base()
    kinds = [a, *(other(a, seed=seed) for seed in range(4))]
    together = compare(*kinds)
    monkeypatch.setattr(representations, "HELD", 2 * a.matrix.nbytes)
    loads = []

    def load(number):
        loads.append(number)
        return kinds[number]

    apart = compare_features([lambda number=number: load(number) for number in range(5)], ALL)
    assert len(loads) > 10
    assert_allclose(apart.matrix(), together.matrix(), rtol=1e-12)
    assert_allclose(apart.pairs["cka_lo"], compare(*kinds, settings=ALL).pairs["cka_lo"], rtol=1e-9)


def test_the_matrix_is_symmetric_with_ones():
    a = base()
    found = compare(a, other(a), other(a, seed=6)).matrix()
    assert (np.diag(found) == 1).all()
    assert_allclose(found, found.T)
    assert found.index.is_unique


@pytest.mark.parametrize("settings", [{"sample": 3}, {"per_group": -1}, {"parts": 5}, {"parts": -1}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UsageError):
        CkaSettings(**settings)
