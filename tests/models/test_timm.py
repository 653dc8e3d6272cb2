"""timm's models against their own forward passes, and real weights against timm's own outputs."""

from dataclasses import replace

import numpy as np
import pytest
import timm
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torchvision.transforms.v2.functional import normalize

from probekit import models
from probekit.errors import UnknownNameError, UsageError, WeightsError
from probekit.models import Batch
from probekit.models.requests import expand_taps
from probekit.views import HALF, View


def saved(name, folder, **options):
    torch.manual_seed(0)
    library = timm.create_model(name, **options).eval()
    save_file(library.state_dict(), folder / "model.safetensors")
    return library, models.find(f"timm:{name}", folder / "model.safetensors")


def library_input(batch, library):
    config = library.pretrained_cfg
    return normalize(batch.pixels.float() / 255, list(config["mean"]), list(config["std"]))


@pytest.mark.parametrize(
    ("name", "prefix", "has_cls"),
    [
        ("vit_tiny_patch16_224", 1, True),
        ("deit_tiny_distilled_patch16_224", 2, True),
        ("vit_tiny_r_s16_p8_224", 1, True),
        ("vit_small_patch16_dinov3", 5, True),
        ("vit_wee_patch16_reg1_gap_256", 1, False),
    ],
)
def test_token_taps_are_those_of_forward_features(name, prefix, has_cls, tmp_path, crops):
    library, model = saved(name, tmp_path, num_classes=3)
    batch = crops(n=2, side=library.pretrained_cfg["input_size"][1])
    assert ("cls" in model.card.taps) == has_cls
    taps = ["pool", "mean"] + ["cls"] * has_cls
    found = model.load("cpu", "float32")(batch, taps)
    with torch.inference_mode():
        expected = library.forward_features(library_input(batch, library))
        pooled = library.forward_head(expected, pre_logits=True)
    assert_allclose(found["pool"], pooled, rtol=1e-4, atol=1e-4)
    assert_allclose(found["mean"], expected[:, prefix:].mean(1), rtol=1e-4, atol=1e-4)
    if has_cls:
        assert_allclose(found["cls"], expected[:, 0], rtol=1e-4, atol=1e-4)


def test_block_taps_are_timms_intermediates(tmp_path, crops):
    library, model = saved("vit_tiny_patch16_224", tmp_path)
    batch = crops(n=2, side=224)
    found = model.load("cpu", "float32")(batch, ["cls@3", "mean@3", "mean@11"])
    with torch.inference_mode():
        states = library.forward_intermediates(
            library_input(batch, library),
            [3, 11],
            return_prefix_tokens=True,
            output_fmt="NLC",
            intermediates_only=True,
        )
    (patches, prefix), (last, _) = states
    assert_allclose(found["cls@3"], prefix[:, 0], rtol=1e-4, atol=1e-4)
    assert_allclose(found["mean@3"], patches.mean(1), rtol=1e-4, atol=1e-4)
    assert_allclose(found["mean@11"], last.mean(1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "axes"), [("convnext_atto", (2, 3)), ("resnet18", (2, 3)), ("swin_s3_tiny_224", (1, 2))]
)
def test_mean_of_a_map_is_its_global_average(name, axes, tmp_path, crops):
    library, model = saved(name, tmp_path, num_classes=3)
    batch = crops(n=2, side=224)
    found = model.load("cpu", "float32")(batch, ["mean", "pool"])
    with torch.inference_mode():
        expected = library.forward_features(library_input(batch, library))
        pooled = library.forward_head(expected, pre_logits=True)
    assert set(model.card.taps) == {"mean", "patches", "pool"}
    assert_allclose(found["mean"], expected.mean(axes), rtol=1e-3, atol=1e-4)
    assert_allclose(found["pool"], pooled, rtol=1e-3, atol=1e-4)


def test_real_weights_give_timms_recorded_outputs(shared_data, crops):
    folder = shared_data / "weights" / "vit_tiny_patch16_224"
    reference = np.load(folder / "reference.npz")
    net = models.find("timm:vit_tiny_patch16_224", folder / "model.safetensors").load("cpu", "float32")
    recorded = torch.from_numpy(reference["input"])  # normalised already, beyond the range of pixels
    found = replace(net, prepare=lambda _: recorded)(crops(n=2, side=224), ["pool", "cls", "mean"])
    assert_allclose(found["pool"], reference["pre_logits"], rtol=1e-3, atol=1e-3)
    assert_allclose(found["cls"], reference["forward_features"][:, 0], rtol=1e-3, atol=1e-3)
    assert_allclose(found["mean"], reference["forward_features"][:, 1:].mean(1), rtol=1e-3, atol=1e-3)


def test_the_view_is_the_one_timm_evaluates_with(tmp_path):
    _, model = saved("vit_tiny_patch16_224", tmp_path)
    assert model.card.view == View("resize", resize=248, crop=224, interpolation="bicubic", normalize=HALF)


def test_wrong_weights_name_the_file_and_the_first_keys(tmp_path):
    library = timm.create_model("vit_tiny_patch16_224")
    state = library.state_dict() | {"cls_token": torch.zeros(1, 1, 5)}
    state.pop("norm.weight")
    torch.save(state, tmp_path / "bad.pth")
    model = models.find("timm:vit_tiny_patch16_224", tmp_path / "bad.pth")
    with pytest.raises(WeightsError, match=r'bad\.pth: not the weights of timm:.*"norm\.weight".*cls_token') as caught:
        model.load("cpu", "float32")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("saved_from", "loaded_as", "tensor"),
    [
        ("vit_tiny_patch16_224", "vit_tiny_patch16_384", r"pos_embed is \(1, 197, 192\), not \(1, 577, 192\)"),
        ("beit_base_patch16_224", "beit_base_patch16_384", r"relative_position_bias_table is \(732, 12\), not"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # of timm's own arithmetic
def test_weights_for_another_image_size_are_refused_and_not_resampled(saved_from, loaded_as, tensor, tmp_path):
    state = timm.create_model(saved_from, num_classes=0).state_dict()
    save_file({k: v for k, v in state.items() if "index" not in k}, tmp_path / "a.safetensors")
    model = models.find(f"timm:{loaded_as}", tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=rf"a\.safetensors: .*{tensor}") as caught:
        model.load("cpu", "float32")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "near"),
    [("timm:vit_tny_patch16_224", "vit_tiny_patch16_224"), ("timm:resnet18.a1_in2k", "a1_in1k")],
)
def test_a_misspelt_model_or_tag_lists_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"Did you mean .*'{near}'"):
        models.find(name)


def test_an_unknown_tap_lists_those_of_the_model(tmp_path, crops):
    _, model = saved("vit_tiny_patch16_224", tmp_path)
    message = r"has no tap 'cls@12'. It has pool, cls, mean, patches, cls@0-11, mean@0-11, ln2@0-11, patches@0-11\."
    with pytest.raises(UsageError, match=message):
        expand_taps(model.card, ["cls", "cls@12"])
    with pytest.raises(UsageError, match=message):
        model.load("cpu", "float32")(crops(side=224), ["cls@12"])


def test_padded_crops_are_refused(tmp_path, crops):
    _, model = saved("vit_tiny_patch16_224", tmp_path)
    batch = Batch(crops(side=224).pixels, torch.tensor([[224, 224], [224, 100], [224, 224]]))
    with pytest.raises(UsageError, match="crops of one size"):
        model.load("cpu", "float32")(batch, ["cls"])
