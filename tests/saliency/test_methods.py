"""Every method on every library's networks: exact sums, references in plain torch, and features left as they are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from probekit.errors import UsageError
from probekit.models import Batch
from probekit.saliency import methods
from probekit.saliency.linear import EXACT, LinearScore, ProbeScore
from probekit.saliency.network import Shown, find_layer
from tests.saliency import networks


@pytest.fixture(scope="module")
def model_of(tmp_path_factory):
    """The tiny model of a kind, made once."""
    made = {}

    def get(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp(kind)
            made[kind] = networks.found(kind, folder, patch)
        return made[kind]

    with pytest.MonkeyPatch.context() as patch:
        yield get


def scores_for(width, condition="zscore", seed=0):
    rng = np.random.default_rng(seed)
    return ProbeScore((LinearScore(condition, rng.normal(size=width), 0.1),), ("fake",))


def explain(method, network, shown, *probes):
    return methods.get(method)().explain(network, shown, [[probe] * shown.images for probe in probes])


def width_of(model, tap):
    return model.card.taps[tap][-1]


@pytest.mark.parametrize("condition", EXACT)
@pytest.mark.parametrize("kind", networks.EVERY)
def test_a_decomposition_and_its_bias_sum_to_the_score_of_the_probe(kind, condition, model_of):
    model = model_of(kind)
    shown = networks.crops(model)
    for tap in ("mean", *(["mean@1"] if "mean@1" in model.card.taps else [])):
        probe = scores_for(width_of(model, tap), condition)
        found = explain("decomposition", networks.network(model, tap), shown, probe)
        features = model.load("cpu", "float32")(shown.batch, [tap])[tap].numpy()
        expected = probe.classes[0].values(features)
        assert_allclose(found.scores[0], expected, rtol=1e-6)
        assert_allclose(np.nansum(found.grids[0], axis=(1, 2)) + found.biases[0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", networks.EVERY)
def test_grad_cam_of_the_last_map_is_that_of_a_reference_in_plain_torch(kind, model_of):
    """The gradient is taken of the score itself, by autograd, with no hook of the library's."""
    model = model_of(kind)
    tap = "mean@1" if "mean@1" in model.card.taps else "mean"
    network, shown = networks.network(model, tap), networks.crops(model)
    probe = scores_for(width_of(model, tap), "l2")
    found = explain("grad-cam", network, shown, probe)
    tokens = tap.replace("mean", "patches")
    values = torch.from_numpy(network.features(network.take(shown, [tap]), shown, [tokens])[tokens]).requires_grad_()
    side = found.grids.shape[-1]
    valid = network.valid(network.take(shown, [tap]), shown, side)
    weights = torch.from_numpy(probe.classes[0].weights).float()
    pooled = torch.stack([own[keep.ravel()].mean(0) for own, keep in zip(values, torch.from_numpy(valid), strict=True)])
    torch.nn.functional.normalize(pooled, dim=1).matmul(weights).sum().backward()
    alpha = values.grad.mean(1, keepdim=True)
    expected = (alpha * values).sum(-1).relu().detach().numpy().reshape(-1, side, side)
    assert_allclose(np.where(valid, found.grids[0], 0), np.where(valid, expected, 0), rtol=1e-3, atol=1e-6)
    assert np.isnan(found.grids[0][~valid]).all()
    assert np.nanmax(found.grids) > 0


