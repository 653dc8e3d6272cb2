"""Every tap of every family against what the library itself computes there."""

import pytest
import timm
import torch
import transformers
from numpy.testing import assert_allclose
from safetensors.torch import save_file
from torchvision.transforms.v2.functional import normalize

from probekit import models
from probekit.errors import UsageError
from probekit.models import Batch
from probekit.models.blocks import survey
from probekit.models.taps import Block, Tap, TappedNetwork, Tokens, block_taps, mean_token
from probekit.views import IMAGENET, OPENAI_CLIP
from tests.models.test_hf import CLASSES, TEXT, TINY, save
from tests.models.test_sam import batch_of, tiny  # noqa: F401  # a fixture


def watched(modules, run):
    """What each module puts out, by hooks of the test's own, in the order of the modules."""
    outputs = {}
    hooks = [module.register_forward_hook(lambda m, _, out: outputs.update({m: out})) for module in modules]
    with torch.inference_mode():
        result = run()
    for hook in hooks:
        hook.remove()
    found = [outputs[module] for module in modules]
    return result, [out[0] if isinstance(out, tuple) else out for out in found]


def close(found, expected):
    assert found.dtype == torch.float32
    assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def check_blocks(found, states, norms, prefix, has_cls):
    """The taps of all blocks, from the outputs of the blocks and of their second norms."""
    for number, (state, norm) in enumerate(zip(states, norms, strict=True)):
        close(found[f"mean@{number}"], state[:, prefix:].mean(1))
        close(found[f"patches@{number}"], state[:, prefix:])
        close(found[f"ln2@{number}"], norm[:, 0] if has_cls else norm[:, prefix:].mean(1))
        assert (f"cls@{number}" in found) == has_cls
        if has_cls:
            close(found[f"cls@{number}"], state[:, 0])


def everything(model, batch):
    """Every tap of a model, of the shape on its card."""
    found = model.load("cpu", "float32")(batch, list(model.card.taps))
    assert {tap: tuple(rows.shape[1:]) for tap, rows in found.items()} == dict(model.card.taps)
    return found


@pytest.mark.parametrize("arch", ["tiny", "tiny-quickgelu"])
def test_open_clip(arch, clip_archs, tmp_path, crops):
    import open_clip

    torch.manual_seed(0)
    library = open_clip.CLIP(**open_clip.get_model_config(arch)).eval()
    save_file(library.state_dict(), tmp_path / "clip.safetensors")
    batch, visual = crops(), library.visual
    pixels = normalize(batch.pixels.float() / 255, list(OPENAI_CLIP.mean), list(OPENAI_CLIP.std))
    found = everything(models.find(f"open_clip:{arch}", tmp_path / "clip.safetensors"), batch)
    _, norms = watched([block.ln_2 for block in visual.transformer.resblocks], lambda: visual(pixels))
    with torch.inference_mode():
        inner = visual.forward_intermediates(pixels, output_fmt="NLC", output_extra_tokens=True)
        prefixes, patches = inner["image_intermediates_prefix"], inner["image_intermediates"]
        states = [torch.cat(pair, 1) for pair in zip(prefixes, patches, strict=True)]
        close(found["patches"], visual.ln_post(patches[-1]))
    check_blocks(found, states, norms, prefix=1, has_cls=True)


@pytest.mark.parametrize(
    ("kind", "registers", "norm"),
    [("vit", 0, "layernorm_after"), ("dinov2", 0, "norm2"), ("dinov2-registers", 4, "norm2"), ("dinov3", 4, "norm2")],
)
def test_transformers_of_tokens(kind, registers, norm, tmp_path, crops):
    library = save(CLASSES[kind](), tmp_path)
    pixels = normalize(crops().pixels.float() / 255, list(IMAGENET.mean), list(IMAGENET.std))
    found = everything(models.find(f"hf:{tmp_path}"), crops())
    seconds = [module for name, module in library.named_modules() if name.endswith(norm)]
    result, norms = watched(seconds, lambda: library(pixels, output_hidden_states=True))
    last, prefix = result.last_hidden_state, 1 + registers
    close(found["patches"], last[:, prefix:])
    assert ("registers" in found) == (registers > 0)
    if registers:
        close(found["registers"], last[:, 1:prefix].mean(1))
        assert not torch.allclose(found["registers"], found["mean"], rtol=0.1)
    blocks = [module for name, module in library.named_modules() if hasattr(module, norm)]
    _, states = watched(blocks, lambda: library(pixels))
    assert_allclose(result.hidden_states[1], states[0], rtol=1e-5)
    check_blocks(found, states, norms, prefix, has_cls=True)


