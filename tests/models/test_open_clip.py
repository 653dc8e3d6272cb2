"""CLIP and open_clip against open_clip's own encode_image."""

import numpy as np
import open_clip
import pytest
import torch
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torchvision.transforms.v2.functional import normalize

from probekit import models
from probekit.errors import UnknownNameError, UsageError, WeightsError
from probekit.views import OPENAI_CLIP, View

pytestmark = pytest.mark.usefixtures("clip_archs")


def library_model(arch, quick_gelu):
    config = open_clip.get_model_config(arch)
    torch.manual_seed(0)
    return open_clip.CLIP(**(config | {"quick_gelu": quick_gelu})).eval()


def library_input(batch):
    return normalize(batch.pixels.float() / 255, list(OPENAI_CLIP.mean), list(OPENAI_CLIP.std))


@pytest.fixture(params=[False, True], ids=["gelu", "quickgelu"])
def pair(request, tmp_path):
    """open_clip's model, and ours from its saved state dictionary."""
    arch = "tiny-quickgelu" if request.param else "tiny"
    library = library_model(arch, request.param)
    save_file(library.state_dict(), tmp_path / "clip.safetensors")
    return library, models.find(f"open_clip:{arch}", tmp_path / "clip.safetensors")


def test_proj_is_encode_image_without_normalisation(pair, crops):
    library, model = pair
    batch = crops()
    with torch.inference_mode():
        expected = library.encode_image(library_input(batch), normalize=False)
    found = model.load("cpu", "float32")(batch, ["proj"])["proj"]
    assert found.dtype == torch.float32
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_projecting_the_cls_tap_gives_proj(pair, crops):
    library, model = pair
    found = model.load("cpu", "float32")(crops(), ["cls", "proj"])
    assert_allclose(found["cls"] @ library.visual.proj.detach(), found["proj"], rtol=1e-4, atol=1e-5)


def test_final_taps_are_those_of_the_last_block_after_ln_post(pair, crops):
    library, model = pair
    batch = crops()
    found = model.load("cpu", "float32")(batch, ["cls", "mean", "cls@2", "cls@0", "mean@0"])
    with torch.inference_mode():
        library.visual.output_tokens = True
        _, patches = library.visual(library_input(batch))
        out = library.visual.forward_intermediates(
            library_input(batch), [0], output_fmt="NLC", output_extra_tokens=True
        )
        assert_allclose(found["mean"], patches.mean(1), rtol=1e-4, atol=1e-5)
        assert_allclose(found["cls@0"], out["image_intermediates_prefix"][0][:, 0], rtol=1e-4, atol=1e-5)
        assert_allclose(found["mean@0"], out["image_intermediates"][0].mean(1), rtol=1e-4, atol=1e-5)
        assert_allclose(found["cls"], library.visual.ln_post(found["cls@2"]), rtol=1e-4, atol=1e-5)


def test_the_card_knows_every_tap_and_its_width_before_the_weights_are_read(pair, crops):
    _, model = pair
    assert model.card.default_tap == "proj"
    assert model.card.taps["proj"] == (24,)
    assert {"cls", "mean", "cls@0", "cls@2", "mean@2"} < set(model.card.taps)
    found = model.load("cpu", "float32")(crops(), list(model.card.taps))
    assert {tap: rows.shape[1:] for tap, rows in found.items()} == dict(model.card.taps)


def test_quickgelu_gives_other_numbers_and_another_address(tmp_path, crops):
    save_file(library_model("tiny", False).state_dict(), tmp_path / "clip.safetensors")
    plain, quick = (models.find(f"open_clip:{a}", tmp_path / "clip.safetensors") for a in ("tiny", "tiny-quickgelu"))
    assert (plain.card.settings["quick_gelu"], quick.card.settings["quick_gelu"]) == (False, True)
    a, b = (m.load("cpu", "float32")(crops(), ["proj"])["proj"] for m in (plain, quick))
    assert not np.allclose(a, b, rtol=1e-2)


@pytest.mark.parametrize("name", ["clip", "open_clip:ViT-L-14/openai", "open_clip:ViT-L-14-quickgelu/openai"])
def test_openai_weights_always_get_quickgelu(name, tmp_path):
    save_file({"visual.x": torch.zeros(1)}, tmp_path / "any.safetensors")
    card = models.find(name, tmp_path / "any.safetensors").card
    assert card.settings["quick_gelu"] is True
    assert (card.default_tap, card.taps["proj"], card.taps["cls"], card.taps["cls@23"]) == (
        "proj",
        (768,),
        (1024,),
        (1024,),
    )
    assert card.view == View("resize", resize=224, crop=224, interpolation="bicubic", normalize=OPENAI_CLIP)


def test_weights_marked_as_openais_are_refused_without_quickgelu(tmp_path):
    state = library_model("tiny", False).state_dict() | {"input_resolution": torch.tensor(32)}
    torch.save(state, tmp_path / "clip.pt")
    with pytest.raises(WeightsError, match="need QuickGELU"):
        models.find("open_clip:tiny", tmp_path / "clip.pt").load("cpu", "float32")


def test_converted_half_precision_weights_of_openai_load(tmp_path, crops):
    library = library_model("tiny-quickgelu", True)
    state = {key: value.half() for key, value in library.state_dict().items()}
    torch.save(state | {"input_resolution": torch.tensor(32), "vocab_size": torch.tensor(64)}, tmp_path / "clip.pt")
    found = models.find("open_clip:tiny-quickgelu", tmp_path / "clip.pt").load("cpu", "float32")(crops(), ["proj"])
    with torch.inference_mode():
        expected = library.encode_image(library_input(crops()))
    assert_allclose(found["proj"], expected, rtol=0.02, atol=0.01)


def test_a_training_recipe_is_asked_for_even_with_a_file(tmp_path):
    save_file({"visual.x": torch.zeros(1)}, tmp_path / "any.safetensors")
    with pytest.raises(UsageError, match=r"open_clip:ViT-L-14/TAG.*openai"):
        models.find("open_clip:ViT-L-14", tmp_path / "any.safetensors")


def test_siglip_recipes_squash_and_use_their_own_mean(tmp_path):
    save_file({"visual.x": torch.zeros(1)}, tmp_path / "any.safetensors")
    view = models.find("open_clip:ViT-B-16-SigLIP/webli", tmp_path / "any.safetensors").card.view
    assert (view.policy, view.crop) == ("squash", 224)
    assert view.normalize is not None
    assert view.normalize.mean == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("name", "near"), [("open_clip:ViT-L-41/openai", "'ViT-L-14'"), ("open_clip:ViT-L-14/opena", "'openai'")]
)
def test_a_misspelt_architecture_or_tag_lists_the_nearest(name, near):
    with pytest.raises(UnknownNameError, match=f"Did you mean .*{near}"):
        models.find(name)
