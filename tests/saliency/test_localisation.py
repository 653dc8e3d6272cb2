"""Every metric against its formula, pixel by pixel, and against scikit-learn; chance against simulation."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from sklearn.metrics import average_precision_score, jaccard_score

from probekit.saliency.localisation import (
    METRICS,
    average_precision,
    centre_prior,
    chance,
    iou,
    localise,
    measure,
    pointing,
    summarise,
    verdict,
)


def tied(seed, size=(9, 7), levels=4):
    rng = np.random.default_rng(seed)
    mask = rng.random(size) < 0.3
    mask[0, 0], mask[-1, -1] = True, False
    return rng.integers(0, levels, size).astype(np.float32) * 0.1, mask


def average_precision_by_hand(values, inside):
    """Σ over thresholds of (recall step) × precision, float64."""
    total, before = 0.0, 0.0
    for threshold in sorted(set(values.tolist()), reverse=True):
        passing = [bool(i) for v, i in zip(values, inside, strict=True) if v >= threshold]
        recall = sum(passing) / inside.sum()
        total += (recall - before) * sum(passing) / len(passing)
        before = recall
    return total


@given(seed=st.integers(0, 1000), levels=st.integers(1, 9))
def test_average_precision_is_its_formula_and_scikit_learns(seed, levels):
    values, mask = tied(seed, levels=levels)
    values, inside = values.ravel(), mask.ravel()
    found = average_precision(values, inside)
    assert_allclose(found, average_precision_by_hand(values.astype(np.float64), inside), rtol=1e-12)
    assert_allclose(found, average_precision_score(inside, values), rtol=1e-9)


@given(seed=st.integers(0, 1000), levels=st.integers(2, 9))
def test_iou_is_the_jaccard_index_of_the_scaled_map_at_a_half(seed, levels):
    values, mask = tied(seed, levels=levels)
    if values.max() == values.min():
        return
    wide = values.astype(np.float64)
    selected = (wide - wide.min()) / (wide.max() - wide.min()) >= 0.5
    assert_allclose(iou(values.ravel(), mask.ravel()), jaccard_score(mask.ravel(), selected.ravel()), rtol=1e-12)


@given(seed=st.integers(0, 1000))
def test_pointing_is_the_mean_hit_of_all_ways_to_break_ties(seed):
    values, mask = tied(seed)
    hits = [bool(i) for v, i in zip(values.ravel(), mask.ravel(), strict=True) if v == values.max()]
    assert_allclose(pointing(values.ravel(), mask.ravel()), sum(hits) / len(hits))


@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), seed=st.integers(0, 99))
def test_no_metric_depends_on_the_units_of_the_map(scale, shift, seed):
    values, mask = tied(seed)
    ranks = np.unique(values, return_inverse=True)[1].astype(np.float64)
    other = measure(ranks.ravel() * scale + shift, mask.ravel())
    assert_allclose([other[name] for name in METRICS], [measure(ranks.ravel(), mask.ravel())[name] for name in METRICS])


@pytest.mark.parametrize(("n", "m"), [(2, 1), (12, 5), (60, 3), (60, 59)])
def test_chance_is_the_mean_over_random_maps(n, m):
    rng = np.random.default_rng(0)
    inside = np.arange(n) < m
    drawn = pd.DataFrame([measure(rng.random(n), inside) for _ in range(4000)])
    expected, error = chance(n, m), drawn.std() / np.sqrt(len(drawn))
    assert abs(drawn["ap"].mean() - expected["ap"]) < 4 * error["ap"] + 1e-12
    assert abs(drawn["pointing"].mean() - expected["pointing"]) < 4 * error["pointing"] + 1e-12
    if n >= 60:
        assert abs(drawn["iou"].mean() - expected["iou"]) < 4 * error["iou"] + 0.02


def test_the_approximated_harmonic_number_continues_the_exact_one():
    assert_allclose(chance(10_001, 900)["ap"], chance(10_000, 900)["ap"], atol=2e-4)
    assert_allclose(chance(50_176, 5000)["ap"], 5000 / 50_176, atol=3e-4)


def test_a_perfect_map_reaches_one_and_its_opposite_does_not():
    mask = np.zeros((8, 8), bool)
    mask[2:5, 1:4] = True
    found = localise(mask.astype(np.float32), mask)
    assert found.map == {"ap": 1.0, "iou": 1.0, "pointing": 1.0}
    assert localise(-mask.astype(np.float32), mask).map["pointing"] == 0


def test_a_constant_map_is_at_chance_and_selects_nothing():
    _, mask = tied(0)
    found = localise(np.full(mask.shape, 0.1, np.float32), mask)
    assert_allclose([found.map["ap"], found.map["pointing"]], mask.mean())
    assert found.map["iou"] == 0


@pytest.mark.parametrize("fill", [True, False])
def test_an_empty_or_full_mask_has_no_score(fill):
    values, _ = tied(0)
    assert localise(values, np.full(values.shape, fill)) is None


def test_pixels_that_the_view_did_not_show_count_nowhere():
    values, mask = tied(3, size=(12, 12))
    hidden = values.copy()
    hidden[:, 8:] = np.nan
    found, shown = localise(hidden, mask), measure(values[:, :8].ravel(), mask[:, :8].ravel())
    assert found.map == shown
    assert_allclose(found.random["pointing"], mask[:, :8].mean())
    only_outside = np.zeros((12, 12), bool)
    only_outside[:, 9] = True
    assert localise(hidden, only_outside) is None


def test_the_centre_prior_is_a_gaussian_of_a_quarter_of_each_side_about_the_middle():
    prior = centre_prior((5, 8))
    y, x = (np.arange(5) + 0.5 - 2.5) / (5 / 4), (np.arange(8) + 0.5 - 4) / (8 / 4)
    expected = [[np.exp(-(b * b) / 2 - a * a / 2) for a in x] for b in y]
    assert_allclose(prior, expected)
    assert_allclose(prior, prior[::-1, ::-1])


def images(gains, groups):
    """Images whose map is better than the centre prior by so much."""
    gains = np.array(gains, float)
    table = pd.DataFrame({f"{name}{end}": 0.3 for name in METRICS for end in ("_centre", "_random")}, index=gains)
    for name in METRICS:
        table[name] = 0.3 + gains
    return table.reset_index(drop=True), np.array(groups)


def test_the_interval_is_of_paired_differences_over_groups():
    rng = np.random.default_rng(0)
    table, groups = images(rng.normal(0.1, 0.05, 40), np.arange(40) // 2)
    row = summarise(table, groups, 500, seed=0)
    gains = (table["ap"] - table["ap_centre"]).to_numpy()
    by_group = np.array([gains[groups == group] for group in range(20)])
    drawn = [by_group[rng.integers(20, size=20)].mean() for _ in range(4000)]
    assert_allclose([row["ap_gain_lo"], row["ap_gain_hi"]], np.quantile(drawn, [0.025, 0.975]), atol=0.005)
    assert_allclose(row["ap_gain"], gains.mean())
    assert (row["n"], row["n_groups"], row["n_without"]) == (40, 20, 0)
    assert row["verdict"] == "better than the centre prior"


def test_images_without_a_score_are_counted_and_few_groups_give_no_interval():
    table, groups = images([0.2, 0.1, np.nan], ["a", "a", "b"])
    row = summarise(table, groups, 100, seed=0)
    assert (row["n"], row["n_groups"], row["n_without"]) == (2, 1, 1)
    assert np.isnan(row["ap_gain_lo"])
    assert row["verdict"] == "too few groups to say"
    nothing = summarise(table[2:], groups[2:], 100, seed=0)
    assert nothing["n"] == 0
    assert np.isnan(nothing["ap"])


def test_a_verdict_is_of_the_interval_alone():
    assert verdict(0.01, 0.2) == "better than the centre prior"
    assert verdict(-0.2, -0.01) == "worse than the centre prior"
    assert verdict(-0.2, 0.01) == "no different shown"
