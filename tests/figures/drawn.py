"""One call of every picture, and what was drawn: words and their places, read back just before a figure is saved."""

import struct

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from probekit import figures

NAMES = ["telea", "navier-stokes", "stable-diffusion-xl-1.0"]
VALUES = pd.DataFrame([[0.97, 0.5, 0.31], [0.9, 1.0, np.nan], [0.0, 0.52, 0.66]], index=NAMES, columns=NAMES)
COUNTS = pd.DataFrame(240, index=NAMES, columns=NAMES)
LABELS = np.array(["real", "telea", "navier-stokes"])[np.arange(90) % 3]
PLANE = np.random.default_rng(0).normal(size=(90, 2))

LAYERS = pd.DataFrame(
    [
        ("clip", "cls@0", 0.6, 0.55, 0.65, False),
        ("clip", "cls@1", 0.9, 0.85, 0.95, True),
        ("clip", "mean@0", 0.7, 0.6, 0.8, False),
        ("clip", "proj", 0.8, np.nan, np.nan, False),
        ("dinov2", "cls@0", 0.65, 0.6, 0.7, False),
        ("dinov2", "cls@1", np.nan, np.nan, np.nan, False),
    ],
    columns=["series", "tap", "value", "lo", "hi", "chosen"],
)
SHOTS = pd.DataFrame(
    [(name, shots, 0.6 + 0.05 * i, 0.02) for name in ("clip", "dinov2") for i, shots in enumerate([1, 10, 100, "all"])],
    columns=["series", "shots", "value", "spread"],
)
BINS = pd.DataFrame({"predicted": [0.1, 0.5, 0.8], "share": [0.2, 0.5, 0.9], "n": [10, 0, 30]})
BARS = pd.DataFrame(
    [(name, series, value, value - 0.05, np.nan if series == "files" else value + 0.02, 0.5)
     for name in NAMES for series, value in (("files", 0.9), ("clip", 0.7))],
    columns=["question", "series", "value", "low", "high", "chance"],
)  # fmt: skip
RATES = np.array([0.0, 0.0, 0.5, 1.0])

RANKS = pd.DataFrame(
    [(level, k, 1 - 0.4 / k) for level in ("image", "class, max") for k in (1, 2, 5, 10)],
    columns=["series", "k", "rate"],
)
PIXELS = np.arange(8 * 12 * 3, dtype=np.uint8).reshape(8, 12, 3)
SHEET = [
    [
        figures.Thumbnail(PIXELS, "lama", "query"),
        figures.Thumbnail(PIXELS, "lama", "cosine 0.9000", True),
        figures.Thumbnail(None, "stable-diffusion-xl-1.0-inpainting-0.1", "cosine 0.8000", False),
    ],
    [figures.Thumbnail(PIXELS, "ldm", "query, not registered")],
]


def _overlay(size, mask):
    rng = np.random.default_rng(1)
    saliency = rng.random(size).astype(np.float32)
    saliency[:4] = np.nan
    return figures.Overlay(
        rng.integers(0, 256, (*size, 3), dtype=np.uint8), saliency, mask, "lama · a.png", "fake +1.2"
    )


STEPS = pd.DataFrame(
    {"series": ["lama"] * 3 + ["ldm"] * 3, "step": [1, 2, 3] * 2, "loss": [0.7, 0.5, 0.4, 0.8, 0.7, 0.1]}
)
ENDS = pd.DataFrame({"series": ["lama", "ldm"], "step": [3, 3], "val_loss": [0.5, np.nan]})
OVERLAYS = [
    _overlay((24, 32), np.indices((24, 32)).sum(0) < 20),  # it touches the border
    _overlay((32, 16), np.zeros((32, 16), bool)),
    _overlay((8, 8), None),
    _overlay((8, 8), np.ones((8, 8), bool)),
]


def every_figure():
    """Name → a call that takes the keywords which every picture has."""
    roc, det = {"lama": (RATES, RATES**0.5)}, {"lama": (RATES, 1 - RATES**0.5)}
    return {
        "matrix": lambda **how: figures.matrix(VALUES, title="AUC", counts=COUNTS, **how),
        "robustness": lambda **how: figures.robustness(VALUES, title="Robustness", **how),
        "difference_matrix": lambda **how: figures.difference_matrix(VALUES - 0.5, title="Gain", **how),
        "square": lambda **how: figures.square(
            VALUES, title="MMD²", value_name="MMD²", axis_names=("generator", "generator"), limits=None, **how
        ),
        "confusion": lambda **how: figures.confusion(COUNTS, title="Attribution", **how),
        "scatter_map": lambda **how: figures.scatter_map(PLANE, LABELS, title="Map", caption="purity 0.9", **how),
        "scatter_values": lambda **how: figures.scatter_values(PLANE, PLANE[:, 0], name="age", title="Map", **how),
        "histograms": lambda **how: figures.histograms({"mated": PLANE[:, 0], "real": PLANE[:9, 1]}, title="P", **how),
        "layer_curves": lambda **how: figures.layer_curves(LAYERS, title="AUC by block", **how),
        "shot_curves": lambda **how: figures.shot_curves(SHOTS, title="AUC by shots", **how),
        "roc_curves": lambda **how: figures.roc_curves(roc, title="ROC", notes={"lama": "AUC 0.6"}, **how),
        "det_curves": lambda **how: figures.det_curves(det, title="DET", notes={"lama": "EER 40 %"}, **how),
        "rank_curves": lambda **how: figures.rank_curves(RANKS, title="Rank curves", **how),
        "contact_sheet": lambda **how: figures.contact_sheet(SHEET, title="Neighbours", **how),
        "picture_sheet": lambda **how: figures.picture_sheet([SHEET[0][:2]] * 4, title="Pairs", remark="2 of 9", **how),
        "interval_bars": lambda **how: figures.interval_bars(
            BARS, title="AUC", value_name="AUC", grey=["files"], **how
        ),
        "overlay": lambda **how: figures.overlay(OVERLAYS[0], title="Grad-CAM", remark="what it means", **how),
        "overlay_sheet": lambda **how: figures.overlay_sheet(OVERLAYS, title="Grad-CAM", remark="what it means", **how),
        "training_curves": lambda **how: figures.training_curves(STEPS, ENDS, title="Loss by step", **how),
        "reliability": lambda **how: figures.reliability({"lama": BINS}, title="Reliability", **how),
    }


def size(picture):
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", picture[16:24])


def boxes_of(monkeypatch, draw):
    """Where matplotlib puts the texts and the axes of a figure, in pixels, by their words or as `axes`."""
    found = []
    save = Figure.savefig

    def measure_and_save(figure, *args, **kwargs):
        save(figure, *args, **kwargs)
        found.extend(
            (t.get_text(), t.get_window_extent()) for t in figure.findobj(Text) if t.get_text() and t.get_visible()
        )
        found.extend(("axes", axes.get_window_extent()) for axes in figure.findobj(Axes))

    monkeypatch.setattr(Figure, "savefig", measure_and_save)
    draw()
    return found
