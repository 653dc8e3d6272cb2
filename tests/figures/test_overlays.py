"""Overlays: what colours mean, what stays visible, and the outline of the mask."""

import numpy as np
import pytest
from matplotlib.axes import Axes
from numpy.testing import assert_allclose
from skimage.color import rgb2lab

from probekit import figures
from probekit.figures.overlays import scaled, under_colours


def test_values_are_scaled_between_least_and_greatest_and_unseen_or_constant_ones_are_zero():
    values = np.array([[-2.0, 0.0], [2.0, np.nan]], np.float32)
    assert_allclose(scaled(values), [[0, 0.5], [1, 0]])
    assert_allclose(scaled(np.full((2, 2), 0.1, np.float32)), 0)
    assert_allclose(scaled(np.full((2, 2), np.nan, np.float32)), 0)


def test_higher_values_are_lighter_on_a_dark_picture_and_never_hide_the_picture():
    values = np.linspace(0, 1, 64, dtype=np.float32)[None].repeat(2, axis=0)
    dark = under_colours(np.zeros((2, 64, 3), np.uint8), values)
    lightness = rgb2lab(dark[0] / 255)[:, 0]
    assert (np.diff(lightness) > -0.5).all()
    assert lightness[-1] > lightness[0] + 40
    white = under_colours(np.full((2, 64, 3), 255, np.uint8), values)
    assert (np.abs(white.astype(int) - dark).max(axis=2) >= 0.25 * 255).all()


def test_the_picture_outside_the_view_is_pale_but_there():
    pixels = np.stack([np.zeros((4, 4, 3)), np.full((4, 4, 3), 255)]).astype(np.uint8)
    black, white = (under_colours(own, np.full((4, 4), np.nan, np.float32)) for own in pixels)
    assert 120 < black.mean() < 220
    assert white.mean() > 250


@pytest.mark.parametrize("inside", [0, 5, 64])
def test_a_mask_is_outlined_on_both_pictures_unless_it_is_empty_or_full(inside, monkeypatch):
    drawn = []
    monkeypatch.setattr(Axes, "contour", lambda self, *args, **how: drawn.append(how["colors"]))
    mask = (np.arange(64) < inside).reshape(8, 8)
    one = figures.Overlay(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32), mask, "a", "b")
    figures.overlay_sheet([one], title="T")
    assert drawn == ([["black"], ["white"]] * 2 if inside == 5 else [])


def test_an_empty_sheet_says_so():
    assert figures.overlay_sheet([], title="T").startswith(b"\x89PNG")
