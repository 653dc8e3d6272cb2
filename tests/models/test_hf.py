"""transformers' vision models against their own forward passes."""

import json

import pytest
import torch
import transformers
from numpy.testing import assert_allclose
from torchvision.transforms.v2.functional import normalize

from probekit import models
from probekit.errors import ModelError, UsageError, WeightsError
from probekit.models import dinov2, hf
from probekit.views import HALF, IMAGENET, OPENAI_CLIP, View

TINY = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}
TEXT = {
    "hidden_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "vocab_size": 64,
}
TEXT |= {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}


def save(model, folder, preprocessing=None):
    """The model in evaluation mode, saved as transformers saves it; random weights large enough to matter."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    with hf.quiet():
        model.save_pretrained(folder)
    if preprocessing is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return model.eval()


def library_input(batch, values=IMAGENET):
    return normalize(batch.pixels.float() / 255, list(values.mean), list(values.std))


CLASSES = {
    "vit": lambda: transformers.ViTModel(transformers.ViTConfig(**TINY)),
    "dinov2": lambda: transformers.Dinov2Model(transformers.Dinov2Config(**TINY)),
    "dinov2-registers": lambda: transformers.Dinov2WithRegistersModel(transformers.Dinov2WithRegistersConfig(**TINY)),
    "dinov3": lambda: transformers.DINOv3ViTModel(transformers.DINOv3ViTConfig(**TINY, num_register_tokens=4)),
}


@pytest.mark.parametrize(("kind", "registers"), [("vit", 0), ("dinov2", 0), ("dinov2-registers", 4), ("dinov3", 4)])
def test_cls_mean_and_pooler_are_those_of_last_hidden_state(kind, registers, tmp_path, crops):
    library = save(CLASSES[kind](), tmp_path)
    model = models.find(f"hf:{tmp_path}")
    found = model.load("cpu", "float32")(crops(), ["cls", "mean", "pooler"])
    with torch.inference_mode():
        expected = library(library_input(crops()))
    assert_allclose(found["cls"], expected.last_hidden_state[:, 0], rtol=1e-4, atol=1e-5)
    assert_allclose(found["mean"], expected.last_hidden_state[:, 1 + registers :].mean(1), rtol=1e-4, atol=1e-5)
    assert_allclose(found["pooler"], expected.pooler_output, rtol=1e-4, atol=1e-5)
    assert model.card.default_tap == "cls"


def test_block_taps_are_transformers_hidden_states(tmp_path, crops):
    library = save(CLASSES["dinov2"](), tmp_path)
    found = models.find(f"hf:{tmp_path}").load("cpu", "float32")(crops(), ["cls@0", "mean@1", "cls@2"])
    with torch.inference_mode():
        states = library(library_input(crops()), output_hidden_states=True).hidden_states  # [0] is the embedding
    assert_allclose(found["cls@0"], states[1][:, 0], rtol=1e-4, atol=1e-5)
    assert_allclose(found["mean@1"], states[2][:, 1:].mean(1), rtol=1e-4, atol=1e-5)
    assert_allclose(found["cls@2"], states[3][:, 0], rtol=1e-4, atol=1e-5)


def test_the_vision_tower_of_a_clip_checkpoint_gets_its_final_norm(tmp_path, crops):
    config = transformers.CLIPConfig(vision_config=TINY, text_config=TEXT, projection_dim=16)
    library = save(transformers.CLIPModel(config), tmp_path)
    found = models.find(f"hf:{tmp_path}").load("cpu", "float32")(crops(), ["cls", "mean", "pooler"])
    with torch.inference_mode():
        expected = library.vision_model(library_input(crops()))
        patches = library.vision_model.post_layernorm(expected.last_hidden_state[:, 1:])
    assert_allclose(found["cls"], expected.pooler_output, rtol=1e-4, atol=1e-5)
    assert_allclose(found["pooler"], expected.pooler_output, rtol=1e-4, atol=1e-5)
    assert_allclose(found["mean"], patches.mean(1), rtol=1e-4, atol=1e-5)


def test_siglip_has_no_class_token_and_its_pooler_by_default(tmp_path, crops):
    config = transformers.SiglipConfig(vision_config=TINY, text_config=TEXT)
    library = save(transformers.SiglipModel(config), tmp_path)
    model = models.find(f"hf:{tmp_path}")
    found = model.load("cpu", "float32")(crops(), ["mean", "pooler"])
    with torch.inference_mode():
        expected = library.vision_model(library_input(crops()))
    assert "cls" not in model.card.taps
    assert model.card.default_tap == "pooler"
    assert_allclose(found["pooler"], expected.pooler_output, rtol=1e-4, atol=1e-5)
    assert_allclose(found["mean"], expected.last_hidden_state.mean(1), rtol=1e-4, atol=1e-5)


def test_a_convnet_gives_the_mean_of_its_map(tmp_path, crops):
    config = transformers.ConvNextConfig(hidden_sizes=[8, 16, 24, 32], depths=[1, 1, 1, 1], image_size=64)
    library = save(transformers.ConvNextModel(config), tmp_path)
    model = models.find(f"hf:{tmp_path}")
    batch = crops(side=64)
    found = model.load("cpu", "float32")(batch, ["mean", "pooler"])
    with torch.inference_mode():
        expected = library(library_input(batch))
    assert model.card.taps == {"mean": (32,), "patches": (4, 32), "pooler": (32,)}
    assert_allclose(found["mean"], expected.last_hidden_state.mean((2, 3)), rtol=1e-4, atol=1e-5)
    assert_allclose(found["pooler"], expected.pooler_output, rtol=1e-4, atol=1e-5)


def test_a_classifier_checkpoint_gives_no_untrained_pooler(tmp_path, crops):
    library = save(transformers.ViTForImageClassification(transformers.ViTConfig(**TINY)), tmp_path)
    model = models.find(f"hf:{tmp_path}")
    assert "pooler" not in model.card.taps
    found = model.load("cpu", "float32")(crops(), ["cls"])
    with torch.inference_mode():
        expected = library.vit(library_input(crops())).last_hidden_state[:, 0]
    assert_allclose(found["cls"], expected, rtol=1e-4, atol=1e-5)


def test_sharded_weights_are_read_whole_and_hashed_whole(tmp_path, crops):
    library = CLASSES["dinov2"]()
    library = save(library, tmp_path / "one")
    with hf.quiet():
        library.save_pretrained(tmp_path / "many", max_shard_size="40KB")
    one, many = (models.find(f"hf:{tmp_path / name}") for name in ("one", "many"))
    assert len(list((tmp_path / "many").glob("*.safetensors"))) > 1
    a, b = (m.load("cpu", "float32")(crops(), ["cls"])["cls"] for m in (one, many))
    assert torch.equal(a, b)
    shard = sorted((tmp_path / "many").glob("*.safetensors"))[-1]
    shard.write_bytes(shard.read_bytes()[:-1] + b"\x01")
    assert models.find(f"hf:{tmp_path / 'many'}").weights.sha256 != many.weights.sha256


def test_a_changed_configuration_changes_the_settings(tmp_path):
    save(CLASSES["dinov2"](), tmp_path)
    before = models.find(f"hf:{tmp_path}").card
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    assert models.find(f"hf:{tmp_path}").card.settings != before.settings
    (tmp_path / "config.json").write_text(json.dumps(config | {"transformers_version": "0.0.1"}))
    assert models.find(f"hf:{tmp_path}").card == before


def test_a_weights_file_brings_the_configuration_beside_it(tmp_path):
    save(CLASSES["dinov2"](), tmp_path)
    by_file = models.find("hf:facebook/dinov2-base", tmp_path / "model.safetensors")
    by_folder = models.find("hf:facebook/dinov2-base", tmp_path)
    assert by_file == by_folder or by_file.card == by_folder.card
    assert by_file.card.taps["cls"] == (32,)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda s: s.pop("layernorm.weight"), "missing are layernorm.weight"),
        (lambda s: s.update({"layernorm.weight": torch.zeros(7)}), "of another shape are layernorm.weight"),
        (
            lambda s: s.update({"encoder.layer.9.norm1.weight": torch.zeros(32)}),
            "unexpected are encoder.layer.9",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named(damage, message, tmp_path):
    state = save(CLASSES["dinov2"](), tmp_path).state_dict()
    damage(state)
    torch.save(state, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=rf"other\.pt: not the weights of hf:x: {message}") as caught:
        models.find("hf:x", tmp_path / "other.pt").load("cpu", "float32")
    assert "\n" not in str(caught.value)


def test_dinov2_is_the_large_model_with_its_authors_view(tmp_path):
    save(CLASSES["dinov2"](), tmp_path)
    model = models.find("dinov2", tmp_path / "model.safetensors")
    assert (model.card.taps["cls"], model.card.taps["cls@23"], model.card.default_tap) == ((1024,), (1024,), "cls")
    assert model.card.view == View("resize", resize=256, crop=224, interpolation="bicubic", normalize=IMAGENET)
    assert model.card.unit == 64


def test_dinov2_takes_its_weights_through_the_same_road(tmp_path, crops, monkeypatch):
    library = save(CLASSES["dinov2"](), tmp_path)
    for key in TINY.keys() - {"image_size", "intermediate_size", "patch_size"}:
        monkeypatch.setitem(dinov2.CONFIG, key, TINY[key])
    monkeypatch.setitem(dinov2.CONFIG, "patch_size", 8)
    monkeypatch.setitem(dinov2.CONFIG, "image_size", 32)
    batch = crops(n=2, side=224)  # not the size of the position embeddings: they are interpolated
    found = models.find("dinov2", tmp_path / "model.safetensors").load("cpu", "float32")(batch, ["cls", "mean"])
    with torch.inference_mode():
        expected = library(library_input(batch))
    assert_allclose(found["cls"], expected.pooler_output, rtol=1e-4, atol=1e-5)
    assert_allclose(found["mean"], expected.last_hidden_state[:, 1:].mean(1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("preprocessing", "view"),
    [
        (
            {
                "size": {"shortest_edge": 40},
                "crop_size": {"height": 32, "width": 32},
                "do_center_crop": True,
                "resample": 3,
                "image_mean": list(OPENAI_CLIP.mean),
                "image_std": list(OPENAI_CLIP.std),
            },
            View("resize", 40, 32, "bicubic", OPENAI_CLIP),
        ),
        (
            {
                "size": {"height": 32, "width": 32},
                "resample": 2,
                "image_mean": [0.5] * 3,
                "image_std": [0.5] * 3,
            },
            View("squash", 32, 32, "bilinear", HALF),
        ),
        ({"size": 40, "crop_size": 32, "do_center_crop": True}, View("resize", 40, 32, "bicubic", IMAGENET)),
        (None, View("resize", 37, 32, "bicubic", IMAGENET)),
    ],
)
def test_the_view_is_that_of_the_preprocessor_config(preprocessing, view, tmp_path):
    save(CLASSES["vit"](), tmp_path, preprocessing)
    assert models.find(f"hf:{tmp_path}").card.view == view


def test_a_crop_of_another_size_is_refused_in_one_line(tmp_path, crops):
    save(CLASSES["vit"](), tmp_path)
    net = models.find(f"hf:{tmp_path}").load("cpu", "float32")
    with pytest.raises(UsageError, match="takes crops of 32 × 32 pixels, not 40 × 40"):
        net(crops(side=40), ["cls"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (
            {"model_type": "bert", "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2},
            "takes no images",
        ),
        ({"model_type": "no-such-model"}, "no model of type 'no-such-model'"),
    ],
)
def test_a_model_that_is_no_vision_model_is_refused(config, message, tmp_path):
    save(CLASSES["vit"](), tmp_path)
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=message):
        models.find(f"hf:{tmp_path}")


def test_a_folder_without_weights_says_what_it_looked_for(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"} | TINY))
    with pytest.raises(WeightsError, match=r"has none of model\.safetensors"):
        models.find(f"hf:{tmp_path}")


@pytest.fixture
def cached(tmp_path):
    """A repository `some/repo` in the hub's cache, as huggingface_hub lays it out."""
    commit = "0" * 40
    repo = tmp_path / "hub" / "models--some--repo"
    (repo / "refs").mkdir(parents=True)
    (repo / "refs" / "main").write_text(commit)
    save(CLASSES["vit"](), repo / "snapshots" / commit)
    (repo / ".no_exist" / commit).mkdir(parents=True)
    return repo / "snapshots" / commit, repo / ".no_exist" / commit


def test_a_cached_repository_needs_no_network(cached):
    snapshot, absent = cached
    (absent / "preprocessor_config.json").touch()  # the hub was asked for it once
    model = models.find("hf:some/repo")
    assert model.weights.path == snapshot / "model.safetensors"
    assert model.card.source == "hf:some/repo"
    assert model.card.view == View("resize", 37, 32, "bicubic", IMAGENET)


def test_preprocessing_that_nobody_asked_the_hub_for_is_not_guessed(cached):
    with pytest.raises(WeightsError, match=r"cannot get preprocessor_config\.json from hf:some/repo"):
        models.find("hf:some/repo")
