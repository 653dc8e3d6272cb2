"""Views: the same pixels as the transforms they are named after."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import InterpolationMode, v2

from probekit.errors import ImageError, UsageError
from probekit.fingerprint import fingerprint
from probekit.views import HALF, IMAGENET, MAX_TILES, OPENAI_CLIP, POLICIES, TOP, View

SINGLE = ("resize", "center", "squash", "native", "longest")
"""Policies that give one crop."""

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
    assert torch.equal(only(view.crops(image(*size))), reference(image(*size)))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("crop", [224, 91, 1])
def test_center_is_torchvisions_center_crop_with_zeros_around_small_images(size, crop):
    got = only(View("center", crop=crop).crops(image(*size)))
    assert torch.equal(got, v2.CenterCrop(crop)(image(*size)))


def test_center_pads_a_small_image_with_zeros_on_all_sides():
    got = only(View("center", crop=5).crops(torch.full((3, 1, 1), 7, dtype=torch.uint8)))
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
    got = only(view.crops(picture))
    height, width = got.shape[1:]
    if policy == "resize":  # PIL has no central crop of a resized image: compare where nothing is cropped
        picture, (height, width) = picture[:, : min(size), : min(size)], (112, 112)
        got = only(view.crops(picture))
    expected = np.array(Image.fromarray(picture.permute(1, 2, 0).numpy()).resize((width, height), pil))
    difference = got.permute(1, 2, 0).numpy().astype(int) - expected
    assert np.abs(difference).max() <= 2


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", SIZES)
def test_one_pixel_is_the_mean_that_pil_finds(size, interpolation):
    picture = image(*size)
    got = only(View("squash", crop=1, interpolation=interpolation).crops(picture))
    filters = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}
    pil = Image.fromarray(picture.permute(1, 2, 0).numpy()).resize((1, 1), filters[interpolation])
    assert np.abs(got[:, 0, 0].numpy().astype(int) - np.asarray(pil, int)[0, 0]).max() <= 2


@pytest.mark.parametrize("size", SIZES)
def test_native_cuts_what_is_larger_and_pads_nothing(size):
    picture = image(*size)
    assert torch.equal(only(View("native").crops(picture)), picture)
    got = only(View("native", crop=91).crops(picture))
    assert got.shape == (3, min(size[0], 91), min(size[1], 91))
    assert torch.equal(got, v2.CenterCrop(got.shape[1:])(picture))


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.sampled_from([16, 33, 64]))
def test_longest_rounds_as_segment_anything_does(height, width, longest):
    from segment_anything.utils.transforms import ResizeLongestSide

    got = only(View("longest", resize=longest, interpolation="bilinear").crops(image(height, width)))
    expected = ResizeLongestSide.get_preprocess_shape(height, width, longest)
    assert tuple(got.shape[1:]) == tuple(max(1, side) for side in expected)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2)])
@pytest.mark.parametrize("side", [1, 32])
def test_extreme_images_have_crops_under_every_view(policy, size, side):
    view = View("resize", resize=side, crop=side).with_policy(policy)
    if policy == "tile" and side == 1 and 500 in size:
        pytest.skip("more tiles than an image may have")
    crops = view.crops(image(*size))
    assert len(crops) >= 1
    assert policy not in SINGLE or len(crops) == 1
    for crop in crops:
        assert crop.dtype == torch.uint8
        assert crop.is_contiguous()
        assert min(crop.shape) >= 1
        assert policy in ("native", "longest") or crop.shape == (3, side, side)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("sizes", [(256, 224), (224, 224)], ids=str)
def test_tencrop_is_torchvisions_resize_then_ten_crop(size, sizes):
    resize, crop = sizes
    resized = v2.Resize(resize, InterpolationMode.BICUBIC, antialias=True)(image(*size))
    got = View("tencrop", resize=resize, crop=crop).crops(image(*size))
    assert len(got) == 10
    for mine, theirs in zip(got, v2.TenCrop(crop)(resized), strict=True):
        assert torch.equal(mine, theirs)


def test_tencrop_pads_what_is_smaller_than_its_crops_as_center_does():
    picture = image(40, 60)
    got = View("tencrop", resize=40, crop=64).crops(picture)
    padded = only(View("center", crop=64).crops(picture))
    for crop in got[:5]:
        assert torch.equal(crop, padded)
    for crop in got[5:]:
        assert torch.equal(crop, padded.flip(2))


def places(height: int, width: int) -> torch.Tensor:
    """An image whose pixels say where they are: row in the first channel, column in the second, 1 in the third."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([rows, columns, torch.ones_like(rows)]).to(torch.uint8)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 250), st.integers(1, 250), st.integers(20, 100))
