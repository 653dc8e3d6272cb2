"""Views: the same pixels as the transforms they are named after."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from probekit.errors import ImageError, UsageError
from probekit.views import POLICIES, View

SIZES = [(301, 477), (477, 301), (224, 224), (100, 90), (223, 225), (1, 1), (1, 40), (40, 1)]


def image(height: int, width: int) -> torch.Tensor:
    """Smooth, so that resizing has something to get right."""
    rng = np.random.default_rng(height * 1000 + width)
    small = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8))
    return torch.from_numpy(np.array(small.resize((width, height), Image.Resampling.BICUBIC))).permute(2, 0, 1)


def only(crops: list[torch.Tensor]) -> torch.Tensor:
    assert len(crops) == 1
    return crops[0]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("sizes", [(256, 224), (224, 224), (224, 256)], ids=str)
def test_resize_is_torchvisions_resize_then_center_crop(size, interpolation, sizes):
    resize, crop = sizes
    reference = v2.Compose([v2.Resize(resize, InterpolationMode(interpolation), antialias=True), v2.CenterCrop(crop)])
    view = View("resize", resize=resize, crop=crop, interpolation=interpolation)
    assert torch.equal(only(view.apply(image(*size))), reference(image(*size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [224, 91, 1])
def test_center_is_torchvisions_center_crop_with_zeros_around_small_images(size, crop):
    got = only(View("center", crop=crop).apply(image(*size)))
    assert torch.equal(got, v2.CenterCrop(crop)(image(*size)))


def test_center_pads_a_small_image_with_zeros_on_all_sides():
    got = only(View("center", crop=5).apply(torch.full((3, 1, 1), 7, dtype=torch.uint8)))
    assert got[:, 2, 2].tolist() == [7, 7, 7]
    assert int(got.sum()) == 21


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("policy", ["squash", "resize", "longest"])
@pytest.mark.parametrize(
    ("interpolation", "pil"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_resized_pixels_are_within_two_levels_of_pil(size, policy, interpolation, pil):
    picture = image(*size)
    view = View(policy, resize=112, crop=112, interpolation=interpolation)
    got = only(view.apply(picture))
    height, width = got.shape[1:]
    if policy == "resize":  # PIL has no central crop of a resized image: compare where nothing is cropped
        picture, (height, width) = picture[:, : min(size), : min(size)], (112, 112)
        got = only(view.apply(picture))
    expected = np.array(Image.fromarray(picture.permute(1, 2, 0).numpy()).resize((width, height), pil))
    difference = got.permute(1, 2, 0).numpy().astype(int) - expected
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("size", SIZES)
def test_native_cuts_what_is_larger_and_pads_nothing(size):
    picture = image(*size)
    assert torch.equal(only(View("native").apply(picture)), picture)
    got = only(View("native", crop=91).apply(picture))
    assert got.shape == (3, min(size[0], 91), min(size[1], 91))
    assert torch.equal(got, v2.CenterCrop(got.shape[1:])(picture))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([16, 33, 64]))
def test_longest_rounds_as_segment_anything_does(height, width, longest):
    from segment_anything.utils.transforms import ResizeLongestSide

    got = only(View("longest", resize=longest, interpolation="bilinear").apply(image(height, width)))
    expected = ResizeLongestSide.get_preprocess_shape(height, width, longest)
    assert tuple(got.shape[1:]) == tuple(max(1, side) for side in expected)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1)])
def test_extreme_images_have_crops_under_every_view(policy, size):
    crop = only(View(policy, resize=32, crop=32).apply(image(*size)))
    assert crop.dtype == torch.uint8
    assert crop.is_contiguous()
    assert min(crop.shape) >= 1


def test_an_image_too_narrow_to_be_resized_is_an_image_error_with_a_remedy():
    line = torch.zeros((3, 1, 20_000), dtype=torch.uint8)
    with pytest.raises(ImageError, match="20000 × 1 pixels would be resized to 2000000 × 100: use another view"):
        View("resize", resize=100, crop=100).apply(line)
    assert only(View("squash", crop=100).apply(line)).shape == (3, 100, 100)


def test_names_are_short():
    views = [View(policy, resize=256, crop=224) for policy in POLICIES]
    assert [view.name for view in views] == [
        "resize256-crop224",
        "center224",
        "squash224",
        "native224",
        "longest256",
    ]
    assert View("native").name == "native"


def test_an_unknown_view_and_a_missing_or_impossible_size_are_refused():
    with pytest.raises(UsageError, match="unknown view 'centre': choose one of resize, center"):
        View("centre", crop=224)
    with pytest.raises(UsageError, match="unknown view 'tile'"):
        View("center", crop=224).with_policy("tile")
    with pytest.raises(UsageError, match="view 'resize' needs the size 'resize'"):
        View()
    with pytest.raises(UsageError, match="crop is 0, expected at least 1"):
        View("center", crop=0)


def test_another_policy_keeps_sizes_and_borrows_missing_ones():
    assert View("resize", resize=256, crop=224).with_policy("center") == View("center", resize=256, crop=224)
    assert View("longest", resize=1024).with_policy("squash") == View("squash", resize=1024, crop=1024)
    with pytest.raises(UsageError, match="view 'center' needs the size 'crop'"):
        View("native").with_policy("center")
