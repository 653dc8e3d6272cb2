"""Names: a taken one is an error, an unknown one lists the nearest."""

import pytest

from probekit.errors import UnknownNameError
from probekit.registry import Registry


def test_a_taken_name_is_an_error():
    registry = Registry[int]("thing", package="probekit.layouts", entry_points="probekit.nothing")
    registry.add("one")(1)
    with pytest.raises(ValueError, match="'one' is registered twice"):
        registry.add("one")(2)


def test_an_unknown_name_lists_the_nearest_ones():
    registry = Registry[int]("thing", package="probekit.layouts", entry_points="probekit.nothing")
    for name in ("dinov2", "clip"):
        registry.add(name)(1)
    with pytest.raises(UnknownNameError, match=r"unknown thing 'dinov3'\. Did you mean 'dinov2'"):
        registry.get("dinov3")
