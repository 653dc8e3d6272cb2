"""Perturbations: the grammar, and pixels that only the image and the operation decide."""

import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from probekit.errors import ImageError, UsageError
from probekit.images import MAX_PIXELS
from probekit.perturbations import PRESETS, Chain, parse_chain, parse_chains

EVERY = [
    "jpeg:75",
    "webp:80",
    "blur:sigma=2",
    "blur:k=9",
    "blur:k=9,sigma=3",
    "resize:0.5",
    "resize:to=19",
    "noise:var=10",
    "crop:0.1",
]
"""One of each form."""


def image(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Smooth with some noise, and some pixels that are black or white."""
    rng = np.random.default_rng(seed + height * 1000 + width)
    coarse = rng.integers(-60, 316, (7, 9, 3)).clip(0, 255).astype(np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC), int)
    noisy = (smooth + rng.integers(-5, 6, smooth.shape)).clip(0, 255).astype(np.uint8)
    return torch.from_numpy(noisy).permute(2, 0, 1).contiguous()


def perturbed(text: str, picture: torch.Tensor, seed: bytes = b"key") -> np.ndarray:
    """Pixels (H, W, 3)."""
    return parse_chain(text).apply(picture, seed).permute(1, 2, 0).numpy()


def pixels(picture: torch.Tensor) -> np.ndarray:
    return picture.permute(1, 2, 0).contiguous().numpy()


@pytest.mark.parametrize("quality", [1, 30, 75, 95, 100])
@pytest.mark.parametrize(("container", "kind"), [("JPEG", "jpeg"), ("WEBP", "webp")])
@pytest.mark.parametrize("size", [(61, 83), (8, 8), (1, 1)])
def test_jpeg_and_webp_are_pillows(quality, container, kind, size):
    picture = image(*size)
    buffer = io.BytesIO()
    Image.fromarray(pixels(picture)).save(buffer, container, quality=quality)
    np.testing.assert_array_equal(perturbed(f"{kind}:{quality}", picture), np.array(Image.open(buffer)))


def test_jpeg_halves_the_chroma_at_every_quality():
    picture = image(64, 64)
    buffer = io.BytesIO()
    Image.fromarray(pixels(picture)).save(buffer, "JPEG", quality=100, subsampling="4:2:0")
    np.testing.assert_array_equal(perturbed("jpeg:100", picture), np.array(Image.open(buffer)))


@pytest.mark.parametrize("sigma", [0.1, 0.3, 1, 2, 4, 33.3])
@pytest.mark.parametrize("size", [(61, 83), (1, 50), (2, 3)])
def test_blur_by_sigma_is_scipys_in_float64_rounded(sigma, size):
    picture = image(*size)
    exact = gaussian_filter(pixels(picture).astype(np.float64), (sigma, sigma, 0))
    assert np.abs(perturbed(f"blur:sigma={sigma}", picture) - exact).max() <= 0.5 + 1e-3


@pytest.mark.parametrize(("text", "k", "sigma"), [("blur:k=3", 3, 0), ("blur:k=9", 9, 0), ("blur:k=15,sigma=3", 15, 3)])
@pytest.mark.parametrize("size", [(61, 83), (1, 50), (2, 3)])
def test_blur_by_kernel_is_opencvs(text, k, sigma, size):
    picture = image(*size)
    expected = cv2.GaussianBlur(pixels(picture), (k, k), sigma)
    np.testing.assert_array_equal(perturbed(text, picture), expected)


@pytest.mark.parametrize("k", [3, 5, 7, 9, 21])
def test_a_kernel_without_sigma_is_the_gaussian_that_opencv_documents(k):
    picture = image(61, 83)
    sigma = 0.3 * ((k - 1) * 0.5 - 1) + 0.8
    taps = np.exp(-((np.arange(k) - k // 2) ** 2) / (2 * sigma**2))
    padded = np.pad(pixels(picture).astype(np.float64), ((k // 2,) * 2, (k // 2,) * 2, (0, 0)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (k, k), axis=(0, 1))
    exact = np.einsum("hwcij,i,j->hwc", windows, taps, taps, optimize=True) / taps.sum() ** 2
    tolerance = 4 if k <= 7 else 2  # its fixed kernels for small k are near it, not equal
    assert np.abs(perturbed(f"blur:k={k}", picture) - exact).max() <= tolerance


def test_noise_has_the_variance_it_says_and_is_fair():
    grey = torch.full((3, 400, 500), 128, dtype=torch.uint8)
    for variance in (5, 100, 400):
        noise = perturbed(f"noise:var={variance}", grey).astype(float) - 128
        # rounding to whole levels adds 1/12; the variance of 200,000 samples is known to 2 · √(2/n) = 0.6 %
        for channel in range(3):
            assert noise[..., channel].var() == pytest.approx(variance + 1 / 12, rel=0.02)
            assert abs(noise[..., channel].mean()) < 5 * (variance / 200_000) ** 0.5
        assert abs(np.corrcoef(noise.reshape(-1, 3).T) - np.eye(3)).max() < 0.02


def test_noise_is_clipped_at_black_and_white():
    black, white = (torch.full((3, 50, 50), level, dtype=torch.uint8) for level in (0, 255))
    assert (perturbed("noise:var=100", black) == 0).mean() == pytest.approx(0.5, abs=0.05)
    assert (perturbed("noise:var=100", white) == 255).mean() == pytest.approx(0.5, abs=0.05)


def test_a_crop_is_a_part_of_the_image_resized_back_and_its_place_is_drawn():
    rows, columns = torch.meshgrid(torch.arange(100), torch.arange(200), indexing="ij")
    picture = torch.stack([rows, columns, rows]).to(torch.uint8)
    corners = set()
    for seed in range(40):
        found = perturbed("crop:0.2", picture, bytes([seed]))
        assert found.shape == (100, 200, 3)
        top, left = found[..., 0].min(), found[..., 1].min()
        assert int(found[..., 0].max()) - int(top) == pytest.approx(79, abs=1)
        assert int(found[..., 1].max()) - int(left) == pytest.approx(159, abs=1)
        corners.add((int(top), int(left)))
    assert min(top for top, _ in corners) < 3
    assert max(top for top, _ in corners) > 17
    assert max(left for _, left in corners) > 35


@pytest.mark.parametrize(
    ("text", "size", "expected"),
    [
        ("resize:0.5", (61, 83), (31, 42)),
        ("resize:0.5", (1, 500), (1, 250)),
        ("resize:0.001", (61, 83), (1, 1)),
        ("resize:1", (61, 83), (61, 83)),
        ("resize:2", (3, 2), (6, 4)),
        ("resize:to=32", (61, 83), (32, 43)),
        ("resize:to=32", (83, 61), (43, 32)),
        ("resize:to=100", (61, 83), (100, 136)),
    ],
)
def test_sizes_after_a_resize(text, size, expected):
    assert perturbed(text, image(*size)).shape == (*expected, 3)


def test_a_resize_is_within_two_levels_of_pillows_bicubic():
    picture = image(160, 120)
    pillow = np.asarray(Image.fromarray(pixels(picture)).resize((60, 80), Image.Resampling.BICUBIC), int)
    assert np.abs(perturbed("resize:0.5", picture) - pillow).max() <= 2


@pytest.mark.parametrize("text", EVERY)
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (3, 2), (37, 41)])
def test_every_operation_gives_an_image_of_any_image_and_leaves_that_alone(text, size):
    picture = image(*size)
    before = picture.clone()
    chain = parse_chain(text)
    found = chain.apply(picture, b"key")
    assert found.dtype == torch.uint8
    assert found.is_contiguous()
    assert found.shape[0] == 3
    assert min(found.shape) >= 1
    assert torch.equal(picture, before)
    parts = image(size[0] * 2, size[1] * 3)[:, ::2, 1::3]  # strides that no library may take for granted
    assert torch.equal(chain.apply(parts, b"key"), chain.apply(parts.contiguous(), b"key"))


@pytest.mark.parametrize(
    ("text", "size", "words"),
    [
        ("jpeg:75", (1, 65_501), "more than JPEG can hold"),
        ("webp:75", (16_384, 1), "more than WEBP can hold"),
        ("resize:16", (4000, 4000), "would be resized to 64000 × 64000"),
        ("resize:to=16384", (1, 500), "would be resized to 8192000 × 16384"),
    ],
)
def test_an_image_too_large_for_an_operation_is_an_image_error(text, size, words):
    assert MAX_PIXELS < 16384 * 8192000
    with pytest.raises(ImageError, match=words):
        perturbed(text, torch.zeros((3, *size), dtype=torch.uint8))


@pytest.mark.parametrize("text", ["noise:var=10", "crop:0.1"])
def test_the_seed_decides_what_is_drawn(text):
    picture = image(61, 83)
    first, again, other = (perturbed(text, picture, seed) for seed in (b"one", b"one", b"two"))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_same_noise_twice_in_a_chain_is_two_draws_and_depends_on_its_place():
    grey = torch.full((3, 200, 200), 128, dtype=torch.uint8)
    once = perturbed("noise:var=100", grey).astype(float) - 128
    twice = perturbed("noise:var=100+noise:var=100", grey).astype(float) - 128
    assert twice.var() == pytest.approx(2 * once.var(), rel=0.05)
    late = perturbed("resize:1+noise:var=100", grey).astype(float) - 128
    assert abs(np.corrcoef(once.ravel(), late.ravel())[0, 1]) < 0.02


def test_noise_is_the_same_on_every_machine_and_in_every_run():
    """A recorded draw: it would change with the bit generator, the hashing or the order of drawing."""
    found = parse_chain("noise:var=100").apply(torch.full((3, 2, 3), 128, dtype=torch.uint8), bytes(32))
    assert found.flatten().tolist() == [
        128,
        132,
        117,
        139,
        131,
        138,
        133,
        114,
        141,
        129,
        146,
        116,
        120,
        125,
        114,
        124,
        124,
        133,
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([text for text in EVERY if not text.startswith(("noise", "crop"))]), max_size=3))
def test_a_chain_is_its_operations_one_after_the_other(texts):
    picture = image(37, 41)
    expected = picture
    for text in texts:
        expected = parse_chain(text).apply(expected, b"another seed")
    chain = parse_chain("+".join(texts) or "none")
    assert torch.equal(chain.apply(picture, b"key"), expected)


def decimals(low, high):
    return st.decimals(low, high, places=3, allow_nan=False).filter(lambda value: value > 0)


OPERATIONS = st.one_of(
    st.builds("{}:{}".format, st.sampled_from(["jpeg", "webp"]), st.integers(1, 100)),
    st.builds("blur:sigma={}".format, decimals(0, 100)),
    st.builds("blur:k={}".format, st.integers(1, 200).map(lambda n: 2 * n + 1)),
    st.builds("blur:sigma={1},k={0}".format, st.integers(1, 200).map(lambda n: 2 * n + 1), decimals(0, 100)),
    st.builds("resize:{}".format, decimals(0, 16)),
    st.builds("resize: to = {}".format, st.integers(1, 16384)),
    st.builds("noise:var={}".format, decimals(0, 10_000)),
    st.builds("crop:{}".format, decimals(0, "0.99")),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(OPERATIONS, min_size=1, max_size=4), min_size=1, max_size=4))
def test_what_is_spelled_is_read_and_its_canonical_name_is_read_as_the_same(lists):
    spelled = ["+".join(chain) for chain in lists]
    chains = parse_chains(" , ".join(spelled))
    assert chains == tuple(dict.fromkeys(parse_chain(text) for text in spelled))
    assert parse_chains(",".join(chain.name for chain in chains)) == chains
    for chain in chains:
        assert parse_chain(chain.name).name == chain.name
    assert len({chain.name for chain in chains}) == len({chain.slug for chain in chains}) == len(chains)


@pytest.mark.parametrize(
    ("text", "name", "slug"),
    [
        ("jpeg:075", "jpeg:75", "jpeg75"),
        ("blur:sigma=2.0", "blur:sigma=2", "blur-sigma2"),
        ("blur:sigma=.50", "blur:sigma=0.5", "blur-sigma0.5"),
        ("blur: sigma=3, k=9", "blur:k=9,sigma=3", "blur-k9-sigma3"),
        ("blur:k=9", "blur:k=9", "blur-k9"),
        ("resize:0.50 + jpeg:50", "resize:0.5+jpeg:50", "resize0.5+jpeg50"),
        ("resize:to=512", "resize:to=512", "resize-to512"),
        ("noise:var=10.", "noise:var=10", "noise-var10"),
        ("none", "none", ""),
    ],
)
def test_one_perturbation_has_one_name(text, name, slug):
    chain = parse_chain(text)
    assert (chain.name, chain.slug) == (name, slug)


def test_a_comma_before_an_argument_does_not_end_a_chain():
    chains = parse_chains("jpeg:75,blur:k=9,sigma=3+jpeg:50,none,ufd,jpeg:75")
    names = [chain.name for chain in chains]
    assert names[:3] == ["jpeg:75", "blur:k=9,sigma=3+jpeg:50", "none"]
    assert names[3:] == [name for name in PRESETS["ufd"] if name not in names[:3]]


def test_presets_are_the_levels_they_document():
    spelled = {name: [chain.name for chain in parse_chains(name)] for name in PRESETS}
    assert spelled == {name: list(chains) for name, chains in PRESETS.items()}, "presets are written canonically"
    assert spelled["ufd"] == [
        "none",
        *("jpeg:100", "jpeg:90", "jpeg:80", "jpeg:70", "jpeg:60", "jpeg:50", "jpeg:40", "jpeg:30"),
        *("blur:sigma=1", "blur:sigma=2", "blur:sigma=3", "blur:sigma=4"),
    ]
    assert spelled["sidbench"] == [
        *("jpeg:95", "jpeg:90", "jpeg:50", "jpeg:30", "blur:sigma=2", "blur:sigma=4", "blur:sigma=2+jpeg:50")
    ]
    assert {"blur:k=3", "blur:k=9", "crop:0.05", "crop:0.2", "jpeg:10", "jpeg:75", "noise:var=5", "noise:var=20"} < set(
        spelled["rine"]
    )
    assert {"resize:to=128", "resize:to=1024", "blur:k=3,sigma=3", "blur:k=15,sigma=3", "jpeg:10", "crop:0.2"} < set(
        spelled["ua5"]
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("jpg:75", "unknown perturbation 'jpg'. Did you mean 'jpeg'"),
        ("ufdd", "Did you mean 'ufd'"),
        ("jpeg", "its quality is missing, expected a whole number from 1 to 100"),
        ("jpeg:0", "its quality is 0, expected a whole number from 1 to 100"),
        ("jpeg:101", "its quality is 101"),
        ("jpeg:75.5", "its quality is 75.5, expected a whole number"),
        ("jpeg:-5", "its quality is -5"),
        ("jpeg:٧٥", "expected a whole number"),
        ("jpeg:nan", "its quality is nan"),
        ("jpeg:" + "9" * 400, "expected a whole number"),
        ("jpeg:q=75", "write jpeg:NUMBER"),
        ("webp:1e1", "its quality is 1e1"),
        ("blur:2", "write blur:sigma=NUMBER or blur:k=NUMBER or blur:k=NUMBER,sigma=NUMBER"),
        ("blur:sigma=0", "sigma is 0, expected a number above 0 to 100"),
        ("blur:k=4", "k is 4, expected an odd number from 3 to 401"),
        ("blur:k=1", "k is 1"),
        ("blur:k=3,k=5", "gives k twice"),
        ("blur:k=9,sigma=inf", "sigma is inf"),
        ("blur:sigma=3,size=3", "is not understood"),
        ("resize:0", "its scale is 0"),
        ("resize:17", "its scale is 17"),
        ("resize:to=0", "to is 0"),
        ("resize:0.5,to=3", "is not understood"),
        ("noise:10", "write noise:var=NUMBER"),
        ("noise:var=", "var is missing"),
        ("crop:1", "its share is 1, expected a number above 0 to 0.99"),
        ("jpeg:75+", "is incomplete"),
        ("", "is incomplete"),
        ("jpeg:75,,blur:k=3", "is incomplete"),
        ("none+jpeg:75", "'none' takes no number and stands alone"),
        ("ufd+jpeg:75", "'ufd' takes no number and stands alone"),
        ("ufd:3", "'ufd' takes no number and stands alone"),
        ("sigma=3", "unknown perturbation 'sigma=3'"),
    ],
)
def test_a_perturbation_that_cannot_be_is_one_clear_line(text, words):
    with pytest.raises(UsageError) as caught:
        parse_chains(text)
    message = str(caught.value)
    assert words in message
    assert "\n" not in message


def test_nothing_to_do_is_the_image_itself():
    picture = image(5, 7)
    assert Chain().apply(picture, b"key") is picture
