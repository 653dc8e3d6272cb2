"""What every neural model keeps: precision, determinism, independence of a sample from its batch."""

import pytest
import timm
import torch
import transformers
from safetensors.torch import save_file

from probekit import models
from probekit.models import Batch, hf

TINY = {
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "image_size": 32,
    "patch_size": 8,
}


@pytest.fixture(scope="module", params=["open_clip", "hf", "timm"])
def model_and_side(request, tmp_path_factory, clip_archs):
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    match request.param:
        case "open_clip":
            import open_clip

            library = open_clip.CLIP(**open_clip.get_model_config("tiny"))
            save_file(library.state_dict(), folder / "model.safetensors")
            return models.find("open_clip:tiny", folder / "model.safetensors"), 32
        case "hf":
            with hf.quiet():
                transformers.Dinov2Model(transformers.Dinov2Config(hidden_size=32, **TINY)).save_pretrained(folder)
            return models.find(f"hf:{folder}"), 32
        case _:
            save_file(timm.create_model("vit_tiny_patch16_224").state_dict(), folder / "model.safetensors")
            return models.find("timm:vit_tiny_patch16_224", folder / "model.safetensors"), 224


def test_bfloat16_is_whole_model_and_close_to_float32(model_and_side, crops):
    model, side = model_and_side
    exact, half = (model.load("cpu", precision) for precision in ("float32", "bfloat16"))
    assert {p.dtype for p in half.network.parameters()} == {torch.bfloat16}
    taps = list(model.card.taps)
    a, b = exact(crops(side=side), taps), half(crops(side=side), taps)
    for tap in taps:
        assert b[tap].dtype == torch.float32
        assert torch.cosine_similarity(a[tap], b[tap], dim=-1).min() > 0.999, tap


def test_features_of_a_sample_do_not_depend_on_its_neighbours_or_place(model_and_side, crops):
    model, side = model_and_side
    net, taps = model.load("cpu", "float32"), list(model.card.taps)
    batch, others = crops(n=4, side=side), crops(n=4, side=side, seed=1)
    expected = net(batch, taps)
    order = torch.tensor([2, 0, 3, 1])
    moved = net(Batch(batch.pixels[order], batch.sizes), taps)
    mixed = net(Batch(torch.cat([batch.pixels[:1], others.pixels[1:]]), batch.sizes), taps)
    for tap in taps:
        assert torch.equal(moved[tap], expected[tap][order]), tap
        assert torch.equal(mixed[tap][0], expected[tap][0]), tap


def test_two_loads_give_the_same_bits_and_no_gradient(model_and_side, crops):
    model, side = model_and_side
    first, second = (model.load("cpu", "float32")(crops(side=side), [model.card.default_tap]) for _ in range(2))
    tap = model.card.default_tap
    assert torch.equal(first[tap], second[tap])
    assert not first[tap].requires_grad


def test_a_tap_is_the_same_alone_and_among_all(model_and_side, crops):
    model, side = model_and_side
    net = model.load("cpu", "float32")
    everything = net(crops(side=side), list(model.card.taps))
    one_of_a_kind = {tap.partition("@")[0] + "@" * ("@" in tap): tap for tap in everything}
    assert {"cls", "cls@", "mean", "mean@", "ln2@", "patches", "patches@"} < set(one_of_a_kind)
    for tap in one_of_a_kind.values():
        assert torch.equal(net(crops(side=side), [tap])[tap], everything[tap])
    assert not any(module._forward_hooks for module in net.network.modules())
