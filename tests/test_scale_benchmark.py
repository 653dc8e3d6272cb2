"""The steps of `make bench-scale` do what they time, and their growth is told as it is."""

import pytest

from tests.benchmarks.scale import picture, synthetic
from tests.benchmarks.scale.work import STEPS

ROWS = 12_000


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scale")
    synthetic.finish(folder, ROWS)
    return folder


@pytest.mark.parametrize("step", STEPS)
def test_each_step_finds_what_was_made_and_tells_its_time(finished, step):
    measured = STEPS[step](finished, ROWS)  # it checks its own result
    assert measured["cpu"] > 0
    assert 0 < measured["seconds"] < 60


def test_a_slope_is_that_of_the_two_largest_sizes():
    of = {"10": {"cpu": 5.0, "peak": 1}, "100": {"cpu": 2.0, "peak": 1}, "1000": {"cpu": 200.0, "peak": 1 << 30}}
    assert picture.slope(of) == pytest.approx(2)
    table = picture.to_markdown({"plan": of, "stat": {"10": of["10"]}})
    assert "| plan | 5.00 s, 0.00 GiB | 2.00 s, 0.00 GiB | 200.00 s, 1.00 GiB | 2.00 |" in table
    assert "| stat | 5.00 s, 0.00 GiB |  |  |  |" in table


@pytest.mark.parametrize("kind", ["cpu", "peak"])
def test_growth_is_drawn(kind):
    of = {str(10**power): {"cpu": 2.0**power, "peak": 10.0 ** (power + 6)} for power in (2, 3, 4)}
    assert picture.growth({"plan": of, "resume": of}, kind).startswith(b"\x89PNG")
