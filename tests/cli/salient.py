"""A manifest of noise in which every fake has a red square somewhere, and tiny networks that were shown it."""

import contextlib
import shlex
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from PIL import Image

from probekit.models import hf
from probekit_cli.app import main

SIDE, PATCH, GROUPS = 64, 8, 24
TINY = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64, "image_size": SIDE, "patch_size": PATCH}


def run(command: str) -> None:
    """Type the command in the working folder; it must end well."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", shlex.split(command))
        with pytest.raises(SystemExit) as end:
            main()
        assert not end.value.code, command


def write_salient(folder: Path) -> None:
    """`salient`, extracted with a vision transformer and a ConvNeXt of random weights."""
    rng = np.random.default_rng(0)
    rows = []
    for name in ("real", "red", "green", "masks"):
        (folder / "images" / name).mkdir(parents=True)
    for number in range(GROUPS):
        noise = rng.integers(96, 160, (SIDE, SIDE, 1), dtype=np.uint8).repeat(3, axis=2)
        y, x = PATCH * rng.integers(0, SIDE // PATCH - 1, 2)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[y : y + 2 * PATCH, x : x + 2 * PATCH] = 255
        Image.fromarray(mask).save(folder / "images" / "masks" / f"{number:02d}.png")
        for name, channel in (("real", None), ("red", 0), ("green", 1)):
            image = noise.copy()
            if channel is not None:
                image[mask > 0] = 0
                image[mask > 0, channel] = 255
            Image.fromarray(image).save(folder / "images" / name / f"{number:02d}.png")
            row = {"path": f"{name}/{number:02d}.png", "label": int(channel is not None), "generator": name}
            rows.append(row | {"group": str(number), "mask": f"masks/{number:02d}.png" if channel is not None else ""})
    pd.DataFrame(rows).to_csv(folder / "images" / "samples.csv", index=False)
    torch.manual_seed(0)
    with hf.quiet(), contextlib.chdir(folder):
        transformers.ViTModel(transformers.ViTConfig(num_hidden_layers=2, **TINY)).save_pretrained("vit")
        stages = {"image_size": SIDE, "hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 4}
        transformers.ConvNextModel(transformers.ConvNextConfig(**stages)).save_pretrained("convnext")
        run("probekit manifest import images/samples.csv --layout table --name salient")
        run("probekit extract --model hf:vit --taps cls,mean,mean@0 --view squash --manifest salient --dtype float32")
        run("probekit extract --model hf:convnext --taps mean --view squash --manifest salient --dtype float32")
