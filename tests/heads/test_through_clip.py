"""Each published head through a ViT-L/14 of full size, from image files, against torch, torchvision and open_clip."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.testing import assert_allclose
from open_clip.model import _build_vision_tower
from PIL import Image
from safetensors.torch import load_file, save_file
from torchvision.transforms import v2

from probekit import heads, models
from probekit.predict import predict_images
from probekit.views import OPENAI_CLIP
from tests.extract.conftest import write_image
from tests.heads.published import save_grip, save_rine, save_ufd

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
CROP = [v2.CenterCrop(224)]
RESIZE = [v2.Resize(224, interpolation=v2.InterpolationMode.BICUBIC, antialias=True), v2.CenterCrop(224)]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """An image tower with random weights, as large as the real one, in a file of 1.2 GB."""
    config = open_clip.get_model_config("ViT-L-14")
    torch.manual_seed(0)
    tower = _build_vision_tower(config["embed_dim"], dict(config["vision_cfg"]), quick_gelu=False)
    path = tmp_path_factory.mktemp("clip") / "tower.safetensors"
    save_file({f"visual.{name}": value for name, value in tower.state_dict().items()}, path)
    yield path
    path.unlink()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """One larger than the crop, and one that is smaller and must be padded."""
    folder = tmp_path_factory.mktemp("photos")
    write_image(folder / "large.png", 0, size=(300, 420))
    small = write_image(folder / "small.png", 1, size=(180, 250))
    Image.open(small).save(folder / "small.jpg", quality=90)
    small.unlink()
    return folder


def load_tower(checkpoint, quick_gelu):
    config = open_clip.get_model_config("ViT-L-14")
    with torch.device("meta"):
        tower = _build_vision_tower(config["embed_dim"], dict(config["vision_cfg"]), quick_gelu)
    state = {name.removeprefix("visual."): value for name, value in load_file(checkpoint).items()}
    tower.load_state_dict(state, assign=True)
    return tower.eval()


def library_pixels(folder, steps):
    """What the authors' own transforms make of the pictures, in the order of their names."""
    prepare = v2.Compose([v2.PILToTensor(), *steps, v2.ToDtype(torch.float32, scale=True)])
    pixels = torch.stack([prepare(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())])
    return v2.functional.normalize(pixels, list(OPENAI_CLIP.mean), list(OPENAI_CLIP.std))


def test_universal_fake_detect_from_the_command_line(checkpoint, pictures, tmp_path):
    layer = save_ufd(tmp_path / "fc_weights.pth")
    code = "import sys; sys.argv[0] = 'probekit'; from probekit_cli.app import main; main()"
    words = ["predict", str(pictures), "--probe", "fc_weights.pth", "--weights", f"clip={checkpoint}", "--json"]
    done = subprocess.run(
        [sys.executable, "-c", code, *words, "--device", "cpu"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "cli")])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    tower = load_tower(checkpoint, quick_gelu=True)
    with torch.inference_mode():
        expected = layer(tower(library_pixels(pictures, CROP))).sigmoid()[:, 0]
    assert_allclose([row["probability"] for row in said["predictions"]], expected, rtol=0, atol=1e-4)
    assert np.ptp(expected.numpy()) > 1e-3


def test_grips_head_from_image_files(checkpoint, pictures, tmp_path):
    module = save_grip(tmp_path / "weights.pth")
    head = heads.read(tmp_path / "weights.pth")
    found = predict_images([pictures], head, weights={head.models[0]: checkpoint}, device="cpu")
    tower = load_tower(checkpoint, quick_gelu=False)
    tower.proj = None
    with torch.inference_mode():
        expected = module(tower(library_pixels(pictures, RESIZE)))
    assert_allclose(found.table["score"], expected, rtol=0, atol=1e-5)
    assert np.ptp(expected.numpy()) > 1e-4


def test_rines_head_from_image_files(checkpoint, pictures, tmp_path):
    if "ln2@0" not in models.find("clip", checkpoint).card.taps:
        pytest.skip("clip has no ln2 taps here")
    module = save_rine(tmp_path / "rine.pth", depth=2, dimension=64)
    head = heads.read(tmp_path / "rine.pth")
    found = predict_images([pictures], head, weights={"clip": checkpoint}, device="cpu")
    tower, kept = load_tower(checkpoint, quick_gelu=True), []
    for block in tower.transformer.resblocks:
        block.ln_2.register_forward_hook(lambda _module, _given, out: kept.append(out[:, 0]))
    with torch.inference_mode():
        tower(library_pixels(pictures, CROP))
        expected = module(torch.stack(kept, dim=1))[:, 0]
    assert_allclose(found.table["score"], expected, rtol=1e-4, atol=1e-4)
    assert np.ptp(expected.numpy()) > 1e-3
