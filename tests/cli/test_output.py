"""Progress says nothing before it knows something."""

import pytest

from probekit_cli.output import spell_pace


@pytest.mark.parametrize(
    ("done", "left", "seconds", "said"),
    [
        (0, 1134, 30.0, ""),
        (1, 1133, 21.6, ""),  # one item of many says nothing
        (400, 700, 1.9, ""),  # nor does a moment
        (4, 20, 8.0, ", 0.5/s, 40 s left"),  # 3 % and more
        (5, 1130, 5.0, ", 1.0/s, 19 min left"),
        (1000, 0, 8.0, ", 125/s"),
        (99, 24531, 99.0, ", 1.0/s, 7 h left"),
        (12345, 10, 10.0, ", 1,234/s, 0 s left"),
    ],
)
def test_a_speed_and_a_time_are_told_once_they_mean_something(done, left, seconds, said):
    assert spell_pace(done, left, seconds) == said