@pytest.mark.parametrize("kind", ["whole", "vision"])
def test_transformers_clip_projects_as_get_image_features_does(kind, tmp_path, crops):
    config = transformers.CLIPConfig(vision_config=TINY | {"projection_dim": 16}, text_config=TEXT, projection_dim=16)
    cls = transformers.CLIPModel if kind == "whole" else transformers.CLIPVisionModelWithProjection
    library = save(cls(config if kind == "whole" else config.vision_config), tmp_path)
    pixels = normalize(crops().pixels.float() / 255, list(IMAGENET.mean), list(IMAGENET.std))
    model = models.find(f"hf:{tmp_path}")
    found = everything(model, crops())
    layers = library.vision_model.encoder.layers
    _, states = watched(layers, lambda: library.vision_model(pixels))
    _, norms = watched([layer.layer_norm2 for layer in layers], lambda: library.vision_model(pixels))
    with torch.inference_mode():
        whole = kind == "whole"
        expected = library.get_image_features(pixels).pooler_output if whole else library(pixels).image_embeds
        close(found["patches"], library.vision_model.post_layernorm(states[-1][:, 1:]))
    close(found["proj"], expected)
    assert model.card.taps["proj"] == (16,)
    check_blocks(found, states, norms, prefix=1, has_cls=True)


def test_a_clip_checkpoint_without_its_projection_offers_none(tmp_path):
    save(transformers.CLIPVisionModel(transformers.CLIPVisionConfig(**TINY)), tmp_path)
    assert "proj" not in models.find(f"hf:{tmp_path}").card.taps


def test_siglip_has_the_mean_patch_where_others_have_a_class_token(tmp_path, crops):
    config = transformers.SiglipConfig(vision_config=TINY, text_config=TEXT)
    library = save(transformers.SiglipModel(config), tmp_path).vision_model
    pixels = normalize(crops().pixels.float() / 255, list(IMAGENET.mean), list(IMAGENET.std))
    found = everything(models.find(f"hf:{tmp_path}"), crops())
    layers = library.encoder.layers
    result, states = watched(layers, lambda: library(pixels))
    _, norms = watched([layer.layer_norm2 for layer in layers], lambda: library(pixels))
    close(found["patches"], result.last_hidden_state)
    check_blocks(found, states, norms, prefix=0, has_cls=False)


@pytest.mark.parametrize(
    ("name", "prefix", "registers", "has_cls"),
    [
        ("vit_tiny_patch16_224", 1, 0, True),
        ("deit_tiny_distilled_patch16_224", 2, 0, True),
        ("vit_small_patch16_dinov3", 5, 4, True),
        ("vit_wee_patch16_reg1_gap_256", 1, 1, False),
    ],
)
def test_timm_of_tokens(name, prefix, registers, has_cls, tmp_path, crops):
    torch.manual_seed(0)
    library = timm.create_model(name, num_classes=0).eval()
    save_file(library.state_dict(), tmp_path / "model.safetensors")
    config = library.pretrained_cfg
    batch = crops(n=2, side=config["input_size"][1])
    pixels = normalize(batch.pixels.float() / 255, list(config["mean"]), list(config["std"]))
    found = everything(models.find(f"timm:{name}", tmp_path / "model.safetensors"), batch)
    blocks = list(library.blocks)
    last, outputs = watched([*blocks, *(b.norm2 for b in blocks)], lambda: library.forward_features(pixels))
    close(found["patches"], last[:, prefix:])
    assert ("registers" in found) == (registers > 0)
    if registers:
        close(found["registers"], last[:, prefix - registers : prefix].mean(1))
    check_blocks(found, outputs[: len(blocks)], outputs[len(blocks) :], prefix, has_cls)


def test_sam_gives_its_grid_row_by_row_and_means_over_what_is_image(tiny):  # noqa: F811
    library, model = tiny
    batch = batch_of([(64, 40), (64, 64)])
    found = everything(model, batch)
    encoder = library.image_encoder
    pixels = torch.cat([library.preprocess(batch.pixels[:1, :, :, :40].float()), library.preprocess(batch.pixels[1:])])
    last, outputs = watched([*encoder.blocks, *(b.norm2 for b in encoder.blocks)], lambda: encoder(pixels))
    assert_allclose(found["patches"], last.flatten(2).transpose(1, 2), rtol=1e-3, atol=1e-4)
    for number in range(2):
        state, norm = outputs[number], outputs[2 + number]
        assert_allclose(found[f"patches@{number}"], state.flatten(1, 2), rtol=1e-3, atol=1e-4)
        assert_allclose(found[f"ln2@{number}"][0], norm[0, :4, :2].mean((0, 1)), rtol=1e-3, atol=1e-4)
        assert_allclose(found[f"ln2@{number}"][1], norm[1].mean((0, 1)), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["swin_s3_tiny_224", "cait_xxs24_224"])