@pytest.mark.parametrize("kind", ["hf-registers", "open-clip", "hf-convnext"])
def test_where_tokens_are_averaged_grad_cam_is_the_decomposition_cut_off_at_zero(kind, model_of):
    model = model_of(kind)
    tap = "mean@1" if "mean@1" in model.card.taps else "mean"
    network, shown = networks.network(model, tap), networks.crops(model)
    probe = scores_for(width_of(model, tap), "zscore")
    exact, found = (explain(name, network, shown, probe).grids for name in ("decomposition", "grad-cam"))
    assert_allclose(found, np.maximum(exact, 0), rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("kind", networks.EVERY)
def test_every_tap_of_one_vector_that_patches_reach_has_a_grad_cam(kind, model_of):
    model = model_of(kind)
    shown = networks.crops(model, n=1)
    taps = [tap for tap, shape in model.card.taps.items() if len(shape) == 1 and tap != "registers"]
    for tap in (tap for tap in taps if "@" not in tap or tap.endswith("@1")):
        network = networks.network(model, tap)
        layer = find_layer(network, network.take(shown, [tap]), shown)
        found = explain(
            "grad-cam", network, shown, scores_for(width_of(model, tap)), scores_for(width_of(model, tap), seed=1)
        )
        assert np.isfinite(found.grids).any(), tap
        assert found.facts == {"layer": layer.title}
        assert np.nanmax(found.grids) > 0, tap


@pytest.mark.parametrize("kind", ["timm-vit", "hf-vit", "open-clip"])
def test_a_class_token_is_looked_at_where_patches_still_reach_it(kind, model_of):
    model = model_of(kind)
    shown = networks.crops(model, n=1)
    sides = {}
    for tap in ("cls@1", "mean@1", "cls", "ln2@0"):
        network = networks.network(model, tap)
        sides[tap] = find_layer(network, network.take(shown, [tap]), shown).title
    last = max(int(tap.partition("@")[2]) for tap in model.card.taps if tap.startswith("cls@"))
    assert sides == {
        "cls@1": "input of block 1",
        "mean@1": "output of block 1",
        "cls": f"input of block {last}",
        "ln2@0": "input of block 0",
    }


def attention_by_hand(kind, model, shown):
    """Head means of every block's attention, from the libraries' own unfused code."""
    net = networks.network(model, "cls").net
    pixels = net.prepare(shown.batch)
    found = []
    if kind == "timm-vit":
        for block in net.network.model.blocks:
            block.attn.fused_attn = False
            block.attn.attn_drop.register_forward_hook(lambda module, args, out: found.append(out.mean(1)))
        with torch.no_grad():
            net.network(pixels)
    elif kind.startswith("hf"):
        net.network.set_attn_implementation("eager")
        with torch.no_grad():
            found = [own.mean(1) for own in net.network(pixels, output_attentions=True).attentions]
    else:
        for block in net.network.transformer.resblocks:
            inner = block.attn.forward
            block.attn.forward = lambda *args, inner=inner, **more: keep(inner(*args, **more | {"need_weights": True}))

        def keep(out):
            found.append(out[1])
            return out

        with torch.no_grad():
            net.network(pixels)
    return [own.double().numpy() for own in found]


@pytest.mark.parametrize("kind", ["timm-vit", "hf-vit", "hf-registers", "open-clip"])
def test_rollout_is_the_product_of_the_libraries_own_attention(kind, model_of):
    model = model_of(kind)
    shown = networks.crops(model, n=2)
    attention = attention_by_hand(kind, model, shown)
    for tap, blocks in (("cls", len(attention)), ("cls@1", 2), ("mean@1", 2)):
        network = networks.network(model, tap)
        found = explain(
            "rollout", network, shown, scores_for(width_of(model, tap)), scores_for(width_of(model, tap), seed=1)
        )
        rolled = np.eye(attention[0].shape[1])
        for weights in attention[:blocks]:
            rolled = (0.5 * weights + 0.5 * np.eye(weights.shape[1])) @ rolled
        side = found.grids.shape[-1]
        read = rolled[:, 0] if tap.startswith("cls") else rolled[:, -side * side :].mean(1)
        expected = read[:, -side * side :].reshape(-1, side, side)
        assert_allclose(found.grids[0], expected, rtol=1e-4, atol=1e-8)
        assert_allclose(found.grids[1], found.grids[0])


@pytest.mark.parametrize("kind", networks.EVERY)
def test_looking_leaves_the_features_of_the_network_bit_for_bit_as_they_were(kind, model_of):
    model = model_of(kind)
    network, shown = networks.network(model, "mean"), networks.crops(model)
    before = network.net(shown.batch, ["mean"])["mean"]
    for name in methods.names():
        try:
            explain(name, network, shown, scores_for(width_of(model, "mean")))
        except UsageError:
            assert name == "rollout"
    assert torch.equal(network.net(shown.batch, ["mean"])["mean"], before)


@pytest.mark.parametrize("kind", [*networks.CONVOLUTIONS, "sam"])
def test_rollout_is_refused_where_no_attention_spans_the_image(kind, model_of):
    model = model_of(kind)
    with pytest.raises(UsageError, match="rollout needs"):
        explain("rollout", networks.network(model, "mean"), networks.crops(model), scores_for(width_of(model, "mean")))


def test_a_decomposition_of_what_is_no_mean_is_refused(model_of):
    model = model_of("timm-vit")
    with pytest.raises(UsageError, match="timm:vit_tiny_patch16_224#cls is none: use --method grad-cam"):
        explain("decomposition", networks.network(model, "cls"), networks.crops(model), scores_for(192))


@pytest.mark.parametrize("method", ["decomposition", "grad-cam", "rollout"])
def test_a_map_depends_on_no_other_image_of_the_batch(method, model_of):
    model = model_of("hf-vit")
    network, shown = networks.network(model, "mean@1"), networks.crops(model, n=3)
    probe = scores_for(32, "layernorm")
    together = explain(method, network, shown, probe)
    for image in range(3):
        one = slice(image, image + 1)
        alone = Shown(Batch(shown.batch.pixels[one], shown.batch.sizes[one]), np.zeros(1, int))
        assert_allclose(
            explain(method, network, alone, probe).grids[0, 0], together.grids[0, image], rtol=1e-3, atol=1e-6
        )


@pytest.mark.parametrize("condition", EXACT)
def test_several_crops_of_an_image_sum_to_the_score_of_their_mean(condition, model_of):
    model = model_of("hf-vit")
    network, shown = networks.network(model, "mean"), networks.crops(model, n=5)
    shown = replace(shown, owner=np.array([0, 0, 0, 1, 1]))
    probe = scores_for(32, condition)
    found = explain("decomposition", network, shown, probe)
    features = network.net(shown.batch, ["mean"])["mean"].numpy().astype(np.float64)
    expected = probe.classes[0].values(np.stack([features[:3].mean(0), features[3:].mean(0)]))
    total = np.bincount(shown.owner, weights=found.grids[0].sum((1, 2)))
    assert_allclose(total + found.biases[0], expected, rtol=1e-4, atol=1e-5)


def test_the_class_that_is_explained_is_the_named_one_or_the_predicted_one(model_of):
    model = model_of("hf-vit")
    network, shown = networks.network(model, "mean"), networks.crops(model)
    rng = np.random.default_rng(3)
    classes = tuple(LinearScore("raw", rng.normal(size=32), 0.0) for _ in range(4))
    called = explain("decomposition", network, shown, ProbeScore(classes, tuple("abcd")))
    named = explain("decomposition", network, shown, ProbeScore(classes, tuple("abcd"), of=2))
    features = network.net(shown.batch, ["mean"])["mean"].numpy()
    expected = np.argmax([one.values(features) for one in classes], axis=0)
    assert (called.chosen == expected).all()
    assert (named.chosen == 2).all()
    assert (named.predicted == expected).all()
    assert_allclose(named.scores[0], classes[2].values(features), rtol=1e-5)
