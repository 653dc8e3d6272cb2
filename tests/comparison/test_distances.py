"""Fréchet distance and MMD against their definitions, closed forms, and samples that try to break them."""

import json

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

from probekit.comparison import DistanceSettings, frechet_distance, measure_distances, mmd, mmd2
from probekit.comparison.frechet import Gaussian, squared_distance
from probekit.comparison.mmd import Gaussians, kernel_sums, median_kernel, polynomial
from probekit.errors import ModelError, UsageError
from tests.comparison import references
from tests.trials.studies import chosen, study, where, with_blocks, with_samples


def two_samples(n=60, d=5, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), 0.3 + rng.normal(size=(n + 20, d)) @ rng.normal(size=(d, d))


def pair(result, a, b):
    return result.pairs.query("a == @a and b == @b").iloc[0]


# Fréchet distance


def test_the_frechet_distance_is_that_of_the_papers_formula():
    a, b = two_samples()
    assert_allclose(frechet_distance(a, b), references.frechet(a, b), rtol=1e-9)


def test_gaussians_have_the_distance_of_the_closed_form():
    # covariances that commute: d² = ‖μ₁ − μ₂‖² + Σ (σ₁ − σ₂)²
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(6, 6)))[0]
    one, two = np.array([1.0, 2.0, 0.5, 0.0, 3.0, 0.1]), np.array([2.0, 1.0, 0.5, 1.0, 0.0, 0.1])
    a = Gaussian(9, np.zeros(6), turn * one)
    b = Gaussian(9, np.full(6, 0.1), turn * two)
    assert_allclose(squared_distance(a, b), 6 * 0.01 + np.sum((one - two) ** 2), rtol=1e-12)


@pytest.mark.parametrize("n", [4, 12, 13, 40])
def test_fewer_rows_than_columns_are_no_other_formula(n):
    rng = np.random.default_rng(n)
    a, b = rng.normal(size=(n, 12)), 2 * rng.normal(size=(n, 12))
    of_a, of_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.maximum(np.linalg.eigvals(of_a @ of_b).real, 0)).sum()
    means = np.sum((a.mean(0) - b.mean(0)) ** 2)
    assert_allclose(frechet_distance(a, b), means + np.trace(of_a + of_b) - 2 * roots, rtol=1e-5)


def test_a_sample_is_at_no_distance_from_itself_and_moves_by_its_shift():
    a = two_samples()[0]
    assert frechet_distance(a, a) < 1e-12
    assert_allclose(frechet_distance(a, a + 0.1), 5 * 0.01, rtol=1e-9)


def test_the_frechet_distance_scales_with_the_square_of_the_features():
    a, b = two_samples()
    assert_allclose(frechet_distance(1e6 * a, 1e6 * b), 1e12 * frechet_distance(a, b), rtol=1e-9)


def test_duplicate_and_constant_columns_are_no_trouble():
    a, b = two_samples()
    padded = [np.hstack([own, own[:, :1], np.full((len(own), 2), 0.1)]) for own in (a, b)]
    doubled = [np.hstack([own, own[:, :1]]) for own in (a, b)]
    assert_allclose(frechet_distance(*padded), frechet_distance(*doubled), rtol=1e-9)


def test_one_sample_has_no_gaussian():
    a, b = two_samples()
    assert np.isnan(frechet_distance(a[:1], b))


def test_the_extrapolated_distance_loses_the_bias_and_its_interval_holds_the_truth():
    rng = np.random.default_rng(4)
    photos, d, shift = 400, 20, 0.1
    features = study(photos=photos, d=d, alike=False, generators=("lama",))
    rows = where(features, generator="lama")
    values = rng.normal(size=(2 * photos, d)) + shift * rows[:, None]
    found = pair(measure_distances(with_blocks(features, values), DistanceSettings(condition="raw")), "real", "lama")
    truth = d * shift**2
    assert found["fd"] > 3 * truth
    assert found["fd_inf_lo"] < truth < found["fd_inf_hi"] < found["fd"]


# Maximum mean discrepancy


@pytest.mark.parametrize("kernel", [polynomial, Gaussians(4.0)])
def test_mmd_is_the_mean_over_every_two_samples(kernel):
    a, b = two_samples(n=12, d=4)
    groups = np.arange(12), 100 + np.arange(32)
    expected = references.mmd2(a, b, *groups, lambda x, y: kernel(x[None], y[None])[0, 0])
    assert_allclose(mmd2(a, b, *groups, kernel), expected, rtol=1e-9)


def test_the_kernel_matrix_is_walked_in_pieces(monkeypatch):
    a, b = two_samples(n=12, d=4)
    groups = np.arange(12) // 3, np.arange(32) // 4
    expected = mmd2(a, b, *groups)
    monkeypatch.setattr(mmd, "ELEMENTS", 150)
    assert_allclose(mmd2(a, b, *groups), expected, rtol=1e-12)


