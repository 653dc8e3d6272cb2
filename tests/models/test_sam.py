"""SAM's encoder against segment-anything's own, averaged over the positions that are image."""

from functools import partial

import numpy as np
import pytest
import segment_anything
import torch
from numpy.testing import assert_allclose
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from probekit import models
from probekit.errors import UnknownNameError, UsageError, WeightsError
from probekit.models import Batch


def build_tiny(checkpoint=None):
    """segment-anything's own classes at 64 pixels, put together as its `_build_sam` does."""
    encoder = ImageEncoderViT(
        img_size=64, patch_size=16, embed_dim=32, depth=2, num_heads=2, out_chans=16, qkv_bias=True,
        norm_layer=partial(torch.nn.LayerNorm, eps=1e-6), use_rel_pos=True, window_size=3,
        global_attn_indexes=(1,),
    )  # fmt: skip
    prompts = PromptEncoder(embed_dim=16, image_embedding_size=(4, 4), input_image_size=(64, 64), mask_in_chans=4)
    transformer = TwoWayTransformer(depth=1, embedding_dim=16, mlp_dim=16, num_heads=2)
    decoder = MaskDecoder(transformer_dim=16, transformer=transformer, iou_head_depth=1, iou_head_hidden_dim=16)
    return Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375])


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """segment-anything's tiny model and its saved state dictionary."""
    monkeypatch.setitem(segment_anything.sam_model_registry, "vit_tiny", build_tiny)
    torch.manual_seed(0)
    library = build_tiny().eval()
    with torch.no_grad():
        for parameter in library.parameters():  # relative positions start as zeros: they must matter
            parameter.add_(0.1 * torch.randn(parameter.shape))
    torch.save(library.state_dict(), tmp_path / "sam.pth")
    return library, models.find("sam:vit_tiny", tmp_path / "sam.pth")


def batch_of(sizes, side=None, fill=0, seed=0):
    """Images of those sizes in the corner of a canvas, padded as the engine does; `fill` surrounds them."""
    height, width = (side, side) if side else np.max(sizes, axis=0)
    rng = np.random.default_rng(seed)
    pixels = np.full((len(sizes), 3, height, width), fill, dtype=np.uint8)
    for image, (h, w) in zip(pixels, sizes, strict=True):
        image[:, :h, :w] = rng.integers(0, 256, (3, h, w), dtype=np.uint8)
    return Batch(torch.from_numpy(pixels), torch.tensor(sizes))


def reference(library, batch):
    """segment-anything's own `preprocess` and encoder, image by image; the mean over whole patches."""
    rows = []
    for image, (h, w) in zip(batch.pixels, batch.sizes.tolist(), strict=True):
        with torch.inference_mode():
            grid = library.image_encoder(library.preprocess(image[None, :, :h, :w].float()))[0]
        rows.append(grid[:, : max(h // 16, 1), : max(w // 16, 1)].mean((1, 2)))
    return torch.stack(rows)


@pytest.mark.parametrize("sizes", [[(64, 64)], [(64, 48), (37, 64), (64, 64)], [(64, 9), (20, 64)]])
def test_mean_is_the_encoder_over_valid_positions(tiny, sizes):
    library, model = tiny
    batch = batch_of(sizes)
    found = model.load("cpu", "float32")(batch, ["mean"])["mean"]
    assert_allclose(found, reference(library, batch), rtol=1e-3, atol=1e-4)


def test_features_do_not_depend_on_the_padding_that_arrives(tiny):
    net = tiny[1].load("cpu", "float32")
    sizes = [(50, 64), (64, 30)]
    tight, wide, white = batch_of(sizes), batch_of(sizes, side=80), batch_of(sizes, side=64, fill=255)
    expected = net(tight, ["mean", "mean@0"])
    for other in (wide, white):
        found = net(other, ["mean", "mean@0"])
        assert torch.equal(found["mean"], expected["mean"])
        assert torch.equal(found["mean@0"], expected["mean@0"])


def test_the_mean_would_differ_if_padding_counted(tiny):
    library, model = tiny
    batch = batch_of([(64, 16)])
    found = model.load("cpu", "float32")(batch, ["mean"])["mean"]
    with torch.inference_mode():
        everything = library.image_encoder(library.preprocess(batch.pixels.float())).mean((2, 3))
    assert not np.allclose(found, everything, rtol=0.05)


def test_a_crop_larger_than_the_encoder_is_refused(tiny):
    with pytest.raises(UsageError, match=r"at most 64 pixels, not 64 × 70\. Use --view longest"):
        tiny[1].load("cpu", "float32")(batch_of([(64, 64), (64, 70)]), ["mean"])


@pytest.mark.parametrize(
    ("name", "width", "blocks"), [("sam", 768, 12), ("sam:vit_l", 1024, 24), ("sam:vit_h", 1280, 32)]
)
def test_cards_know_the_native_size_and_every_tap(name, width, blocks, tiny, tmp_path):
    card = models.find(name, tmp_path / "sam.pth").card
    assert (card.view.policy, card.view.resize, card.default_tap) == ("longest", 1024, "mean")
    assert (card.taps["mean"], card.taps["mean@0"], card.taps[f"ln2@{blocks - 1}"]) == ((256,), (width,), (width,))
    assert (card.taps["patches"], card.taps["patches@0"]) == ((4096, 256), (4096, width))
    assert len(card.taps) == 2 + 3 * blocks


def test_weights_of_another_size_are_refused(tiny, tmp_path):
    with pytest.raises(WeightsError, match=r"sam\.pth: not the weights of sam: .*blocks\.2\.") as caught:
        models.find("sam", tmp_path / "sam.pth").load("cpu", "float32")
    assert "\n" not in str(caught.value)


def test_an_unknown_size_lists_those_there_are():
    with pytest.raises(UnknownNameError, match="Known: vit_b, vit_h, vit_l"):
        models.find("sam:vit_x")


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_real_vit_b_agrees_with_segment_anything_at_1024_pixels(precision, tmp_path):
    torch.manual_seed(0)
    library = segment_anything.sam_model_registry["vit_b"]().eval()
    torch.save(library.state_dict(), tmp_path / "sam_vit_b.pth")
    batch = batch_of([(683, 1024)])
    found = models.find("sam", tmp_path / "sam_vit_b.pth").load("cpu", precision)(batch, ["mean"])["mean"]
    with torch.inference_mode():
        grid = library.image_encoder(library.preprocess(batch.pixels.float()))[0]
    expected = grid[:, : 683 // 16].mean((1, 2))[None]
    if precision == "float32":
        assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    else:
        assert torch.cosine_similarity(found, expected).item() > 0.999
