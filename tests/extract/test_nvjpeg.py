"""JPEG files decoded on the GPU: other pixels, therefore another store; never without a GPU."""

import pytest
import torch

from probekit import images
from probekit.errors import UsageError
from probekit.extract import ExtractSettings, extract
from probekit.models import find
from tests.extract.conftest import manifest_of, write_image


def test_without_a_gpu_it_is_refused_in_one_line(make_manifest, tmp_path):
    with pytest.raises(UsageError, match="--decoder nvjpeg needs a GPU on every --device"):
        extract(make_manifest(1), ExtractSettings(("srm",), decoder="nvjpeg"), cache=tmp_path / "cache", device="cpu")
    assert not (tmp_path / "cache").exists()


def test_the_decoder_is_part_of_the_view_and_leaves_other_addresses_alone():
    from dataclasses import replace

    from probekit.fingerprint import fingerprint

    view = find("srm").card.view
    gpu = replace(view, decoder="nvjpeg")
    assert gpu.name == "nvjpeg-native512"
    assert fingerprint(gpu) != fingerprint(view) == fingerprint(replace(view, decoder=""))
    with pytest.raises(UsageError, match="but nvjpeg decodes on the GPU: leave --perturb or --decoder out"):
        gpu.with_perturbation("jpeg:75")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_pixels_of_the_gpu_are_those_of_the_cpu_within_a_few_levels(tmp_path):
    path = write_image(tmp_path / "a.jpg", 0, size=(200, 300))
    data = path.read_bytes()
    there, here = images.decode(data, gpu="cuda:0"), images.decode(data)
    assert there.device.type == "cuda"
    assert (there.cpu().int() - here.int()).abs().float().mean() < 2
    manifest = manifest_of(tmp_path, ["a.jpg"])
    result = extract(manifest, ExtractSettings(("srm",), decoder="nvjpeg"), cache=tmp_path / "cache", device="cuda:0")
    assert result.models[0].done == 1
