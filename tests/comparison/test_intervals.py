"""The jackknife against its definition, and which parts the groups are dealt into."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy import stats

from probekit.comparison.intervals import deal_parts, draw_groups, jackknife, require_parts
from probekit.errors import UsageError


def test_of_a_mean_it_is_the_interval_of_the_t_distribution():
    values = np.random.default_rng(0).normal(size=12)
    left = np.array([np.delete(values, i).mean() for i in range(12)])
    corrected, interval, about = jackknife(float(values.mean()), left, np.ones(12, dtype=int))
    assert_allclose(corrected, values.mean())
    reach = stats.t.ppf(0.975, 11) * values.std(ddof=1) / np.sqrt(12)
    assert_allclose(interval, values.mean() + np.array([-reach, reach]))
    assert_allclose(about, interval)


def test_a_bias_of_one_over_n_is_taken_away_whatever_the_sizes_of_the_parts():
    sizes = np.array([3, 5, 8, 2, 4, 6, 7, 3, 5, 9])
    n = sizes.sum()
    corrected, _, _ = jackknife(0.7 + 2 / n, 0.7 + 2 / (n - sizes), sizes)
    assert_allclose(corrected, 0.7)


def test_empty_parts_do_not_count_and_too_few_give_nothing():
    left = np.r_[np.random.default_rng(0).normal(size=11), np.nan]
    sizes = np.r_[np.ones(11, dtype=int), 0]
    assert np.isfinite(jackknife(0.0, left, sizes)[1]).all()
    assert np.isnan(jackknife(0.0, left[:9], sizes[:9])[1]).all()
    assert np.isnan(jackknife(float("nan"), left, sizes)[1]).all()


def test_groups_stay_whole_and_their_order_does_not_matter():
    groups = np.array([f"photo{i}" for i in range(25)])[np.arange(100) % 25]
    parts = deal_parts(groups, 10, 0)
    assert sorted(np.unique(parts)) == list(range(10))
    assert all(len(set(parts[groups == name])) == 1 for name in np.unique(groups))
    mixed = np.random.default_rng(0).permutation(100)
    assert np.array_equal(deal_parts(groups[mixed], 10, 0), parts[mixed])
    assert not np.array_equal(deal_parts(groups, 10, 1), parts)


def test_few_groups_are_not_dealt():
    assert (deal_parts(np.arange(9), 10, 0) == 0).all()
    assert (deal_parts(np.arange(90), 0, 0) == 0).all()
    assert len(np.unique(deal_parts(np.arange(12), 20, 0))) == 12


def test_drawn_groups_are_whole_and_fewer_are_part_of_more():
    groups = np.arange(40) // 4
    few, more = draw_groups(groups, 10, 0), draw_groups(groups, 22, 0)
    assert (few.sum(), more.sum()) == (8, 20)
    assert not (few & ~more).any()
    assert draw_groups(groups, None, 0).all()


def test_a_group_is_drawn_however_large_it_is():
    groups = np.arange(40) // 4
    drawn = draw_groups(groups, 3, 0)
    assert drawn.sum() == 4
    assert len(set(groups[drawn])) == 1


@pytest.mark.parametrize("parts", [-1, 1, 9])
def test_parts_that_give_no_interval_are_refused(parts):
    with pytest.raises(UsageError, match="at least 10"):
        require_parts(parts)