def test_tiles_show_every_pixel_once_but_for_the_shifted_border(height, width, side):
    tiles = View("tile", crop=side).crops(places(height, width))
    assert len(tiles) == -(-height // side) * -(-width // side)
    seen = np.zeros((height, width), int)
    corners = []
    for tile in tiles:
        inside = tile[:, tile[2] == 1].numpy().astype(int)
        assert inside.shape[1] == min(side, height) * min(side, width), "padded though the image is large enough"
        np.add.at(seen, (inside[0], inside[1]), 1)
        corners.append((inside[0].min(), inside[1].min()))
    assert seen.min() == 1
    assert seen.max() <= 4
    assert corners == sorted(corners)
    if height % side == 0 and width % side == 0:
        assert seen.max() == 1


@pytest.mark.parametrize("size", [(5, 7), (1, 1), (8, 8)])
def test_an_image_no_larger_than_a_tile_is_one_tile_padded_as_center_does(size):
    (tile,) = View("tile", crop=8).crops(image(*size))
    assert torch.equal(tile, only(View("center", crop=8).crops(image(*size))))


def test_more_tiles_than_allowed_are_refused_with_a_remedy_and_texture_still_works():
    wide = torch.zeros((3, 1, MAX_TILES + 1), dtype=torch.uint8)
    with pytest.raises(ImageError, match=f"{MAX_TILES + 1} tiles of 1 × 1, more than {MAX_TILES}: use another view"):
        View("tile", crop=1).crops(wide)
    assert len(View("tile", crop=1).crops(wide[..., 1:])) == MAX_TILES
    assert len(View("texture", crop=1, top=3).crops(wide)) == 3


def diversity(tile: np.ndarray) -> int:
    """PatchCraft's equation, pixel by pixel."""
    x = tile.astype(int)
    height, width = x.shape[1:]
    total = 0
    for i in range(height):
        for j in range(width):
            total += abs(x[:, i, j] - x[:, i, j + 1]).sum() if j + 1 < width else 0
            total += abs(x[:, i, j] - x[:, i + 1, j]).sum() if i + 1 < height else 0
            if i + 1 < height and j + 1 < width:
                total += abs(x[:, i, j] - x[:, i + 1, j + 1]).sum() + abs(x[:, i + 1, j] - x[:, i, j + 1]).sum()
    return int(total)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(0, 99))
def test_texture_gives_the_tiles_of_highest_texture_first(height, width, top, seed):
    picture = torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))
    tiles = View("tile", crop=9).crops(picture)
    ranked = sorted(range(len(tiles)), key=lambda i: (-diversity(tiles[i].numpy()), i))
    got = View("texture", crop=9, top=top).crops(picture)
    assert len(got) == min(top, len(tiles))
    for crop, i in zip(got, ranked, strict=False):
        assert torch.equal(crop, tiles[i])


def test_tiles_of_equal_texture_stay_in_their_order():
    flat = torch.arange(4, dtype=torch.uint8).repeat_interleave(8)[None, None].expand(3, 8, 32).contiguous()
    got = View("texture", crop=8, top=3).crops(flat)
    assert [int(crop[0, 0, 0]) for crop in got] == [0, 1, 2]


def test_crops_do_not_change_the_image_nor_share_its_memory():
    picture = image(70, 90)
    before = picture.clone()
    for policy in POLICIES:
        for crop in View("resize", 32, 32).with_policy(policy).with_perturbation("blur:k=3").apply(picture, b"seed"):
            crop.fill_(0)
    assert torch.equal(picture, before)


def test_an_image_too_narrow_to_be_resized_is_an_image_error_with_a_remedy():
    line = torch.zeros((3, 1, 20_000), dtype=torch.uint8)
    with pytest.raises(ImageError, match="20000 × 1 pixels would be resized to 2000000 × 100: use another view"):
        View("resize", resize=100, crop=100).crops(line)
    assert only(View("squash", crop=100).crops(line)).shape == (3, 100, 100)


def test_names_are_short():
    views = [View("resize", resize=256, crop=224).with_policy(policy) for policy in POLICIES]
    assert [view.name for view in views] == [
        "resize256-crop224",
        "center224",
        "squash224",
        "native224",
        "longest256",
        "resize256-tencrop224",
        "tile224",
        "texture224-top10",
    ]
    assert View("native").name == "native"


def test_an_unknown_view_and_a_missing_or_impossible_size_are_refused():
    with pytest.raises(UsageError, match="unknown view 'centre': choose one of resize, center"):
        View("centre", crop=224)
    with pytest.raises(UsageError, match="unknown view 'tiles'"):
        View("center", crop=224).with_policy("tiles")
    with pytest.raises(UsageError, match="view 'resize' needs the size 'resize'"):
        View()
    with pytest.raises(UsageError, match="crop is 0, expected at least 1 pixel"):
        View("center", crop=0)
    with pytest.raises(UsageError, match="view 'texture' needs the number 'top' of crops"):
        View("texture", crop=224)
    with pytest.raises(UsageError, match="view 'center' has no number of crops"):
        View("center", crop=224, top=3)


