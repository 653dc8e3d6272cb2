"""--compile: the same features within rounding, every tap still read, a store of its own."""

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from probekit.extract import ExtractSettings, extract
from probekit.features import load_features
from probekit.models import compute, find
from tests.extract.conftest import manifest_of, write_image

NAME = "timm:vit_tiny_patch16_224"


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(0)
    network = timm.create_model("vit_tiny_patch16_224", depth=12)
    save_file(network.state_dict(), tmp_path / "vit.safetensors")
    return tmp_path / "vit.safetensors"


@pytest.mark.slow
def test_a_compiled_network_gives_every_tap_within_rounding_and_has_a_store_of_its_own(tmp_path, checkpoint):
    for number in range(3):
        write_image(tmp_path / "images" / f"{number}.png", number, size=(224, 224))
    manifest = manifest_of(tmp_path / "images", [f"{number}.png" for number in range(3)])
    taps = ("cls", "cls@3", "mean@11", "ln2@5")
    found = {}
    for compiled in (False, True):
        settings = ExtractSettings((NAME,), taps=taps, precision="float32", dtype="float32", compile=compiled)
        cache = tmp_path / str(compiled)
        result = extract(manifest, settings, cache=cache, weights={NAME: checkpoint}, device="cpu", batch_size=4)
        found[compiled] = (
            result.models[0].address,
            [load_features(manifest, f"{NAME}#{t}", cache=cache) for t in taps],
        )
    assert found[False][0] != found[True][0]
    for plain, compiled in zip(found[False][1], found[True][1], strict=True):
        np.testing.assert_allclose(compiled.matrix, plain.matrix, rtol=1e-3, atol=1e-4)
        assert not np.array_equal(compiled.matrix, np.zeros_like(compiled.matrix))


def test_what_lies_between_the_taps_is_compiled_and_blocks_themselves_are_not(checkpoint):
    net = compute.load(find(NAME, checkpoint), "cpu", "float32", compiled=True)
    block = next(module for module in net.network.modules() if type(module).__name__ == "Block")
    assert "forward" in vars(block.attn)  # torch.compile put its own in place
    assert "forward" in vars(block.mlp)
    assert "forward" not in vars(block)


def test_weight_free_features_are_what_they_were(tmp_path):
    write_image(tmp_path / "images" / "a.png", 0)
    manifest = manifest_of(tmp_path / "images", ["a.png"])
    addresses = {
        extract(manifest, ExtractSettings(("npr",), compile=compiled), cache=tmp_path, device="cpu").models[0].address
        for compiled in (False, True)
    }
    assert len(addresses) == 1
