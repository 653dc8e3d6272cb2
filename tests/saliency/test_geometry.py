"""Placements of every policy against the view itself, and maps that land where the pixels came from."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from probekit.saliency.geometry import Placement, placements, to_image
from probekit.views import POLICIES, View

VIEWS = {
    "resize": View("resize", resize=40, crop=32),
    "center": View("center", crop=32),
    "squash": View("squash", crop=32),
    "native": View("native", crop=32),
    "longest": View("longest", resize=32, crop=32),
    "tencrop": View("tencrop", resize=40, crop=32),
    "tile": View("tile", crop=32),
    "texture": View("texture", crop=32, top=3),
}
SIZES = [(64, 64), (64, 80), (101, 50), (33, 47), (20, 90), (21, 20)]


def coordinates(height, width):
    """Red tells the row, green the column, blue that there is image at all."""
    y, x = np.mgrid[:height, :width]
    return torch.from_numpy(np.stack([y * 2, x * 2, np.full((height, width), 255)]).astype(np.uint8))


def test_every_policy_is_tried():
    assert set(VIEWS) == set(POLICIES)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", VIEWS)
def test_a_placement_says_which_pixel_of_the_image_each_pixel_of_a_crop_shows(policy, size):
    image, view = coordinates(*size), VIEWS[policy]
    crops, places = view.crops(image), placements(view, image)
    assert len(crops) == len(places)
    for crop, place in zip(crops, places, strict=True):
        assert tuple(crop.shape[1:]) == place.crop
        v, u = (np.arange(side) + 0.5 for side in place.crop)
        y = (v + place.corner[0]) * size[0] / place.resized[0]
        across = place.resized[1] - (u + place.corner[1]) if place.mirrored else u + place.corner[1]
        x = across * size[1] / place.resized[1]
        inside = ((y >= 2) & (y < size[0] - 2))[:, None] & ((x >= 2) & (x < size[1] - 2))[None]
        outside = ((y < 0) | (y > size[0]))[:, None] | ((x < 0) | (x > size[1]))[None]
        red, green, blue = crop.numpy().astype(float)
        rounding = 2.0 * max(size[0] / place.resized[0], size[1] / place.resized[1], 1)
        assert np.abs(red / 2 + 0.5 - y[:, None])[inside].max(initial=0) < rounding
        assert np.abs(green / 2 + 0.5 - x[None])[inside].max(initial=0) < rounding
        assert (blue[inside] == 255).all()
        assert (blue[outside] == 0).all()


@pytest.mark.parametrize("policy", VIEWS)
def test_the_one_patch_that_differs_comes_back_to_where_the_image_differs(policy):
    """Each patch's value is the mean of its pixels: the map must be high exactly where the picture is white."""
    image = torch.zeros(3, 96, 128, dtype=torch.uint8)
    image[:, 40:56, 48:72] = 255
    view = VIEWS[policy]
    grids = [crop[0].numpy().astype(float) for crop in view.crops(image)]
    padded = []
    for grid in grids:
        whole = np.full((32, 32), np.nan)
        whole[: grid.shape[0], : grid.shape[1]] = grid
        padded.append(whole)
    found = to_image(padded, 1, placements(view, image), (96, 128))
    seen = ~np.isnan(found)
    expected = image[0].numpy() / 255 > 0.5
    assert seen[expected].any()
    wrong = (found[seen] > 127) != expected[seen]
    border = 2 * (24 + 16) * 4  # pixels of the rim, of which resizing mixes some
    assert wrong.sum() < border
    assert found[48, 60] > 200
    assert found[:30][seen[:30]].max(initial=0) < 50


def test_a_pixel_has_the_value_of_the_patch_that_holds_its_centre_and_nan_outside_the_view():
    grid = np.arange(4.0).reshape(2, 2)
    found = to_image([grid], 4, [Placement((8, 8), (10, 12), (1, 2))], (10, 12))
    expected = np.full((10, 12), np.nan)
    expected[1:9, 2:10] = np.kron(grid, np.ones((4, 4)))
    assert_allclose(found, expected)


def test_where_crops_overlap_a_pixel_has_the_mean_of_those_that_see_it():
    places = [Placement((4, 4), (4, 6), (0, 0)), Placement((4, 4), (4, 6), (0, 2))]
    found = to_image([np.full((1, 1), 1.0), np.full((1, 1), 3.0)], 4, places, (4, 6))
    assert_allclose(found[0], [1, 1, 2, 2, 3, 3])


def test_a_patch_of_padding_says_nothing_of_the_pixels_below_it():
    grid = np.array([[1.0, np.nan], [np.nan, np.nan]])
    found = to_image([grid], 16, [Placement((24, 32), (24, 32), (0, 0))], (24, 32))
    assert np.isnan(found[:16, 16:]).all()
    assert np.isnan(found[16:]).all()
    assert (found[:16, :16] == 1).all()


def test_a_mirrored_crop_is_turned_back():
    found = to_image(
        [np.array([[1.0, 2.0], [3.0, 4.0]])], 2, [Placement((4, 4), (4, 4), (0, 0), mirrored=True)], (4, 4)
    )
    assert_allclose(found, np.kron([[2.0, 1.0], [4.0, 3.0]], np.ones((2, 2))))


@given(height=st.integers(1, 60), width=st.integers(1, 60), seed=st.integers(0, 9))
def test_a_squashed_map_covers_every_pixel_and_keeps_its_order(height, width, seed):
    grid = np.random.default_rng(seed).normal(size=(4, 4))
    image = torch.zeros(3, height, width, dtype=torch.uint8)
    found = to_image([grid], 8, placements(VIEWS["squash"], image), (height, width))
    assert not np.isnan(found).any()
    assert set(np.unique(found)) <= set(grid.astype(np.float32).ravel())