def test_another_policy_keeps_sizes_and_borrows_missing_ones():
    assert View("resize", resize=256, crop=224).with_policy("center") == View("center", resize=256, crop=224)
    assert View("longest", resize=1024).with_policy("squash") == View("squash", resize=1024, crop=1024)
    with pytest.raises(UsageError, match="view 'center' needs the size 'crop'"):
        View("native").with_policy("center")


def test_the_number_of_crops_of_texture_follows_a_colon():
    view = View("resize", resize=256, crop=224)
    assert view.with_policy("texture") == view.with_policy(f"texture:{TOP}")
    assert view.with_policy("texture:3") == View("texture", 256, 224, top=3)
    assert view.with_policy("texture:03").name == "texture224-top3"
    assert view.with_policy("texture:3").with_policy("center") == view.with_policy("center")


@pytest.mark.parametrize("policy", ["texture:", "texture:0", "texture:-1", "texture:2.5", "texture:x", "texture:²"])
def test_a_number_of_crops_that_is_none_is_refused(policy):
    with pytest.raises(UsageError, match="view"):
        View("center", crop=224).with_policy(policy)
    with pytest.raises(UsageError, match="center takes no number of crops"):
        View("center", crop=224).with_policy("center:3")


def test_addresses_made_before_there_were_perturbations_and_many_crops_stay_what_they_were():
    """The fingerprints were computed by the first release of views."""
    dinov2 = View("resize", 256, 224, "bicubic", IMAGENET)
    recorded = {
        dinov2: "2aafd179d4b729035ec7bcd4bb181e7039acca676c725edff0fa5aacb8739ee1",
        dinov2.with_policy("center"): "f9c061e33169262d79e348c80c90434d4fdf3753e9295dce25c79092ef2efbea",
        View("resize", 224, 224, "bicubic", OPENAI_CLIP): (
            "a5cd5f57cd366ea110a6d89fcdbb8716d8de7b68d2722efc9789d4dedb7d2994"
        ),
        View("center", crop=224): "fb2330dd8bf9a08dec4bd5749053f5e7d7d4f949023e058ecddbc7ba0679518c",
        View("squash", crop=384, interpolation="bilinear", normalize=HALF): (
            "47d86da46a603610b532e2da62ac03f7194cf4e9996eb169e014bf6a94fce2d1"
        ),
        View("native", crop=512): "5515553d506db5db11c7cbc0989f0b3838b52f3329f880a56392d55c7c1b415c",
        View("longest", 1024, 1024, "bilinear", IMAGENET): (
            "790c3894080dc02d008d80049ecd586246238897c5f6ca8bfde52c1874861d98"
        ),
    }
    assert {view: fingerprint(view) for view in recorded} == recorded


def test_another_perturbation_or_number_of_crops_is_another_address():
    view = View("resize", 256, 224)
    spellings = ["none", "jpeg:75", "jpeg:74", "jpeg:75+blur:k=3", "blur:k=3+jpeg:75"]
    prints = {fingerprint(view.with_perturbation(chain)) for chain in spellings}
    prints |= {fingerprint(view.with_policy(policy)) for policy in ("texture:3", "texture:4", "tile", "tencrop")}
    assert len(prints) == 9


def test_a_perturbation_is_part_of_the_view_and_of_its_name():
    view = View("resize", 256, 224)
    assert view.with_perturbation("jpeg:075").name == "jpeg75-resize256-crop224"
    assert view.with_perturbation("blur:sigma=3.0,k=9+jpeg:50").name == "blur-k9-sigma3+jpeg50-resize256-crop224"
    assert view.with_perturbation("jpeg:75").with_perturbation("none") == view
    assert view.with_perturbation("jpeg:75").with_policy("center").perturb == "jpeg:75"
    with pytest.raises(UsageError, match="'jpeg:075' is written 'jpeg:75'"):
        View("center", crop=224, perturb="jpeg:075")
    with pytest.raises(UsageError, match="unknown perturbation 'jpg'"):
        view.with_perturbation("jpg:75")


def test_the_image_is_perturbed_before_it_is_cropped():
    picture = image(120, 90)
    view = View("center", crop=32).with_perturbation("noise:var=10+resize:0.5")
    perturbed = view.perturbation.apply(picture, b"seed")
    assert perturbed.shape == (3, 60, 45)
    assert torch.equal(only(view.apply(picture, b"seed")), only(View("center", crop=32).crops(perturbed)))
    assert not torch.equal(only(view.apply(picture, b"seed")), only(view.apply(picture, b"other")))
