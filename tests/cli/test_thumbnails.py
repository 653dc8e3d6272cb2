"""Thumbnails of the command line: small, true in proportion, and none of what is gone."""

import io

import pytest
from PIL import Image

from probekit.sources import Sample
from probekit_cli import thumbnails


def test_a_thumbnail_is_small_and_keeps_its_proportions(tmp_path):
    Image.new("RGB", (200, 100), (200, 30, 30)).save(tmp_path / "a.png")
    sample = Sample(str(tmp_path / "a.png"))
    found = thumbnails.pixels(sample, 40)
    assert found.shape == (20, 40, 3)
    assert abs(found.astype(int) - (200, 30, 30)).max() < 6
    assert Image.open(io.BytesIO(thumbnails.jpeg(sample, 40))).size == (40, 20)


@pytest.mark.parametrize("content", [None, b"no picture"], ids=["gone", "damaged"])
def test_what_cannot_be_read_any_more_has_no_thumbnail(tmp_path, content):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    sample = Sample(str(tmp_path / "a.png"))
    assert thumbnails.jpeg(sample, 40) is None
    assert thumbnails.pixels(sample, 40) is None
