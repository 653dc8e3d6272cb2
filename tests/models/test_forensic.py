"""The weight-free models: their formulas, and what an address promises about them."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from probekit import models
from probekit.errors import UsageError
from probekit.models import npr, residuals, spectrum, srm

NAMES = ["npr", "srm", "spectrum"]
SIZES = [(1, 1), (1, 9), (2, 2), (4, 5), (5, 5), (9, 3), (15, 40), (33, 21)]


def noise(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def features(name, images, precision="float32"):
    """Every tap of the model on images of any sizes, padded to one batch."""
    import torch

    model = models.find(name)
    sizes = torch.tensor([image.shape[:2] for image in images])
    pixels = torch.zeros(len(images), 3, *sizes.max(dim=0).values.tolist(), dtype=torch.uint8)
    for row, image in zip(pixels, images, strict=True):
        row[:, : image.shape[0], : image.shape[1]] = torch.from_numpy(image).permute(2, 0, 1)
    computed = model.load("cpu", precision)(models.Batch(pixels, sizes), list(model.card.taps))
    return {tap: block.numpy() for tap, block in computed.items()}


@pytest.mark.parametrize("name", NAMES)
def test_taps_have_the_widths_on_the_card(name):
    card = models.find(name).card
    computed = features(name, [noise(40, 50), noise(17, 90)])
    assert {tap: block.shape[1:] for tap, block in computed.items()} == dict(card.taps)
    assert {block.dtype for block in computed.values()} == {np.dtype(np.float32)}
    assert card.default_tap in card.taps
    assert card.settings["version"]


@pytest.mark.parametrize("name", NAMES)
def test_weights_for_a_model_without_weights_are_an_error(name):
    with pytest.raises(UsageError, match=f"{name} has no weights"):
        models.find(name, Path("weights.safetensors"))


@pytest.mark.parametrize("name", NAMES)
def test_neighbours_padding_and_precision_do_not_matter(name):
    image = noise(30, 41, seed=1)
    alone = features(name, [image])
    among = features(name, [noise(64, 20, seed=2), image, noise(8, 77, seed=3)], precision="bfloat16")
    for tap, block in alone.items():
        assert_array_equal(among[tap][1], block[0])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("grey", [None, 0, 128, 255])
def test_every_image_of_at_least_one_pixel_has_features_that_fit_float16(name, size, grey):
    image = noise(*size) if grey is None else np.full((*size, 3), grey, np.uint8)
    for block in features(name, [image]).values():
        assert np.isfinite(block.astype(np.float16)).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("grey", [0, 77, 255])
def test_a_flat_image_gives_zeros(name, grey):
    block = features(name, [np.full((64, 48, 3), grey, np.uint8)])["blocks"]
    assert_array_equal(block, np.zeros_like(block))


@pytest.mark.parametrize("name", NAMES)
def test_brightness_alone_does_not_change_the_features(name):
    image = noise(48, 48) // 2
    assert_allclose(features(name, [image])["blocks"], features(name, [image + 90])["blocks"], atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_smooth_spot_in_a_large_picture_of_noise_shows_in_the_smoothest_block(name):
    image = noise(256, 256)
    edited = image.copy()
    edited[96:136, 96:136] = 128  # 2 % of the picture
    smoothest = slice(None, None, len(residuals.QUANTILES))  # the minimum of each level
    before, after = (features(name, [each])["blocks"][0][smoothest] for each in (image, edited))
    assert after[0] == 0
    assert before[0] > 1


@pytest.mark.parametrize("name", NAMES)
def test_features_of_an_image_do_not_change_it(name):
    image = noise(32, 32)
    copy = image.copy()
    features(name, [image])
    assert_array_equal(image, copy)


@given(height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_block_levels_are_the_mean_truncated_residual_of_each_block(height, width, seed):
    residual = np.random.default_rng(seed).integers(-9, 10, (height, width)).astype(np.int16)
    block, stride, scale = 16, 8, 1 / 3
    rows, columns = min(block, height), min(block, width)
    expected = [
        np.log1p(np.minimum(np.abs(residual[y : y + rows, x : x + columns]) * scale, 2.0).mean() / 0.05)
        for y in range(0, height - rows + 1, stride)
        for x in range(0, width - columns + 1, stride)
    ]
    assert_allclose(residuals.block_levels(residual, scale, block, stride), expected, rtol=1e-12)


@pytest.mark.parametrize("filter_", list(srm.FILTERS))
def test_an_srm_residual_is_correlation_with_its_kernel_on_one_raster(filter_):
    from scipy.ndimage import correlate

    plane = noise(20, 31)[..., 1]
    kernel, _ = srm.FILTERS[filter_]
    even = [-1 if side % 2 == 0 else 0 for side in kernel.shape]  # scipy centres an even kernel one pixel later
    expected = correlate(plane.astype(np.int64), kernel, origin=even, mode="constant")
    assert_array_equal(srm.residual(residuals.green(noise(20, 31)), kernel), expected[2:-2, 2:-2])


def test_srm_kernels_ignore_a_constant_and_are_scaled_by_their_largest_weight():
    for kernel, step in srm.FILTERS.values():
        assert kernel.sum() == 0
        assert abs(kernel).max() == step


def test_srm_filters_beyond_the_first_order_ignore_a_slope():
    slope = (np.arange(30)[:, None] * 2 + np.arange(40)[None] * 3).astype(np.int16)
    for name, (kernel, _) in srm.FILTERS.items():
        assert (srm.residual(slope, kernel) == 0).all() == (not name.startswith("first"))


@pytest.mark.parametrize("size", [(8, 12), (9, 13), (2, 2)])
def test_npr_is_the_published_difference_from_the_nearest_enlargement_of_the_half(size):
    import torch
    from torch.nn.functional import interpolate

    plane = residuals.green(noise(*size))
    even = torch.from_numpy(plane[: size[0] // 2 * 2, : size[1] // 2 * 2]).double()[None, None]
    half = interpolate(even, scale_factor=0.5, mode="nearest", recompute_scale_factor=True)
    published = ((even - interpolate(half, scale_factor=2.0, mode="nearest")) * 2 / 3)[0, 0].numpy()
    ours = npr.relationships(plane)
    assert_allclose(ours["right"] * npr.SCALE, published[::2, 1::2], rtol=1e-12)
    assert_allclose(ours["below"] * npr.SCALE, published[1::2, ::2], rtol=1e-12)
    assert_allclose(ours["diagonal"] * npr.SCALE, published[1::2, 1::2], rtol=1e-12)
    assert_array_equal(published[::2, ::2], 0)


def test_spectrum_levels_of_white_noise_are_its_variance_in_every_ring():
    noise = np.rint(np.random.default_rng(0).normal(128, 10, (512, 512))).clip(0, 255).astype(np.uint8)
    levels = spectrum.blocks(np.stack([noise] * 3, axis=-1)).reshape(-1, len(residuals.QUANTILES))
    median = np.expm1(levels[1 : spectrum.RINGS + 1, residuals.QUANTILES.index(0.5)]) * spectrum.NOISE
    # Ring 0 loses power to the mean; the median of a mean of n exponentials lies below 1 by about 1/(3n).
    assert_allclose(median, 100, rtol=0.15)
    assert (np.diff(median) > -1).all()


def test_azimuthal_spectra_follow_the_published_recipe_step_by_step():
    from scipy.interpolate import griddata

    grey = noise(64, 48)[..., 0].astype(float)
    log_power = 20 * np.log(np.abs(np.fft.fftshift(np.fft.fft2(grey)) + 1e-8))
    y, x = np.indices(grey.shape)
    ring = np.sqrt((x - 23.5) ** 2 + (y - 31.5) ** 2).astype(int)
    means = np.array([log_power[ring == r].mean() for r in range(1, ring.max())])
    expected = griddata(np.linspace(0, 80, len(means)), means, np.linspace(0, 80, 80), method="cubic")
    assert_allclose(spectrum.azimuthal(grey), expected / expected[0], rtol=1e-9)


def test_published_azimuthal_spectra_are_reproduced(shared_data):
    from PIL import Image

    published = np.load(shared_data / "features" / "azimuthal_spectra_celeba_gan.npz", allow_pickle=False)
    folder = shared_data / "images" / "faces" / "fake_gan_celeba128"
    for name, expected in list(zip(published["fake_images"], published["fake"], strict=True))[::10]:
        data = (folder / str(name)).read_bytes()
        with Image.open(io.BytesIO(data)) as image:
            image.draft("L", image.size)  # the luma that the JPEG holds, not that of its rounded RGB
            stored_luma = np.asarray(image.convert("L"), dtype=float)
        with Image.open(io.BytesIO(data)) as image:
            tap = features("spectrum", [np.array(image.convert("RGB"))])["azimuthal"][0]
        assert_allclose(spectrum.azimuthal(stored_luma), expected, atol=1e-6)
        assert_allclose(tap, expected, atol=0.05)  # one rounding of colours away