def test_blocks_whose_tokens_are_not_those_of_the_end_are_not_offered(name, tmp_path):
    (tmp_path / "any.safetensors").write_bytes(b"any")
    taps = models.find(f"timm:{name}", tmp_path / "any.safetensors").card.taps
    assert {"mean", "patches"} < set(taps)
    assert not any("@" in tap for tap in taps)  # maps that shrink; a class token that comes after the blocks


class Post(torch.nn.Module):
    """A block that norms after its branches, as `ResPostBlock` of timm does."""

    def __init__(self):
        super().__init__()
        self.attn, self.mlp = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
        self.norm1, self.norm2 = torch.nn.LayerNorm(4), torch.nn.LayerNorm(4)
        self.scale = torch.nn.Identity()

    def forward(self, x):
        x = x + self.norm1(self.attn(x))
        return x + self.scale(self.norm2(self.mlp(x)))


class Pre(Post):
    """A block that norms before them."""

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.scale(self.mlp(self.norm2(x)))


class Parallel(Post):
    """A block whose branches share one norm."""

    def forward(self, x):
        normed = self.norm2(x)
        return x + self.attn(normed) + self.mlp(normed)


@pytest.mark.parametrize(("block", "ln2"), [(Pre, "0.norm2"), (Post, None), (Parallel, None)])
def test_ln2_is_a_norm_that_an_mlp_reads_whatever_modules_are_called(block, ln2):
    with torch.device("meta"):
        network = torch.nn.Sequential(block())
    _, places = survey(network, list(network), lambda: network(torch.zeros(1, 3, 4, device="meta")))
    assert places[0].ln2 == ln2
    assert not any(module._forward_hooks for module in network.modules())


def chain(depth=6, width=64):
    blocks = torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(depth)))
    taps = block_taps({number: Block(block, None) for number, block in enumerate(blocks)}, Tokens(1, True))
    return TappedNetwork("chain", blocks, taps, lambda batch: batch.pixels)


def test_a_tap_keeps_no_more_than_its_own_numbers():
    batch = Batch(
        torch.randn(1, 500, 64), torch.tensor([[1, 1]])
    )  # of one image a slice is contiguous: no copy by luck
    found = chain()(batch, [f"cls@{number}" for number in range(6)])
    assert {rows.untyped_storage().nbytes() for rows in found.values()} == {4 * 64}


def test_an_output_that_is_changed_in_place_later_is_read_before():
    class Clear(torch.nn.Module):
        def forward(self, x):
            return x.zero_()

    first = torch.nn.Linear(4, 4)
    network = torch.nn.Sequential(first, Clear())
    taps = {"cls@0": Tap(first, lambda out, _: out[:, 0])}
    tapped = TappedNetwork("x", network, taps, lambda batch: batch.pixels)
    assert tapped(Batch(torch.ones(2, 3, 4), torch.tensor([[1, 1]] * 2)), ["cls@0"])["cls@0"].abs().sum() > 0


def test_no_hook_is_left_after_a_crop_that_is_refused():
    tapped = chain()
    with pytest.raises(RuntimeError):
        tapped(Batch(torch.randn(1, 5, 63), torch.tensor([[1, 1]])), ["cls@0"])
    assert not any(module._forward_hooks for module in tapped.network.modules())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_mean_token_is_summed_in_float32(dtype):
    tokens = torch.randn(3, 300, 40, generator=torch.Generator().manual_seed(0)).add_(8).to(dtype)
    assert mean_token(tokens).dtype == torch.float32
    assert_allclose(mean_token(tokens), tokens.double().mean(1), rtol=1e-5)
    assert torch.equal(mean_token(tokens)[1:2], mean_token(tokens[1:2]))


def test_token_taps_of_a_network_of_any_size_need_the_size_of_the_card(tmp_path, crops):
    save(CLASSES["dinov2"](), tmp_path)
    net = models.find(f"hf:{tmp_path}").load("cpu", "float32")
    assert net(crops(side=40), ["cls", "mean@1"])["cls"].shape == (3, 32)
    for taps in (["patches"], ["cls", "patches@1"]):
        with pytest.raises(UsageError, match=r"takes crops of 32 × 32 pixels, not 40 × 40\. Choose --view"):
            net(crops(side=40), taps)