def test_samples_of_one_group_are_not_compared():
    a, b = two_samples(n=12, d=4)
    groups = np.arange(12) // 3, np.arange(32) // 4  # a photograph, its copies and its edits
    expected = references.mmd2(a, b, *groups, lambda x, y: polynomial(x[None], y[None])[0, 0])
    assert_allclose(mmd2(a, b, *groups), expected, rtol=1e-9)
    assert abs(mmd2(a, b, np.arange(12), 100 + np.arange(32)) - expected) > 1e-3


def test_shifted_gaussians_have_the_mmd_of_the_closed_form():
    # N(0, I), N(m, I), kernel exp(−‖x − y‖²/2σ²): 2 (σ²/(σ² + 2))^(d/2) (1 − exp(−‖m‖²/(2 (σ² + 2))))
    rng = np.random.default_rng(0)
    d, squared, shift = 4, 3.0, np.array([0.8, 0, 0, 0])
    found = []
    for _ in range(60):
        a, b = rng.normal(size=(150, d)), shift + rng.normal(size=(150, d))
        found.append(mmd2(a, b, np.arange(150), np.arange(150, 300), Gaussians(squared)))
    truth = 2 * (squared / (squared + 2)) ** (d / 2) * (1 - np.exp(-(shift @ shift) / (2 * (squared + 2))))
    assert abs(np.mean(found) - truth) < 3 * np.std(found) / np.sqrt(len(found)) < 0.15 * truth


def test_equal_distributions_are_at_none_and_sometimes_below():
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        a, b = rng.normal(size=(2, 30, 3))
        found.append(mmd2(a, b, np.arange(30), np.arange(30, 60)))
    assert abs(np.mean(found)) < 3 * np.std(found) / np.sqrt(len(found))
    assert min(found) < 0


def test_the_median_heuristic_takes_the_median_distance_of_different_groups():
    features = two_samples(n=20)[0]
    groups = np.arange(20) // 2
    distances = [
        np.sum((features[i] - features[j]) ** 2) for i in range(20) for j in range(i) if groups[i] != groups[j]
    ]
    assert_allclose(median_kernel(features, groups, 0).squared_width, np.median(distances), rtol=1e-9)


def test_features_that_do_not_vary_have_no_width():
    assert np.isnan(median_kernel(np.full((20, 3), 0.1), np.arange(20), 0).squared_width)


def test_cells_of_one_group_alone_have_nothing_to_compare():
    found = kernel_sums(np.eye(4), np.zeros(4), np.array([0, 0, 1, 1]), polynomial)
    assert np.isnan(found.mmd2(np.array([True, False]), np.array([False, True])))


# The question


@pytest.fixture(scope="module")
def result():
    return measure_distances(study(photos=40), DistanceSettings())


def test_every_pair_and_the_halves_of_each_are_measured(result):
    assert set(zip(result.pairs["a"], result.pairs["b"], strict=True)) == {
        ("real", "lama"), ("real", "ldm"), ("lama", "ldm"), ("real", "real"), ("lama", "lama"), ("ldm", "ldm"),
    }  # fmt: skip
    halves = result.pairs[result.pairs["a"] == result.pairs["b"]]
    assert (halves["n_a"] == 20).all()
    assert (halves["mmd_lo"] < 0).all()
    apart = result.pairs[result.pairs["a"] != result.pairs["b"]]
    assert (apart["mmd_lo"] > 0).all()
    assert (apart["mmd"] > halves["mmd"].max()).all()


def test_the_numbers_are_those_of_z_scores(result):
    features = study(photos=40)
    z = features.matrix.astype(np.float64)
    z = (z - z.mean(0)) / z.std(0)
    a, b = (where(features, generator=name) for name in ("real", "lama"))
    found = pair(result, "real", "lama")
    groups = features.samples["group"].to_numpy()
    assert_allclose(found["fd"], references.frechet(z[a], z[b]), rtol=1e-7)
    assert_allclose(found["kid"], mmd2(z[a], z[b], groups[a], groups[b]), rtol=1e-9)
    kernel = median_kernel(z, groups, 0)
    assert_allclose(found["mmd"], mmd2(z[a], z[b], groups[a], groups[b], kernel), rtol=1e-7)
    assert_allclose(result.rbf_width**2, kernel.squared_width, rtol=1e-7)


def test_near_generators_stand_side_by_side():
    features = study(photos=30, generators=("a", "b", "c"))
    values = features.matrix.copy()
    for name, place in (("real", 0.0), ("a", 9.0), ("b", 0.5), ("c", 9.5)):
        values[where(features, generator=name)] += place
    order = measure_distances(with_blocks(features, values), DistanceSettings(parts=0)).order
    assert {order[:2], order[:2][::-1]} & {("real", "b")}
    assert set(order[2:]) == {"a", "c"}


def test_too_few_images_for_the_columns_are_flagged_and_not_extrapolated():
    features = study(photos=20, d=30)
    result = measure_distances(features, DistanceSettings())
    found = pair(result, "real", "lama")
    assert not found["enough"]
    assert np.isfinite(found["fd"])
    assert np.isnan([found["fd_inf"], found["fd_inf_lo"]]).all()
    assert np.isfinite([found["kid_lo"], found["mmd_lo"]]).all()
    assert any("3 of 3 pairs are of no more groups than there are columns (30)" in note for note in result.notes)


