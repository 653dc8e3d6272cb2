"""Tiny random checkpoints in each library's own format, and the batches to try them on."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from probekit.models import Batch

TINY_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No test reaches a hub, or finds weights that this machine happens to keep."""
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))


@pytest.fixture
def crops():
    """A batch of whole crops of one size, seeded noise by default."""

    def make(n: int = 3, side: int = 32, seed: int = 0) -> Batch:
        rng = np.random.default_rng(seed)
        pixels = torch.from_numpy(rng.integers(0, 256, (n, 3, side, side), dtype=np.uint8))
        return Batch(pixels, torch.tensor([[side, side]] * n))

    return make


@pytest.fixture(scope="session")
def clip_archs(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Registers `tiny` and `tiny-quickgelu` with open_clip, as a user registers one."""
    import open_clip

    folder = tmp_path_factory.mktemp("archs")
    (folder / "tiny.json").write_text(json.dumps(TINY_CLIP))
    (folder / "tiny-quickgelu.json").write_text(json.dumps(TINY_CLIP | {"quick_gelu": True}))
    open_clip.add_model_config(folder)
