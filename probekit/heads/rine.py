"""RINE: Koutlis and Papadopoulos 2024 (ECCV), arXiv:2402.19091; `ckpt/model_*_trainable.pth`.

The class token of the `ln_2` output of all 24 blocks of OpenAI's CLIP ViT-L/14, of the central 224 × 224 pixels
without any resizing. With x_b that of block b, p = proj_dim and n = nproj layers in each projection:

    g_b = proj1(x_b)                                         n × (linear, ReLU), 1024 → p
    z   = proj2(Σ_b softmax_b(alpha) ∘ g_b)                  n × (linear, ReLU), p → p
    log-odds of fake = head(z)                               (linear, ReLU) × 2, linear, p → 1

The file of the model trained on latent diffusion has the shapes of another: that its authors average its log-odds
over ten crops cannot be told from it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from probekit import heads
from probekit.arrays import Features, Float, Scores
from probekit.errors import ProbeError
from probekit.heads.ufd import MODELS
from probekit.views import OPENAI_CLIP, View

BLOCKS = 24
WIDTH = 1024
ROWS = 64  # samples at once: 24 × 1024 numbers each, on every layer
STEP = 3  # linear, ReLU, dropout

Layer = tuple[Float[np.ndarray, "k d"], Float[np.ndarray, " k"]]
"""Weight and bias."""


@heads.add("rine")
class Rine(heads.Format):
    """The state dictionary of RINE's network without CLIP: what was trained."""

    needs = (
        f"alpha [1, {BLOCKS}, p], proj1.1.weight [p, {WIDTH}] … and proj2.1.weight [p, p] … with as many layers, "
        "head.{0,3}.weight [p, p], head.6.weight [1, p], and their biases"
    )

    def recognises(self, names: Collection[str]) -> bool:
        """By `alpha` and the first layer of each of the three parts."""
        return {"alpha", "proj1.1.weight", "proj2.1.weight", "head.0.weight"} <= set(names)

    def read(self, file: heads.ProbeFile) -> heads.Head:
        """The head on `clip#ln2@0` to `clip#ln2@23`."""
        dimension = file.tensors["alpha"].numel() // BLOCKS
        alpha = file.array("alpha", (1, BLOCKS, dimension))[0]
        depth = len([name for name in file.tensors if re.fullmatch(r"proj1\.\d+\.weight", name)])
        numbers = range(1, 1 + STEP * depth, STEP)
        _require_names(file, numbers)
        inside = [dimension] * depth
        network = Network(
            shares=_softmax(alpha).astype(np.float32),
            before=_layers(file, "proj1", numbers, [WIDTH, *inside]),
            after=_layers(file, "proj2", numbers, [dimension, *inside]),
            head=_layers(file, "head", range(0, 3 * STEP, STEP), [dimension, dimension, dimension, 1]),
        )
        return heads.Head(
            name="rine",
            title="RINE (Koutlis and Papadopoulos 2024)",
            models=MODELS,
            widths={f"ln2@{block}": WIDTH for block in range(BLOCKS)},
            taps_option="ln2@all",
            view=View("center", crop=224, normalize=OPENAI_CLIP),
            condition="raw",
            kind="logit",
            path=file.path,
            sha256=file.sha256,
            score=network.score,
        )


@dataclass(frozen=True, eq=False)
class Network:
    """What RINE trains, float32 as it was."""

    shares: Float[np.ndarray, "blocks p"]
    """Weight of each block in each of the p numbers; a column sums to 1."""
    before: Sequence[Layer]
    after: Sequence[Layer]
    head: Sequence[Layer]

    def score(self, features: Mapping[str, Features]) -> Scores:
        """Log-odds of fake."""
        blocks = list(features.values())
        parts = [self._score([rows[at : at + ROWS] for rows in blocks]) for at in range(0, len(blocks[0]), ROWS)]
        return np.concatenate([np.zeros(0), *parts])

    def _score(self, blocks: Sequence[Features]) -> Scores:
        mixed = np.zeros((len(blocks[0]), self.shares.shape[1]), np.float32)
        for share, rows in zip(self.shares, blocks, strict=True):
            mixed += share * _rectified(self.before, rows.astype(np.float32))
        hidden = _rectified(self.head[:-1], _rectified(self.after, mixed))
        weight, bias = self.head[-1]
        scores: Scores = (hidden @ weight.T + bias)[:, 0].astype(np.float64)
        return scores


def _rectified(layers: Sequence[Layer], rows: Features) -> Features:
    for weight, bias in layers:
        rows = np.maximum(rows @ weight.T + bias, 0)
    return rows


def _softmax(alpha: Float[np.ndarray, "blocks p"]) -> Float[np.ndarray, "blocks p"]:
    powers = np.exp(alpha - alpha.max(axis=0))
    shares: Float[np.ndarray, "blocks p"] = powers / powers.sum(axis=0)
    return shares


def _require_names(file: heads.ProbeFile, numbers: Sequence[int]) -> None:
    layers = [f"{part}.{number}" for part in ("proj1", "proj2") for number in numbers]
    layers += [f"head.{number}" for number in range(0, 3 * STEP, STEP)]
    expected = {"alpha"} | {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    if odd := sorted(expected ^ set(file.tensors)):
        state = "lacks" if odd[0] in expected else "also holds"
        raise ProbeError(f"{file.path}: a file of RINE's that {state} {odd[0]}: give the trained part as published.")


def _layers(file: heads.ProbeFile, part: str, numbers: Sequence[int], widths: Sequence[int]) -> list[Layer]:
    """The linear layers of one part; `widths` are those of its input and of each layer's output."""
    return [
        (
            file.array(f"{part}.{number}.weight", (after, before)).astype(np.float32),
            file.array(f"{part}.{number}.bias", (after,)).astype(np.float32),
        )
        for number, before, after in zip(numbers, widths[:-1], widths[1:], strict=True)
    ]