def test_images_of_few_groups_are_flagged_and_not_extrapolated_however_many_they_are():
    features = study(photos=240, d=20, generators=("lama",))
    grouped = with_samples(features, group="video" + (np.arange(480) % 15).astype(str).astype(object))
    found = pair(measure_distances(grouped, DistanceSettings()), "real", "lama")
    assert found[["n_a", "n_groups"]].tolist() == [240, 15]
    assert not found["enough"]
    assert np.isnan([found["fd_inf"], found["fd_inf_lo"]]).all()
    alone = pair(measure_distances(features, DistanceSettings()), "real", "lama")
    assert alone["enough"]
    assert np.isfinite([alone["fd_inf"], alone["fd_inf_lo"]]).all()


def test_a_generator_with_one_image_is_undefined_and_the_others_are_not():
    features = study(photos=20)
    rows = ~where(features, generator="ldm") | (features.samples["group"] == "photo0").to_numpy()
    result = measure_distances(chosen(features, rows), DistanceSettings())
    alone = pair(result, "real", "ldm")
    assert np.isnan(alone[["fd", "kid", "mmd"]].to_numpy(dtype=float)).all()
    assert np.isfinite(pair(result, "real", "lama")["mmd_lo"])
    assert json.loads(json.dumps(result.to_json(), allow_nan=False))["pairs"]


def test_real_images_are_those_of_the_fakes_own_domain():
    features = study(photos=15, domains=("celeba", "ffhq"))
    rows = ~(where(features, generator="ldm") & where(features, domain="celeba"))
    result = measure_distances(chosen(features, rows), DistanceSettings())
    assert pair(result, "real", "ldm")[["n_a", "n_b"]].tolist() == [15, 15]
    assert pair(result, "real", "lama")[["n_a", "n_b"]].tolist() == [30, 30]


def test_generators_of_different_domains_are_remarked_on():
    features = study(photos=12, domains=("celeba", "ffhq"))
    rows = ~(where(features, generator="ldm") & where(features, domain="celeba"))
    rows &= ~(where(features, generator="lama") & where(features, domain="ffhq"))
    notes = measure_distances(chosen(features, rows), DistanceSettings(parts=0)).notes
    assert any("of different domains" in note and "lama and ldm" in note for note in notes)


def test_mmd_looks_at_no_more_images_than_it_is_told():
    found = pair(measure_distances(study(photos=40), DistanceSettings(kernel_sample=12)), "real", "lama")
    assert found[["n_kernel_a", "n_kernel_b", "n_a"]].tolist() == [12, 12, 40]


def test_a_kernel_sample_smaller_than_any_group_is_undefined_and_names_the_generators():
    features = study(photos=40)
    frames = with_samples(features, group="video" + pd.Series(np.arange(120) % 40 // 4).astype(str))
    result = measure_distances(frames, DistanceSettings(kernel_sample=3, parts=0))
    found = pair(result, "real", "lama")
    assert found[["n_kernel_a", "n_kernel_b"]].tolist() == [4, 4]
    assert np.isnan(found["mmd"])
    assert np.isfinite(found["fd"])
    assert any(note.startswith("no MMD of real, lama, ldm: ") and "--kernel-sample" in note for note in result.notes)
    rows = ~where(frames, generator="ldm") | (frames.samples["group"] == "video0").to_numpy()
    few = measure_distances(chosen(frames, rows), DistanceSettings(parts=0))
    assert any(note.startswith("no MMD of ldm: ") for note in few.notes)
    assert not any("no MMD" in note for note in measure_distances(frames, DistanceSettings(parts=0)).notes)


def test_one_class_alone_is_refused_and_so_is_what_is_no_number():
    features = study(photos=12)
    with pytest.raises(UsageError, match="there is real alone"):
        measure_distances(chosen(features, where(features, generator="real")), DistanceSettings())
    broken = features.matrix.copy()
    broken[0, 0] = np.inf
    with pytest.raises(ModelError, match="not finite"):
        measure_distances(with_blocks(features, broken), DistanceSettings())


def test_the_order_of_the_samples_does_not_matter(result):
    features = study(photos=40)
    mixed = chosen(features, np.random.default_rng(3).permutation(len(features.samples)))
    found = measure_distances(mixed, DistanceSettings()).pairs
    columns = ["fd", "fd_inf", "kid", "kid_lo", "kid_hi"]  # the Gaussian kernel's width is drawn from rows
    assert_allclose(found[columns], result.pairs[columns], rtol=1e-6, atol=1e-9)


def test_fake_images_called_real_stay_fakes():
    features = study(photos=12)
    odd = with_samples(features, generator=features.samples["generator"].replace("lama", "Real"))
    assert measure_distances(odd, DistanceSettings(parts=0)).pairs["b"].tolist()[0] == "Real"


@pytest.mark.parametrize("settings", [{"kernel_sample": 1}, {"parts": 3}])
def test_settings_that_mean_nothing_are_refused(settings):
    with pytest.raises(UsageError):
        DistanceSettings(**settings)
